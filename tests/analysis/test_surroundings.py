"""Recorded surroundings in the tables: found, absent, not known, and such that nobody would record."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from analysis.remade import CALM, change_run, surround, tables_by_files
from analysis.synthetic import MadeResults, write_results
from evenground.analysis.circumstances import COMPARED
from evenground.analysis.environment import read_environment
from evenground.analysis.normalise import normalise, write_normalised
from evenground.analysis.quality import GATES, unknown, why_unknown
from evenground.analysis.runs import read_runs
from evenground.bundle.replay import redraw
from evenground.claims.model import read_claims
from evenground.errors import EvengroundError
from evenground.judged import NOT_RECORDED
from evenground.records.index import read_index
from evenground.records.surroundings import SurroundingsRecord

ROOT = Path(__file__).parents[2]
MADE = MadeResults(datasets=(("digits", "Digits", "mlp"),), engines=("keras",), repetitions=5)
NAMES = ("foreign code", "mounts", "cold start", "surroundings")
ODD = (
    r"/_$\frac{a}{ | <script>alert(1)</script> ![x](https://a.example/x) `b` %s {0} &amp; --> ]]> "
    + "x" * 40
)
BAD = "/site\n| a | b |\x00\x1b[2J\u202e\r\n# heading" + ODD


@pytest.fixture
def calm(tmp_path: Path) -> Path:
    """Five runs of one engine in calm surroundings."""
    index = write_results(tmp_path, MADE)
    for number in range(5):
        surround(index, number)
    return index


def found(index: Path, name: str) -> list[dict[str, Any]]:
    """The findings of that name, through the files of both steps."""
    quality = tables_by_files(index)["quality"]
    rows: list[dict[str, Any]] = quality[quality["finding"] == name].to_dict("records")
    return rows


def not_known(index: Path) -> dict[str, int]:
    known = normalise(read_index(index).first).circumstances
    counts = unknown(known)
    return {name: counts[name] for name in NAMES if name in counts}


def test_calm_surroundings_are_no_finding_and_all_is_known(calm: Path) -> None:
    assert [found(calm, name) for name in NAMES] == [[]] * 4
    assert not_known(calm) == {}
    assert "surroundings" not in why_unknown(normalise(read_index(calm).first).circumstances)


def test_the_record_is_read_from_the_run(calm: Path) -> None:
    (first, *_) = read_runs(read_index(calm).first)
    assert read_environment(first).surroundings == SurroundingsRecord(**CALM)


def test_foreign_code_makes_a_run_invalid(calm: Path) -> None:
    surround(calm, 1, foreign=["/site/lib/libsite.so"])
    (row,) = found(calm, "foreign code")
    assert (row["repetition"], row["state"], row["value"], row["limit"]) == (2, "invalid", 1, 0)
    assert row["reason"].endswith(": /site/lib/libsite.so")


def test_a_mount_in_the_image_is_a_warning_and_a_difference(calm: Path) -> None:
    for number in range(5):
        surround(calm, number, in_image=True, image="mounted", mounts=["/usr"] * (number == 4))
    (row,) = found(calm, "mounts")
    assert (row["repetition"], row["state"], row["value"]) == (5, "warned", 1)
    (row,) = found(calm, "surroundings")
    assert row["reason"].endswith(": mounts: /usr (1 run)")


def test_a_cold_start_is_a_warning(calm: Path) -> None:
    surround(calm, 0, cold_start=True)
    (row,) = found(calm, "cold start")
    assert (row["repetition"], row["state"], row["value"], row["limit"]) == (1, "warned", 1, 0)


def test_runs_of_a_group_that_differ_are_a_warning_of_the_group(calm: Path) -> None:
    for number in range(5):
        image = "unpacked" if number == 2 else "mounted"
        variables = {"PATH": "/usr/bin", "CUDA_VISIBLE_DEVICES": str(number)}
        surround(calm, number, in_image=True, image=image, variables=variables)
    surround(calm, 3, in_image=True, image="mounted", variables={"PATH": "/opt/site/bin:/usr/bin"})
    (row,) = found(calm, "surroundings")
    assert pd.isna(row["repetition"])
    assert (row["state"], row["value"], row["limit"]) == ("warned", 2, 0)
    assert row["reason"].endswith(
        ": image: mounted (4 runs), unpacked (1 run); PATH: /opt/site/bin (1 run)"
    )


def test_groups_are_not_compared_with_each_other(tmp_path: Path) -> None:
    index = write_results(tmp_path, MadeResults(datasets=MADE.datasets, repetitions=1))
    surround(index, 0, variables={"PATH": "/a"})
    surround(index, 1, variables={"PATH": "/b"})
    assert found(index, "surroundings") == []


def test_what_is_not_known_is_counted_and_has_its_reason(calm: Path) -> None:
    why = {"mapped": "the engine ended before it was looked at", "mounts": "no mountinfo"}
    surround(calm, 0, foreign=None, mapped=None, mounts=None, missing=why)
    assert [found(calm, name) for name in NAMES] == [[]] * 4
    assert not_known(calm) == {"foreign code": 1, "mounts": 1, "surroundings": 1}
    known = normalise(read_index(calm).first).circumstances
    assert why_unknown(known)["surroundings"] == "; ".join(
        f"{name}: {text}" for name, text in why.items()
    )


def test_in_an_image_it_has_to_be_known_how_it_was_made_readable(calm: Path) -> None:
    surround(calm, 0, in_image=True)
    assert not_known(calm) == {"surroundings": 1}


def test_of_an_older_run_nothing_is_known(calm: Path) -> None:
    change_run(calm, 0, environment={})
    assert not_known(calm) == dict.fromkeys(NAMES, 1)
    assert (
        why_unknown(normalise(read_index(calm).first).circumstances)["surroundings"] == NOT_RECORDED
    )
    assert [found(calm, name) for name in NAMES] == [[]] * 4


@pytest.mark.parametrize(
    "wrong",
    [
        5,
        [],
        "text",
        {"image": 1},
        {"variables": {"PATH": 7}},
        {"variables": {"LD_PRELOAD": "/a.so"}},
        {"variables": {"x\n" * 2**20: "a"}},
        {"variables": {"PATH": "x" * 2**20}},
        {"mounts": {"a": "b"}},
        {"foreign": ["/" + "x" * 2**20]},
        {"cold_start": "false"},
        {"mapped": {"image": "many"}},
        {"missing": {"x" * 2**20: "a"}},
    ],
    ids=lambda wrong: str(wrong)[:40],
)
def test_a_wrong_record_is_one_line(calm: Path, wrong: Any) -> None:
    change_run(calm, 0, environment={"surroundings": wrong})
    with pytest.raises(
        EvengroundError, match="broken record of the environment, surroundings"
    ) as caught:
        tables_by_files(calm)
    said = str(caught.value)
    assert said.isprintable() and len(said) < 1500 and str(calm.parent) in said


@pytest.mark.parametrize("path", ["7", "1e5", "NA", "nan", "null", ""])
def test_a_path_that_looks_like_a_number_is_none(calm: Path, path: str) -> None:
    words = f": {path}" if path else ""
    surround(calm, 0, foreign=[path], mounts=[path], variables={"PATH": path})
    gates = {gate.finding: gate.reason for gate in GATES}
    for name in ("foreign code", "mounts"):
        (row,) = found(calm, name)
        assert (row["value"], row["reason"]) == (1, gates[name] + words)
    assert len(found(calm, "surroundings")) == 1


def test_odd_paths_break_out_of_no_table_and_no_page(calm: Path) -> None:
    surround(
        calm,
        0,
        variables={"PATH": f"{BAD}:/usr/bin", "LD_LIBRARY_PATH": BAD * 700},
        mounts=[BAD] * 5,
        foreign=[BAD, ODD],
        mapped=None,
        missing={"mapped": BAD, BAD[:60]: BAD},
    )
    index = read_index(calm)
    redraw(index, calm, calm.parent, read_claims(ROOT))
    text = (calm.parent / "tables/quality.md").read_text(encoding="utf-8")
    assert all(line.isprintable() for line in text.splitlines()) and "<" not in text
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert {len(re.findall(r"(?<!\\)\|", row)) for row in rows} == {9} and len(rows) == 2 + 3
    assert len(text) < 10_000
    page = (calm.parent / "report.html").read_text(encoding="utf-8")
    assert "<script>alert" not in page and 'href="https://a.example' not in page
    assert "foreign code" in page and "&lt;script" in page
    with (calm.parent / "tables/quality.csv").open(newline="", encoding="utf-8") as file:
        # The columns of `quality`, and machine, deployment and network.
        assert all(
            len(row) == 11 and all(cell.isprintable() for cell in row) for row in csv.reader(file)
        )


def test_conditions_have_what_is_compared_with_every_sign(calm: Path) -> None:
    surround(calm, 0, variables={"PATH": BAD})
    write_normalised(read_index(calm), calm.parent / "normalised")
    with (calm.parent / "normalised/circumstances.csv").open(newline="", encoding="utf-8") as file:
        first, *rest = csv.DictReader(file)
    assert len(rest) == 4
    compared = json.loads(first[COMPARED])
    assert ":".join(compared["PATH"]) == BAD
    assert compared["mounts"] == []
