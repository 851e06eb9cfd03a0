"""What verdicts are made of: the measures of every run, how it was made, and what speaks against it."""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from evenground.analysis.files import read_csv
from evenground.analysis.groups import INVALID, WARNED
from evenground.analysis.index import Index
from evenground.analysis.normalise import COLUMNS_OF, normalise
from evenground.analysis.quality import quality_table
from evenground.analysis.tables import runs_table
from evenground.analysis.taken import NUMBERS
from evenground.errors import EvengroundError, set_aside

RUN_KEY = ("dataset", "engine", "repetition")
MEASURE_KEY = (*RUN_KEY, "instrument", "measure", "resource")
# What has no bound is attainable without one; all else is a finite number, or missing.
FINITE = tuple(name for name in NUMBERS if name not in ("low_attainable", "high_attainable"))
CONDITIONS = ("processor_only", "launched_s", "exited_s", "idle_share", "up_s")
QUALITY = ("dataset", "engine", "repetition", "state", "finding", "reason")


@dataclass(frozen=True)
class Measured:
    """The frames `measures` and `conditions`, columns as in `normalise.Normalised`; the table `quality`."""

    measures: pd.DataFrame
    conditions: pd.DataFrame
    quality: pd.DataFrame


def read_measured(index: Index, normalised: Path, quality: Path) -> Measured:
    """From the folder that `write_normalised` wrote of the index, and the table quality.csv.

    Raises EvengroundError where a file is missing or broken, or is of other runs than those of the index.
    """
    found = Measured(
        measures=_read(normalised / "measures.csv", COLUMNS_OF["measures"], MEASURE_KEY, FINITE),
        conditions=_read(
            normalised / "conditions.csv", COLUMNS_OF["conditions"], RUN_KEY, CONDITIONS
        ),
        quality=_read(quality, QUALITY, (), ()),
    )
    runs = {(run.dataset, run.engine, run.repetition) for run in index.finished}
    _refuse_other_runs(found.conditions, runs, normalised / "conditions.csv")
    if len(found.measures) or runs:
        _refuse_other_runs(found.measures, runs, normalised / "measures.csv")
    _refuse_states(found.quality, runs, quality)
    return found


def _read(
    path: Path, columns: Sequence[str], key: Sequence[str], numbers: Sequence[str]
) -> pd.DataFrame:
    """A table with a row for each `key`, and finite or no values in `numbers`."""
    frame = read_csv(path, tuple(columns))
    try:
        if key:
            frame = frame.astype({**dict.fromkeys(numbers, "float64"), "repetition": "int64"})
    except ValueError as error:
        raise EvengroundError(f"broken table, {error}", str(path), set_aside(path)) from error
    if key and frame.duplicated([*key]).any():
        raise EvengroundError("broken table, a row stands there twice", str(path), set_aside(path))
    for name in numbers:
        if np.isinf(frame[name]).any():
            raise EvengroundError(f"broken table, {name} is infinite", str(path), set_aside(path))
    return frame


def _refuse_other_runs(frame: pd.DataFrame, runs: Set[tuple[str, str, int]], path: Path) -> None:
    there = set(frame[[*RUN_KEY]].drop_duplicates().itertuples(index=False, name=None))
    if there != runs:
        what = (
            f"the table is of {len(there)} runs, not of the {len(runs)} finished ones of the index"
        )
        raise EvengroundError(what, str(path), "make it anew: scripts/normalise.py of this index")


def _refuse_states(quality: pd.DataFrame, runs: Set[tuple[str, str, int]], path: Path) -> None:
    """Raise for a finding with an unknown state, or about a run that the index does not have."""
    own = quality[quality["repetition"].notna()]
    named = {(str(row.dataset), str(row.engine), row.repetition) for row in own.itertuples()}
    if not set(quality["state"]) <= {INVALID, WARNED} or not named <= runs:
        what = (
            "broken table, a finding of an unknown state or about a run that is none of the index"
        )
        raise EvengroundError(what, str(path), set_aside(path))


def measure(index: Index) -> Measured:
    """The same from the runs themselves; EvengroundError where one cannot be read."""
    frames = normalise(index)
    quality = quality_table(index, runs_table(index), frames.conditions)
    return Measured(measures=frames.measures, conditions=frames.conditions, quality=quality)
