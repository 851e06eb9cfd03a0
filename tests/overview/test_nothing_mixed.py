"""No number of the overview or of a part mixes machine classes or values of a parameter.

Runs of machine A take 10 s and those of B 1000 s; with the larger batch size half as much again. Whatever is
measured is in that proportion too, so each number of a part must be that of the first part times a known
factor: a mean over two parts lies between and is found, which the last tests show.
"""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from analysis.synthetic import Made
from evenground.analysis.files import read_cells, read_csv
from evenground.analysis.side_by_side import Side
from evenground.errors import EvengroundError
from evenground.overview import machines, write
from evenground.overview.join import ALIKE, Joined, joined_tables
from evenground.overview.machines import AGREEMENT
from evenground.overview.parts import Parts, read_parts
from evenground.overview.scaling import scaling
from made_parts import draw, write_parts

pytestmark = pytest.mark.slow

A, B = "a-cpu-2c-8g-nogpu-aaa111", "b-cpu-2c-8g-nogpu-bbb222"
FACTORS = {(A, 32): 1.0, (A, 64): 1.5, (B, 32): 100.0, (B, 64): 150.0}
FIRST = (A, 32)
SETTINGS = [{"batch_size": 32}, {"batch_size": 64}]
RESULTS: dict[str, Any] = {
    "datasets": (("digits", "Digits", "mlp"),),
    "repetitions": 2,
    "grid_s": 1.0,
    "figures": True,
}
# Fixed parts of a run (0.2 s to its exit, what the machine's memory holds else, a step of the grid) are below
# this share, and a mean of two parts is off by a sixth at least.
TOLERANCE = 0.08
# The same in every part: counts, shares and ratios of two things that grow alike; the rest is in proportion.
SAME = {
    "order",
    "repetition",
    "attempts",
    "ratio",
    "df",
    "n",
    "integral_n",
    "place",
    "idle_share",
    "final_train_loss",
    "cv",
    "cores",
    # Of verdicts: what was published, and how it is judged.
    "published",
    "published_low",
    "published_high",
    "published_n",
    "tolerance",
    "confidence",
}
SAME_STARTS = ("n_", "share_")
# How far two samples are apart decides these, whatever the run.
BY_SAMPLING = ("range", "mean_curve_range")
RATIO_ENDS = ("low_95", "high_95")
PROPORTIONAL = {
    *("median", "mean", "min", "max", "low_95", "high_95", "t_s", "mean_s", "pct", "test_accuracy"),
    *("mean_low_95", "mean_high_95", "geometric_mean"),
    *(
        "training_s",
        "whole_process_s",
        "first_batch_s",
        "steady_s",
        "first_epoch_s",
        "later_epoch_s",
    ),
    "idle_s",
    *(
        "mean_curve_peak",
        "peak_median",
        "peak_min",
        "peak_max",
        "used_median",
        "used_min",
        "used_max",
    ),
    *("p95_median", "p95_min", "p95_max"),
}
MEASURED = ("cpu_pct", "rss_bytes", "machine_used_bytes", "free_used_bytes")


