"""The input of verdicts: measures and conditions of every run, and findings about quality."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from evenground.analysis.files import read_csv
from evenground.analysis.groups import INVALID, WARNED
from evenground.analysis.normalise import COLUMNS_OF, normalise
from evenground.analysis.quality import quality_table
from evenground.analysis.tables import runs_table
from evenground.analysis.taken import NUMBERS
from evenground.errors import EvengroundError, set_aside
from evenground.records.index import Index

RUN_KEY = ["dataset", "engine", "repetition"]
MEASURE_KEY = [*RUN_KEY, "instrument", "measure", "resource"]
# What has no bound has an infinite attainable range; every other number is finite or missing.
FINITE = [name for name in NUMBERS if name not in ("low_attainable", "high_attainable")]
CONDITION_NUMBERS = ("processor_only", "launched_s", "exited_s", "idle_share", "up_s")
QUALITY = ("dataset", "engine", "repetition", "state", "finding", "reason")


Runs = set[tuple[str, str, int]]
"""Dataset, engine and repetition of each finished run."""


@dataclass(frozen=True)
class Measured:
    """The frames `measures` and `conditions` of `normalise.Normalised`, and the table `quality`."""

    measures: pd.DataFrame
    conditions: pd.DataFrame
    quality: pd.DataFrame


def read_measured(index: Index, normalised: Path, quality: Path) -> Measured:
    """Read the folder that `write_normalised` wrote for the index, and the table quality.csv.

    Raises EvengroundError if a file is missing, broken, or about other runs than the index.
    """
    runs = {(run.dataset, run.engine, run.repetition) for run in index.finished}
    return Measured(
        measures=_read_frame(normalised / "measures.csv", MEASURE_KEY, FINITE, runs),
        conditions=_read_frame(normalised / "conditions.csv", RUN_KEY, CONDITION_NUMBERS, runs),
        quality=_read_quality(quality, runs),
    )


def _read_frame(path: Path, key: list[str], numbers: Sequence[str], runs: Runs) -> pd.DataFrame:
    """A frame about these runs, one row per `key`, its columns `numbers` as finite floats or NaN.

    Raises EvengroundError for any other content.
    """
    frame = read_csv(path, COLUMNS_OF[path.stem])
    try:
        frame = frame.astype({**dict.fromkeys(numbers, "float64"), "repetition": "int64"})
    except ValueError as error:
        raise _broken(path, str(error)) from error
    if frame.duplicated(key).any():
        raise _broken(path, "a row is there twice")
    # An infinite value would make a verdict of nothing.
    for name in numbers:
        if np.isinf(frame[name]).any():
            raise _broken(path, f"{name} is infinite")
    # The folder may be left from another index.
    recorded = set(frame[RUN_KEY].itertuples(index=False, name=None))
    if recorded != runs:
        what = "its runs are not the finished runs of the index"
        raise EvengroundError(what, str(path), "run scripts/normalise.py again with this index")
    return frame


def _read_quality(path: Path, runs: Runs) -> pd.DataFrame:
    """The findings. Raises EvengroundError for an unknown state or run."""
    frame = read_csv(path, QUALITY)
    # Findings about a group have no repetition.
    of_runs = frame[frame["repetition"].notna()]
    named = set(of_runs[RUN_KEY].itertuples(index=False, name=None))
    if not set(frame["state"]) <= {INVALID, WARNED}:
        raise _broken(path, "a finding has an unknown state")
    if not named <= runs:
        raise _broken(path, "a finding is about a run that is not in the index")
    return frame


def _broken(path: Path, why: str) -> EvengroundError:
    return EvengroundError(f"broken table, {why}", str(path), set_aside(path))


def measure(index: Index) -> Measured:
    """The same from the runs themselves. Raises EvengroundError if one cannot be read."""
    frames = normalise(index)
    quality = quality_table(index, runs_table(index), frames.conditions)
    return Measured(measures=frames.measures, conditions=frames.conditions, quality=quality)
