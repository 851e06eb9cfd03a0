"""The input of verdicts: measures and circumstances of every run, and findings about quality."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from evenground.analysis import quality
from evenground.analysis.experiment import Placed, alone, of_condition, read_led
from evenground.analysis.normalise import read_frame
from evenground.records.index import Index


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
    return Measured(
        measures=read_frame(experiment, normalised, "measures"),
        circumstances=read_frame(experiment, normalised, "circumstances"),
        quality=read_led(findings, experiment, quality.TABLE),
    )
