"""Verdicts of recorded runs, drawn anew: the same bytes, and what an older bundle does not have."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from analysis.remade import measured_of
from claims.made import DATASETS, ROOT, experiment
from evenground.analysis.experiment import alone
from evenground.bundle.replay import compare_tables, redraw
from evenground.claims.model import read_claims
from evenground.claims.write import write_verdicts
from evenground.records.index import read_index

NAMES = {
    *(
        f"tables/{name}.{form}"
        for name in ("verdicts", "arithmetic", "agreement")
        for form in ("csv", "json", "md")
    ),
    "verdicts.json",
}


@pytest.fixture
def drawn(tmp_path: Path) -> tuple[Path, Path]:
    """Verdicts of the same runs, written twice."""
    index = read_index(experiment(tmp_path / "made", datasets=DATASETS[:1], repetitions=4))
    folders = (tmp_path / "published", tmp_path / "redrawn")
    for to in folders:
        write_verdicts(
            index,
            measured_of(alone(index)),
            read_claims(ROOT),
            tables=to / "tables",
            record=to / "verdicts.json",
        )
    return folders


def test_verdicts_are_the_same_bytes_each_time(drawn: tuple[Path, Path]) -> None:
    found = compare_tables(*drawn)
    assert set(found.same) == NAMES and not (found.other or found.lost or found.new)


def test_a_changed_verdict_is_told(drawn: tuple[Path, Path]) -> None:
    table = drawn[0] / "tables/verdicts.csv"
    table.write_text(
        table.read_text()
        .replace("contradicted", "reproduced")
        .replace("inconclusive", "reproduced")
    )
    (drawn[1] / "verdicts.json").unlink()
    found = compare_tables(*drawn)
    assert (found.other, found.lost, found.new) == (
        ("tables/verdicts.csv",),
        ("verdicts.json",),
        (),
    )


def test_what_an_older_bundle_does_not_have_is_new_and_not_lost(drawn: tuple[Path, Path]) -> None:
    shutil.rmtree(drawn[0] / "tables")
    found = compare_tables(*drawn)
    assert set(found.new) == NAMES - {"verdicts.json"} and not (found.other or found.lost)


@pytest.mark.slow
def test_a_replay_draws_the_verdicts_too(tmp_path: Path) -> None:
    where = experiment(tmp_path / "made", datasets=DATASETS[:1], repetitions=2)
    redraw(read_index(where), where, tmp_path / "redrawn", read_claims(ROOT))
    assert {name for name in NAMES if (tmp_path / "redrawn" / name).is_file()} == NAMES
