"""`./evenground compare`: sources of several machines and values, their names and warnings."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest

import compare
from analysis.synthetic import MadeResults, write_results
from evenground.analysis.experiment import Experiment
from evenground.analysis.table import read_table
from evenground.claims.agreement import in_words
from evenground.records.index import read_index

DIGITS = (("digits", "Digits", "mlp"),)
OTHER = "cray-1-8c-64g-nogpu-1"


def made(size: int, **more: Any) -> MadeResults:
    """A condition of a sweep over the batch size."""
    values = {"batch_size": size}
    return MadeResults(datasets=DIGITS, values=values, parameters=values, **more)


@pytest.fixture
def swept(tmp_path: Path) -> Path:
    """The folder of two machines, two values each."""
    conditions = [made(size, machine=machine) for machine in (None, OTHER) for size in (16, 32)]
    return write_results(tmp_path / "swept", *conditions).parent


def rows(folder: Path, table: str) -> list[dict[str, str]]:
    with (folder / f"{table}.csv").open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def report_of(to: Path, **folders: Path) -> Experiment:
    """Compare folders, with the files in `to`."""
    sources = {name: compare.read(str(path), to / name) for name, path in folders.items()}
    experiment = Experiment(sources=sources)
    compare.report(experiment, to)
    return experiment


def test_each_condition_is_compared_with_its_peers(
    swept: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A source with one machine and one value of the sweep, beside one that has two of each."""
    alone = MadeResults(datasets=DIGITS, parameters={"batch_size": 16}, folder="alone")
    single = write_results(tmp_path / "single", alone).parent
    report_of(tmp_path / "compared", swept=swept, single=single)
    said = capsys.readouterr().out.splitlines()
    across = rows(tmp_path / "compared", "across")
    assert {(row["source"], row["machine"] == OTHER, row["batch_size"]) for row in across} == {
        ("swept", True, "16"),
        ("swept", True, "32"),
        ("single", False, "16"),
    }
    machine = read_index(swept / "index.json").machines[0].class_name
    assert {row["over"] for row in across} == {f"swept, {machine}"}
    classes = f"Of one class of machine: `swept, {machine}`, `single, {machine}`."
    assert f"- {classes} At batch size 16." in said
    heading = next(line for line in said if line.startswith("source"))
    assert heading.split()[:4] == ["source", "machine", "batch_size", "dataset"]
    assert (tmp_path / "compared/side_by_side.svg").stat().st_size > 0


def test_the_same_folder_twice(
    swept: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What holds at all values is said once; the same claim at another value is another verdict."""
    experiment = report_of(tmp_path / "compared", a=swept, b=swept)
    said = capsys.readouterr().out
    assert said.count("no comparison of two measurements") == 2, "once for each machine"
    assert said.count("At batch size 16; batch size 32.") == 4
    found = read_table(tmp_path / "compared", "agreement").rows
    found.loc[:, ["agree", "kind", "verdict"]] = ["no", "verdict", "reproduced"]
    claims = found.drop_duplicates(["claim", "part", "instrument"])
    lines = in_words(found, experiment)
    assert lines[0] == f"verdicts: 0 of {2 * len(claims)} agree"
    assert len(lines) == 1 + 2 * len(claims)
    assert lines[1].startswith("T1, corrected, batch_size 16: reproduced (a, ")
