"""Rows of one dataset and engine, and the columns that several tables share."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from evenground.analysis.statistics import summarise
from evenground.records.index import Index

if TYPE_CHECKING:
    import pandas as pd

Rows = list[dict[str, object]]
INVALID, WARNED = "invalid", "warned"
RUN = ["dataset", "engine", "repetition"]
"""The columns that identify a run."""


def groups(index: Index, runs: pd.DataFrame) -> list[tuple[dict[str, str], pd.DataFrame]]:
    """Names and rows of every dataset with each engine that trains on it."""
    found = []
    for dataset, engine in index.groups():
        names = {"dataset": dataset.name, "engine": engine.name}
        found.append((names, group(runs, dataset.name, engine.name)))
    return found


def group(frame: pd.DataFrame, dataset: str, engine: str) -> pd.DataFrame:
    """The rows of one dataset and engine."""
    return frame[(frame["dataset"] == dataset) & (frame["engine"] == engine)]


def with_columns(
    runs: pd.DataFrame, frame: pd.DataFrame, columns: list[str], before: str
) -> pd.DataFrame:
    """The table `runs` with numbers of a frame of runs, put before the column `before`."""
    found = runs[RUN].merge(frame[RUN + columns], on=RUN, how="left")
    wider = runs.copy()
    place = list(runs.columns).index(before)
    for offset, name in enumerate(columns):
        wider.insert(place + offset, name, found[name].astype("float64").to_numpy())
    return wider


def counts(runs: pd.DataFrame) -> dict[str, int]:
    """Finished, wanted and flagged runs; `runs` are a group's rows of the table of that name."""
    return {"n": int((runs["status"] == "finished").sum()), "n_wanted": len(runs), **flagged(runs)}


def flagged(runs: pd.DataFrame) -> dict[str, int]:
    """Runs with at least one finding of each state."""
    quality = runs["quality"].str
    return {f"n_{state}": int(quality.contains(state).sum()) for state in (INVALID, WARNED)}


def spread(name: str, values: Iterable[float]) -> dict[str, float]:
    """Median and range, as the columns NAME_median, NAME_min and NAME_max."""
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
