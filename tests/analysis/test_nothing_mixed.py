"""Every row of several conditions is the row of the condition by itself, byte for byte.

One machine takes eight times as long as the other, and the larger batches half as much again: a
number over two conditions would be another one. One condition lacks an engine's runs, one a run.
"""

from __future__ import annotations

import csv
import json
from collections import defaultdict
from pathlib import Path

import pytest

from analysis.several import FACTORS, A, conditions
from analysis.synthetic import write_results
from claims.made import ROOT
from evenground.analysis.experiment import alone
from evenground.analysis.measured import read_measured
from evenground.analysis.normalise import FRAMES, TIMELINES, write_normalised
from evenground.analysis.tables import TABLES
from evenground.analysis.write import write_tables
from evenground.claims.model import read_claims
from evenground.claims.write import write_verdicts
from evenground.records.index import read_index

# Rows of several conditions, each its own; `arithmetic` and `lines_of_code` are of none.
OF_SEVERAL = ("across", "agreement")
OF_NONE = ("arithmetic", "lines_of_code")
# Of machines; a calibration holds for all conditions on one.
OF_MACHINES = ("calibration",)
Rows = dict[tuple[str, str], list[tuple[str, ...]]]


def write_everything(where: Path) -> Path:
    """The tables and the verdicts of an index; its folder."""
    index, to = read_index(where), where.parent
    write_normalised(index, to / "normalised")
    write_tables(index, to / "normalised", to / "tables", to / "metrics.json")
    measured = read_measured(index, to / "normalised", to / "tables/quality.csv")
    write_verdicts(index, measured, read_claims(ROOT), to / "tables", to / "verdicts.json")
    return to


@pytest.fixture(scope="module")
def together(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Everything of all conditions. Read it, do not change it."""
    return write_everything(write_results(tmp_path_factory.mktemp("mixed"), *conditions()))


@pytest.fixture(scope="module")
def apart(together: Path) -> dict[str, Path]:
    """Name of a condition -> everything of an index that has the same runs of it alone."""
    content = json.loads((together / "index.json").read_text())
    found = {}
    for name, condition in zip(
        read_index(together / "index.json").named, content["conditions"], strict=True
    ):
        where = together / "apart" / name / "index.json"
        where.parent.mkdir(parents=True)
        where.write_text(json.dumps(content | {"conditions": [condition]}))
        found[name] = write_everything(where)
    return found


def rows_of(path: Path) -> tuple[list[str], Rows]:
    """The columns of a file, and its rows as they are written, by machine and batch size."""
    found: Rows = defaultdict(list)
    with path.open(encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file)
        for row in reader:
            found[row["machine"], row["batch_size"]].append(tuple(row.values()))
    return list(reader.fieldnames or ()), found


NAMES = [f"normalised/{name}.csv" for name in FRAMES]
NAMES += [
    f"tables/{name}.csv"
    for name in (*TABLES, "verdicts")
    if name not in OF_SEVERAL + OF_NONE + OF_MACHINES
]


@pytest.mark.parametrize("name", NAMES)
def test_each_row_is_that_of_the_condition_by_itself(
    together: Path, apart: dict[str, Path], name: str
) -> None:
    columns, rows = rows_of(together / name)
    found: Rows = {}
    for folder in apart.values():
        own_columns, own = rows_of(folder / name)
        assert own_columns == columns and len(own) <= 1
        found |= own
    assert found == rows
    assert len(rows) == len(FACTORS)


def test_the_calibration_of_a_machine_stands_there_once(
    together: Path, apart: dict[str, Path]
) -> None:
    name = "tables/calibration.csv"
    own = [(folder / name).read_text().splitlines() for folder in apart.values()]
    rows = [row for lines in own for row in lines[1:]]
    assert (together / name).read_text().splitlines() == [own[0][0], *dict.fromkeys(rows)]
    assert len(rows) == 2 * len(set(rows))


def test_every_table_is_looked_at(together: Path) -> None:
    written = {path.stem for path in (together / "tables").glob("*.csv")}
    assert written == {Path(name).stem for name in NAMES if "tables" in name} | {
        *OF_SEVERAL,
        *OF_NONE,
        *OF_MACHINES,
    }


def test_timelines_numbers_and_verdicts_are_those_of_the_condition_by_itself(
    together: Path, apart: dict[str, Path]
) -> None:
    numbers, verdicts = (
        json.loads((together / f"{name}.json").read_text()) for name in ("metrics", "verdicts")
    )
    lines = {}
    judged = []
    for name, folder in apart.items():
        assert numbers[name] == json.loads((folder / "metrics.json").read_text())
        judged += json.loads((folder / "verdicts.json").read_text())["conditions"]
        for path in (folder / "normalised" / TIMELINES).rglob("*.npy"):
            lines[path.relative_to(folder)] = path.read_bytes()
    assert judged == verdicts["conditions"] and len(numbers) == len(FACTORS)
    found = (together / "normalised" / TIMELINES).rglob("*.npy")
    assert {path.relative_to(together): path.read_bytes() for path in found} == lines
    assert len(lines) == len(read_index(together / "index.json").finished)


def summary(folder: Path) -> list[dict[str, str]]:
    with (folder / "tables/summary.csv").open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_the_times_are_those_of_one_machine_and_value(together: Path) -> None:
    """The same said plainly: 3 s, 4.5, 24 and 36 s, a little more in each run, and nothing between."""
    for row in summary(together):
        if (row["dataset"], row["engine"], row["measure"]) == ("digits", "keras", "training_s"):
            factor = FACTORS[row["machine"], int(row["batch_size"])]
            # Each repetition of `made_run` takes 2 % more, and up to 1.2 % more on these.
            for name in ("median", "mean", "min", "max", "geometric_mean"):
                assert 3.0 * factor <= float(row[name]) <= 3.0 * factor * 1.06 * 1.012


def test_what_is_lost_in_one_condition_is_lost_in_no_other(together: Path) -> None:
    index = read_index(together / "index.json")
    (first, second, *_) = alone(index).conditions
    assert (first.lead["machine"], second.lead["machine"]) == (A, A)
    counts = {
        (row["machine"] == A, row["batch_size"], row["dataset"], row["engine"]): row["n"]
        for row in summary(together)
        if row["measure"] == "training_s"
    }
    few = {name: n for name, n in counts.items() if n != "4"}
    assert few == {(True, "64", "digits", "jax"): "0", (False, "16", "shapes", "keras"): "3"}
    assert len(counts) == 16
