"""The record of what a step made: what is missing, changed or of other sources is made again."""

from __future__ import annotations

import argparse
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from evenground.files import write_json, write_text
from evenground.made import STEPS, again_of, begin_again, fault, record_of, recorded

RESULTS = Path("results/native")
Harm = Callable[[Path], object]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def make(step: str, of: list[Path], *names: str) -> Path:
    """Let a step write files of these names, and its record."""
    for path in of:
        if not path.exists():
            write_text(path, "source")
    given = argparse.Namespace(made=record_of(RESULTS, step), of=of)
    with recorded(given):
        for name in names:
            write_text(RESULTS / name, f"made by {step}")
    return given.made


def test_what_is_as_it_was_left_is_whole() -> None:
    record = make("tables", [Path("index.json")], "tables/a.csv", "metrics.json")
    assert fault(record) is None


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (
            lambda root: (root / "results/native/tables/a.csv").unlink(),
            "results/native/tables/a.csv is missing",
        ),
        (
            lambda root: shutil.rmtree(root / "results/native/tables"),
            "results/native/tables/a.csv is missing",
        ),
        (
            lambda root: (root / "results/native/tables/a.csv").write_text("x"),
            "a.csv is not what it was",
        ),
        (lambda root: (root / "claims.yaml").unlink(), "claims.yaml is missing"),
        (lambda root: (root / "results/native/made/tables.json").unlink(), ""),
        (lambda root: (root / "results/native/made/tables.json").write_text("[1]"), ""),
        (lambda root: (root / "results/native/made/tables.json").write_text("{"), ""),
    ],
)
def test_what_is_missing_or_changed_is_named(here: Path, harm: Harm, said: str) -> None:
    record = make("tables", [Path("claims.yaml")], "tables/a.csv")
    harm(here)
    assert str(fault(record)).endswith(said) and fault(record) is not None


def test_a_source_with_an_older_time_is_another_source(here: Path) -> None:
    """As a file that was moved back in place: Snakemake compares times alone."""
    record = make("verdicts", [Path("claims.yaml")], "verdicts.json")
    (here / "claims.yaml").write_text("others")
    os.utime(here / "claims.yaml", (1, 1))
    assert fault(record) == "claims.yaml is not what it was"


@pytest.mark.parametrize("link", [os.link, os.symlink])
def test_a_file_that_became_a_link_to_the_same_content_is_whole(here: Path, link: Harm) -> None:
    record = make("tables", [Path("index.json")], "tables/a.csv")
    table, cache = here / "results/native/tables/a.csv", here / "cache"
    table.rename(cache)
    link(cache, table)  # type: ignore[call-arg]
    assert fault(record) is None
    if table.is_symlink():
        cache.unlink()
        assert str(fault(record)).endswith("a.csv is missing")


def written(*steps: str) -> set[str]:
    """Those of the steps that are to be made again."""
    return {step for step in steps if again_of(RESULTS, step).exists()}


def test_all_that_follows_is_made_again_and_complete_stands_no_more(here: Path) -> None:
    chain, complete = ("index", "tables", "page"), RESULTS / "complete.json"
    for step in chain:
        make(step, [], f"{step}.csv")
    write_json(complete, {})
    assert begin_again(RESULTS, [chain], complete) == []
    assert not written(*chain) and complete.exists()
    (RESULTS / "tables.csv").unlink()
    said = ["made again, with what follows: results/native/tables.csv is missing"]
    assert begin_again(RESULTS, [chain], complete) == said
    assert written(*chain) == {"tables", "page"} and not complete.exists()


def test_a_chain_of_its_own_makes_nothing_of_another_again() -> None:
    """The table of extra trainings follows from no step of the page."""
    chains, complete = [("index", "page"), ("idle_causes",)], RESULTS / "complete.json"
    for step in ("index", "page", "idle_causes"):
        make(step, [], f"{step}.csv")
    (RESULTS / "index.csv").unlink()
    assert len(begin_again(RESULTS, chains, complete)) == 1
    assert written("index", "page", "idle_causes") == {"index", "page"}


def test_the_steps_are_one_chain_from_the_index_to_the_page() -> None:
    for step in STEPS:
        make(step, [], f"{step}.csv")
    (RESULTS / f"{STEPS[0]}.csv").write_text("x")
    begin_again(RESULTS, [STEPS], RESULTS / "complete.json")
    assert written(*STEPS) == set(STEPS) and (STEPS[0], STEPS[-1]) == ("index", "page")


def test_nothing_is_said_of_what_was_never_made() -> None:
    assert begin_again(RESULTS, [("index",)], Path("complete.json")) == []
    assert written("index")
