"""Rows of one dataset and engine, and what every table says of them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from evenground.analysis.index import Index
from evenground.analysis.statistics import summarise

if TYPE_CHECKING:
    import pandas as pd

Rows = list[dict[str, object]]
INVALID, WARNED = "invalid", "warned"


def groups(index: Index, runs: pd.DataFrame) -> list[tuple[dict[str, str], pd.DataFrame]]:
    """Names and rows of every dataset with every engine that shall train on it."""
    return [
        ({"dataset": d.name, "engine": e.name}, group(runs, d.name, e.name))
        for d, e in index.groups()
    ]


def group(frame: pd.DataFrame, dataset: str, engine: str) -> pd.DataFrame:
    """The rows of one dataset and engine."""
    return frame[(frame["dataset"] == dataset) & (frame["engine"] == engine)]


def summary(values: pd.Series[float]) -> dict[str, float]:
    """Median, mean and range, as a table's columns."""
    found = summarise(values.tolist())
    return {"median": found.median, "mean": found.mean, "min": found.minimum, "max": found.maximum}


def counts(runs: pd.DataFrame) -> dict[str, int]:
    """Finished and wanted runs of a group's rows of the table `runs`, and how many of them are flagged."""
    return {"n": int((runs["status"] == "finished").sum()), "n_wanted": len(runs), **flagged(runs)}


def flagged(runs: pd.DataFrame) -> dict[str, int]:
    """Runs with at least one finding of each kind."""
    return {
        f"n_{state}": int(runs["quality"].str.contains(state).sum()) for state in (INVALID, WARNED)
    }


def spread(name: str, values: Iterable[float]) -> dict[str, float]:
    """Median and range, as the columns NAME_median, NAME_min and NAME_max."""
    found = summarise(list(values))
    return {
        f"{name}_median": found.median,
        f"{name}_min": found.minimum,
        f"{name}_max": found.maximum,
    }


def remarks(values: pd.Series[str]) -> list[str]:
    """Each remark on the runs of a group once, with the number of runs where that is not all of them."""
    found = []
    for remark, count in values[values != ""].value_counts(sort=False).items():
        few = f" ({count} of {len(values)} runs)" if count < len(values) else ""
        found.append(f"{remark}{few}")
    return found
