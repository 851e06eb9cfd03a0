"""How times and memory change with the swept parameters: a long table, from the parts' own tables."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from evenground.analysis.files import read_csv
from evenground.analysis.groups import group
from evenground.analysis.side_by_side import UNITS, USES
from evenground.analysis.statistics import mean_interval, summarise
from evenground.overview.join import Joined, as_cells, part_note
from evenground.overview.parts import Part, Parts

NAME, HEADING = "scaling", "Times, memory and accuracy by machine and parameter"
OF_RUNS = ("training_s", "whole_process_s", "test_accuracy")
OF_RESOURCES = ("cpu_s", "peak_rss_bytes", "peak_vram_used_bytes")
# Said only where it was measured, as most machines have none.
WHERE_MEASURED = ("peak_vram_used_bytes",)
NUMBERS = ("median", "mean", "low_95", "high_95", "geometric_mean", "cv", "min", "max")
_NOTE = (
    "`training_s`: start of training to its end; `whole_process_s`: launch to exit, less the time it was "
    "told to linger; `test_accuracy`: share of test examples recognised. These have a mean with its 95 % "
    "interval by Student's t, from two runs on, a geometric mean and the coefficient of variation (`cv`, a "
    "share). `cpu_s`: CPU seconds; `peak_rss_bytes`: peak memory of the engine's processes, the kernel's own "
    "mark where it is higher than any sample; `peak_vram_used_bytes`: that of the whole graphics card, only "
    "where it was measured. These are of the training and have, as in `resources`, median, smallest and "
    "largest run."
)


def scaling(parts: Parts) -> pd.DataFrame:
    """Long: machine, dataset, engine, the swept parameters, measure, unit, n, n_wanted and the numbers.

    Numbers are of the runs of one part: seconds, bytes or a share, as `unit` says. EvengroundError when a
    part's table is missing or broken.
    """
    rows = [row for part in parts.parts for row in _rows(part)]
    columns = [
        "machine",
        "dataset",
        "engine",
        *parts.swept,
        "measure",
        "unit",
        "n",
        "n_wanted",
        *NUMBERS,
    ]
    return pd.DataFrame(rows, columns=columns)


def scaling_table(parts: Parts, frame: pd.DataFrame) -> Joined:
    """The frame as a table of the overview."""
    return Joined(NAME, HEADING, f"{_NOTE}\n\n{part_note(parts)}", as_cells(frame))


def _rows(part: Part) -> list[dict[str, object]]:
    """The rows of one part, by dataset and engine."""
    tables = part.folder / "tables"
    runs = read_csv(tables / "runs.csv", ("dataset", "engine", "status", *OF_RUNS))
    resources = read_csv(
        tables / "resources.csv", ("dataset", "engine", "resource", "n", "integral_n")
    )
    rows: list[dict[str, object]] = []
    for dataset, engine in part.index.groups():
        names = {
            "machine": part.machine,
            "dataset": dataset.name,
            "engine": engine.name,
            **part.settings,
        }
        mine = group(runs, dataset.name, engine.name)
        used = group(resources, dataset.name, engine.name)
        wanted = {"n_wanted": len(mine)}
        found = {name: _of_runs(mine[name].tolist()) for name in OF_RUNS}
        found |= {name: _of_resource(used, name) for name in OF_RESOURCES}
        rows += [
            {**names, "measure": name, "unit": UNITS[name], **wanted, **numbers}
            for name, numbers in found.items()
            if numbers["n"] or name not in WHERE_MEASURED
        ]
    return rows


def _of_runs(values: Sequence[float]) -> dict[str, float]:
    """Summary of single runs' values, with Student's interval of their mean."""
    found, interval = summarise(values), mean_interval(values)
    return {
        "n": found.n,
        "median": found.median,
        "mean": found.mean,
        "low_95": interval.low,
        "high_95": interval.high,
        "geometric_mean": found.geometric_mean,
        "cv": found.variation,
        "min": found.minimum,
        "max": found.maximum,
    }


def _of_resource(resources: pd.DataFrame, measure: str) -> dict[str, float]:
    """Median and range of a measure of the table `resources`, which holds no mean over runs."""
    _, column, figure = USES[measure]
    mine = resources[resources["resource"] == column]
    if mine.empty:
        return {"n": 0}
    row = mine.iloc[0]
    count = row["n" if figure == "peak" else f"{figure}_n"]
    return {"n": int(count), **{name: row[f"{figure}_{name}"] for name in ("median", "min", "max")}}
