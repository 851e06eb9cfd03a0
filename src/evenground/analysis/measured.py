"""The input of verdicts: measures and conditions of every run, and findings about quality."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from evenground.analysis.files import read_csv
from evenground.analysis.index import Index
from evenground.analysis.normalise import COLUMNS_OF, normalise
from evenground.analysis.quality import quality_table
from evenground.analysis.tables import runs_table
from evenground.analysis.taken import NUMBERS
from evenground.errors import EvengroundError, set_aside

RUN_KEY = ["dataset", "engine", "repetition"]
CONDITION_NUMBERS = ("processor_only", "launched_s", "exited_s", "idle_share", "up_s")
QUALITY = ("dataset", "engine", "repetition", "state", "finding", "reason")


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
        measures=_read_frame(normalised, "measures", NUMBERS, runs),
        conditions=_read_frame(normalised, "conditions", CONDITION_NUMBERS, runs),
        quality=read_csv(quality, QUALITY),
    )


def _read_frame(
    folder: Path, name: str, numbers: Sequence[str], runs: set[tuple[str, str, int]]
) -> pd.DataFrame:
    """A frame about these runs, its columns `numbers` as floats. Raises as `read_measured`."""
    path = folder / f"{name}.csv"
    frame = read_csv(path, COLUMNS_OF[name])
    try:
        frame = frame.astype({**dict.fromkeys(numbers, "float64"), "repetition": "int64"})
    except ValueError as error:
        raise EvengroundError(f"broken table, {error}", str(path), set_aside(path)) from error
    # The folder may be left from another index.
    recorded = set(frame[RUN_KEY].itertuples(index=False, name=None))
    if recorded != runs:
        what = "its runs are not the finished runs of the index"
        raise EvengroundError(what, str(path), "run scripts/normalise.py again with this index")
    return frame


def measure(index: Index) -> Measured:
    """The same from the runs themselves. Raises EvengroundError if one cannot be read."""
    frames = normalise(index)
    quality = quality_table(index, runs_table(index), frames.conditions)
    return Measured(measures=frames.measures, conditions=frames.conditions, quality=quality)
