"""Rows of one dataset and engine, and the columns that several tables share."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from evenground.analysis import columns
from evenground.analysis.statistics import summarise
from evenground.records.index import Condition

if TYPE_CHECKING:
    import pandas as pd

Rows = list[dict[str, object]]
INVALID, WARNED = "invalid", "warned"
RUN = list(columns.names_of(columns.RUN))
"""Names of the columns that identify a run."""


def groups(condition: Condition, runs: pd.DataFrame) -> list[tuple[dict[str, str], pd.DataFrame]]:
    """Names and rows of every dataset with each engine that trains on it."""
    found = []
    for dataset, engine in condition.groups():
        names = {"dataset": dataset.name, "engine": engine.name}
        found.append((names, group(runs, dataset.name, engine.name)))
    return found


def group(frame: pd.DataFrame, dataset: str, engine: str) -> pd.DataFrame:
    """The rows of one dataset and engine."""
    return frame[(frame["dataset"] == dataset) & (frame["engine"] == engine)]


def with_columns(runs: pd.DataFrame, frame: pd.DataFrame, names: list[str]) -> pd.DataFrame:
    """The table `runs` with columns of a frame of runs, empty for a run that it does not have."""
    return runs.merge(frame[RUN + names], on=RUN, how="left")


def counts(runs: pd.DataFrame) -> dict[str, int]:
    """Wanted runs, and those with a finding of each state; `runs` are rows of the table `runs`."""
    states = runs["quality"].str
    return {
        "n_wanted": len(runs),
        "n_invalid": int(states.contains(INVALID).sum()),
        "n_warned": int(states.contains(WARNED).sum()),
    }


def median_and_range(name: str, values: Iterable[float]) -> dict[str, float]:
    """What is in the columns of `columns.spread`."""
    summary = summarise(list(values))
    return {
        f"{name}_median": summary.median,
        f"{name}_min": summary.minimum,
        f"{name}_max": summary.maximum,
    }


def remarks(values: pd.Series[str]) -> list[str]:
    """Each remark on the runs of a group once, with the number of runs unless it is all of them."""
    found = []
    # Unsorted: in the order in which they first appear.
    for remark, count in values[values != ""].value_counts(sort=False).items():
        few = ""
        if count < len(values):
            few = f" ({count} of {len(values)} runs)"
        found.append(f"{remark}{few}")
    return found
