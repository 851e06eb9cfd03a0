"""The input of verdicts: measures and circumstances of every run, and findings about quality."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from evenground.analysis import quality
from evenground.analysis.experiment import Experiment, Placed, alone, of_condition, read_led
from evenground.analysis.groups import INVALID, RUN, WARNED
from evenground.analysis.normalise import read_frame
from evenground.errors import EvengroundError, set_aside
from evenground.records.index import Condition, Index

# What has no bound has an infinite attainable range; every other number is finite or missing.
UNBOUNDED = ["low_attainable", "high_attainable"]


@dataclass(frozen=True)
class Measured:
    """The frames `measures` and `circumstances` of `normalise.Normalised`, and the table `quality`."""

    measures: pd.DataFrame
    circumstances: pd.DataFrame
    quality: pd.DataFrame

    def of(self, placed: Placed) -> Measured:
        """The rows of one condition."""
        return Measured(**{name: of_condition(frame, placed) for name, frame in vars(self).items()})


def read_measured(index: Index, normalised: Path, findings: Path) -> Measured:
    """Read the folder that `write_normalised` wrote for the index, and the table `findings`.

    Raises EvengroundError if a file is missing, broken, or about other runs than the index.
    """
    experiment = alone(index)
    measured = Measured(
        measures=_read_frame(experiment, normalised, "measures"),
        circumstances=_read_frame(experiment, normalised, "circumstances"),
        quality=_read_quality(experiment, findings),
    )
    for placed in experiment.conditions:
        _check_findings(measured.of(placed).quality, placed.condition, findings)
    return measured


def _read_frame(experiment: Experiment, normalised: Path, name: str) -> pd.DataFrame:
    """A frame with numbers that are finite or NaN; raises EvengroundError for any other content."""
    frame = read_frame(experiment, normalised, name)
    # An infinite value would make a verdict of nothing.
    infinite = np.isinf(frame.select_dtypes("float64").drop(columns=UNBOUNDED, errors="ignore"))
    if infinite.any(axis=None):
        raise _broken(normalised / f"{name}.csv", "a number is infinite")
    return frame


def _read_quality(experiment: Experiment, path: Path) -> pd.DataFrame:
    """The findings. Raises EvengroundError for an unknown state."""
    frame = read_led(path, experiment, quality.TABLE)
    if not set(frame["state"]) <= {INVALID, WARNED}:
        raise _broken(path, "a finding has an unknown state")
    return frame


def _check_findings(findings: pd.DataFrame, condition: Condition, path: Path) -> None:
    """Raises EvengroundError for a finding about another run than the finished ones."""
    runs = {(run.dataset, run.engine, run.repetition) for run in condition.finished}
    # Findings about a group have no repetition.
    of_runs = findings[findings["repetition"].notna()]
    if not set(of_runs[RUN].itertuples(index=False, name=None)) <= runs:
        raise _broken(path, "a finding is about a run that is not in the index")


def _broken(path: Path, why: str) -> EvengroundError:
    return EvengroundError(f"broken table, {why}", str(path), set_aside(path))