def run(
    machine: str, values: Mapping[str, Any], dataset: str, engine: str, repetition: int
) -> Made:
    """Every run of a part alike, all it takes in proportion to the part's factor."""
    factor = FACTORS[machine, values["batch_size"]]
    return Made(
        load_s=2 * factor,
        first_batch_s=2.5 * factor,
        steady_s=7.5 * factor,
        evaluate_s=0.5 * factor,
        linger_s=factor,
        # Nowhere so little that it were an idle window.
        cpu_pct=30 * factor,
        # So much that what the machine itself holds does not count.
        rss_bytes=int(2**43 * factor),
        accuracy=0.005 * factor,
    )


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The four parts and their overview; the path of parts.json. Read it, do not change it."""
    root = tmp_path_factory.mktemp("mixed")
    where = write_parts(root, [A, B], SETTINGS, run, **RESULTS)
    write.write_all(where, where.parent)
    return where


def exponent(column: str, row: Mapping[str, Any]) -> int:
    """With which power of the factor a number grows."""
    resource = str(row.get("resource", row.get("column", "")))
    since_boot = "cpu_since_boot_pct" in (resource, column.rpartition("_")[0], column)
    since_boot |= resource == "cpu" and row.get("instrument") == "as-published" and column == "pct"
    if column in SAME or column.startswith(SAME_STARTS) or row.get("measure") == "final_train_loss":
        return 0
    if "ratio" in row and column in RATIO_ENDS:
        return 0
    if column.startswith("integral_"):
        return 1 if since_boot else 2
    if since_boot:
        return 0
    assert column in PROPORTIONAL or column.startswith(MEASURED), (
        f"the check knows no column {column}"
    )
    return 2 if row.get("measure") == "cpu_s" else 1


def compare(name: str, frame: pd.DataFrame, first: pd.DataFrame, factor: float) -> int:
    """Assert that numbers of a part are those of the first part in proportion; how many there are."""
    assert len(frame) == len(first), name
    found = 0
    for mine, theirs in zip(frame.to_dict("records"), first.to_dict("records"), strict=True):
        # After the exit there is only what the machine itself holds.
        for column in [] if mine.get("moment") == "after exit" else mine:
            value, reference = mine[column], theirs[column]
            if isinstance(value, str) or value is None or str(column).startswith(BY_SAMPLING):
                continue
            assert math.isnan(value) == math.isnan(reference), f"{name}: {column} of {mine}"
            if not math.isnan(value):
                wanted = reference * factor ** exponent(str(column), mine)
                close = math.isclose(value, wanted, rel_tol=TOLERANCE, abs_tol=1e-9)
                assert close, f"{name}: {column} is {value}, not {wanted}, in {mine}"
                found += 1
    return found


def largest(frame: pd.DataFrame) -> pd.DataFrame:
    """Of what is over time the largest value of each line, as longer runs have more rows.

    Of what is by phase only the training: before and after it values follow from where the samples lie.
    """
    if "place" in frame.columns:
        return frame[frame["phase"].str.startswith(("first batch", "epoch"))]
    if "t_s" not in frame.columns:
        return frame
    by = [
        column for column in ("engine", "run", "resource", "instrument") if column in frame.columns
    ]
    frame = frame.drop(columns=[column for column in frame.columns if column.startswith("n_")])
    return frame.groupby(by, sort=False).max().reset_index() if by else frame.max().to_frame().T


def overview_rows(where: Path, part: tuple[str, int]) -> Iterator[tuple[str, pd.DataFrame]]:
    """Every table and figure of the overview: its name, and the rows that it says are of this part."""
    paths = [
        *sorted((where.parent / "tables").glob("*.csv")),
        *sorted((where.parent / "figures").glob("*.csv")),
    ]
    for path in paths:
        if path.stem not in (*ALIKE, AGREEMENT):
            frame = read_csv(path, ("machine", "batch_size"))
            mine = frame[(frame["machine"] == part[0]) & (frame["batch_size"] == part[1])]
            yield f"{path.parent.name}/{path.name}", mine.drop(columns=["machine", "batch_size"])


def part_rows(where: Path, part: tuple[str, int]) -> Iterator[tuple[str, pd.DataFrame]]:
    """Every table of a part and the data of every figure of it."""
    folder = where.parent / f"parts/{part[0]}_batch_size-{part[1]}"
    for path in [*sorted(folder.glob("tables/*.csv")), *sorted(folder.glob("figures/*.csv"))]:
        if path.stem not in ALIKE and not path.stem.startswith("samples_"):
            yield f"{path.parent.name}/{path.name}", largest(read_csv(path))


def check(where: Path) -> int:
    """Assert that nothing is mixed in the overview or the parts of `where`; how many numbers there are."""
    found = 0
    for rows in (overview_rows, part_rows):
        first = dict(rows(where, FIRST))
        for part, factor in FACTORS.items():
            for name, frame in rows(where, part):
                found += compare(f"{part}: {name}", frame, first[name], factor)
    return found


def test_no_number_mixes_machines_or_values(made: Path) -> None:
    assert check(made) > 2000


def test_the_times_are_those_of_one_machine_and_value(made: Path) -> None:
    """The same said plainly: 10 and 15 s, 1000 and 1500 s, and nothing between."""
    table = read_csv(made.parent / "tables/training_time.csv")
    rows = table[table["measure"] == "training_s"]
    frames = [rows, read_csv(made.parent / "figures/scaling_digits_batch_size_time.csv")]
    for frame in frames:
        assert len(frame) == 8
        for row in frame.to_dict("records"):
            known = 10.0 * FACTORS[row["machine"], row["batch_size"]]
            assert [row[name] for name in ("median", "mean", "min", "max")] == pytest.approx(
                [known] * 4
            )


def test_joined_rows_are_the_parts_own_cells(made: Path) -> None:
    parts = read_parts(made)
    for table in joined_tables(parts):
        if table.name not in ALIKE:
            theirs = [
                read_cells(part.folder / "tables" / f"{table.name}.csv") for part in parts.parts
            ]
            own = table.cells.drop(columns=["machine", "batch_size"])
            assert own.equals(pd.concat(theirs, ignore_index=True)), table.name


def test_a_part_is_what_it_is_without_the_others(made: Path, tmp_path: Path) -> None:
    """Byte for byte: nothing of the other parts is in its tables and figures."""
    alone = write_parts(tmp_path, [B], SETTINGS[1:], run, **RESULTS).parent / "parts"
    (part,) = alone.iterdir()
    beside = made.parent / "parts" / part.name
    names = [path.relative_to(part) for path in part.rglob("*.csv")]
    assert len(names) > 20
    for name in names:
        assert (part / name).read_bytes() == (beside / name).read_bytes(), name


# What follows shows that the check finds what it is for.


def mixed_scaling(over: list[str], parts: Parts) -> pd.DataFrame:
    """The table with each mean taken over all parts that are alike in `over`."""
    frame = scaling(parts)
    by = ["dataset", "engine", "measure", *over]
    return frame.assign(mean=frame.groupby(by)["mean"].transform("mean"))


def mixed_join(over: list[str], parts: Parts) -> list[Joined]:
    """The joined tables, with the times averaged over all parts that are alike in `over`."""
    tables = joined_tables(parts)
    for table in tables:
        if table.name == "training_time":
            means = table.cells.assign(mean=table.cells["mean"].astype("float64"))
            by = ["dataset", "engine", "measure", *over]
            table.cells["mean"] = means.groupby(by)["mean"].transform("mean").map(repr)
    return tables


@pytest.mark.parametrize("over", [["batch_size"], ["machine"]], ids=["machines", "values"])
@pytest.mark.parametrize(
    ("name", "mixed"), [("scaling", mixed_scaling), ("joined_tables", mixed_join)]
)
def test_a_mixed_mean_is_found(
    made: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    mixed: Any,
    over: list[str],
) -> None:
    shutil.copytree(made.parents[2], tmp_path / "copy")
    where = tmp_path / "copy" / made.relative_to(made.parents[2])
    monkeypatch.setattr(write, name, lambda parts: mixed(over, parts))
    write.write_all(where, where.parent)
    with pytest.raises(AssertionError, match="mean is"):
        check(where)


def test_a_mean_over_machines_beside_each_other_is_found(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both classes' values under the name of each."""
    shutil.copytree(made.parents[2], tmp_path / "copy")
    where = tmp_path / "copy" / made.relative_to(made.parents[2])
    real = machines.engines_by_machine

    def mixed(sides: list[Side]) -> pd.DataFrame:
        both = {
            key: dict(enumerate(value for side in sides for value in side.values[key].values()))
            for key in sides[0].values
        }
        return real([replace(side, values=both) for side in sides])

    monkeypatch.setattr(machines, "engines_by_machine", mixed)
    write.write_all(where, where.parent)
    with pytest.raises(AssertionError, match=r"engines_by_machine\.csv"):
        check(where)


def swap_in(
    made: Path, to: Path, part: tuple[str, int], other: tuple[str, int]
) -> tuple[Path, Path]:
    """A copy in which a run of `other` stands in the index of `part`: parts.json and that index."""
    shutil.copytree(made.parents[2], to)
    where = to / made.relative_to(made.parents[2])
    index, theirs = (
        where.parent / f"parts/{machine}_batch_size-{value}/index.json"
        for machine, value in (part, other)
    )
    content = json.loads(index.read_text())
    content["runs"][0] = json.loads(theirs.read_text())["runs"][0]
    index.write_text(json.dumps(content))
    return where, index


def test_a_run_of_another_value_in_a_part_is_found(made: Path, tmp_path: Path) -> None:
    where, index = swap_in(made, tmp_path / "copy", (A, 64), (A, 32))
    draw(index, figures=True)
    write.write_all(where, where.parent)
    with pytest.raises(AssertionError, match="not"):
        check(where)


def test_a_run_of_another_machine_in_a_part_is_refused(made: Path, tmp_path: Path) -> None:
    where, _ = swap_in(made, tmp_path / "copy", (A, 64), (B, 64))
    with pytest.raises(EvengroundError, match="several machine classes in one index"):
        write.write_all(where, where.parent)
