"""What a claim is about, estimated from one number per run. An estimator is one pure function."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from pydantic import BaseModel, ConfigDict, Field

from evenground.analysis.index import Name
from evenground.analysis.statistics import Estimate, contrast
from evenground.claims.instruments import Instrument

Values = Mapping[tuple[str, str], Sequence[float]]


class Arguments(BaseModel):
    """What an estimator works on."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    measure: str = Field(description="What is taken of every run: a name of measures.py.")
    resource: str | None = Field(default=None, description="cpu, ram, gpu or vram; null for a time.")
    of: Name = Field(description="The role whose value is claimed, or stands above the line.")
    over: Name | None = Field(default=None, description="The role below the line.")
    datasets: tuple[Name, ...] = Field(min_length=1, description="Datasets, in order.")
    measure_as_published: str | None = Field(
        default=None, description="The measure under the as-published instrument, where it is another."
    )

    def taken(self, instrument: Instrument) -> str:
        """The measure under an instrument."""
        return (instrument == "as-published" and self.measure_as_published) or self.measure

    @property
    def roles(self) -> tuple[str, ...]:
        """Its roles, the one above the line first."""
        return (self.of,) if self.over is None else (self.of, self.over)

    @property
    def groups(self) -> list[tuple[str, str]]:
        """Role and dataset of every group of runs, in the order in which published numbers are named."""
        return [(role, dataset) for dataset in self.datasets for role in self.roles]


def level(given: Arguments, values: Values) -> Estimate:
    """Mean of `of`, in the measure's own unit; of several datasets the mean of their means.

    Source: Student, "The probable error of a mean", Biometrika 6 (1908); several datasets as `contrast`.
    """
    share = 1 / len(given.datasets)
    return contrast([(share, values[group]) for group in given.groups], log=False)


def ratio(given: Arguments, values: Values) -> Estimate:
    """Geometric mean of `of` over that of `over`, on one dataset.

    Source: B. L. Welch, Biometrika 34 (1947), on logarithms: `evenground.analysis.statistics.ratio_interval`.
    """
    return contrast([(1, values[given.groups[0]]), (-1, values[given.groups[1]])], log=True)


def mean_ratio(given: Arguments, values: Values) -> Estimate:
    """Geometric mean over datasets of the ratio of `of` over `over`, every dataset with the same weight.

    Source: as `ratio`; the mean of independent contrasts is a contrast.
    """
    share = 1 / len(given.datasets)
    weights = [share if role == given.of else -share for role, _ in given.groups]
    return contrast([(w, values[g]) for w, g in zip(weights, given.groups, strict=True)], log=True)


def ratio_of_ratios(given: Arguments, values: Values) -> Estimate:
    """The ratio of `of` over `over` on the second dataset, over that on the first.

    Source: as `ratio`, with four variances: `evenground.analysis.statistics.ratio_of_ratios`.
    """
    return contrast([(w, values[g]) for w, g in zip((-1, 1, 1, -1), given.groups, strict=True)], log=True)


ESTIMATORS: Mapping[str, Callable[[Arguments, Values], Estimate]] = {
    "level": level,
    "ratio": ratio,
    "mean_ratio": mean_ratio,
    "ratio_of_ratios": ratio_of_ratios,
}
# Number of roles of each, and of datasets where it is fixed.
SHAPES: Mapping[str, tuple[int, int | None]] = {
    "level": (1, None),
    "ratio": (2, 1),
    "mean_ratio": (2, None),
    "ratio_of_ratios": (2, 2),
}
