"""What a claim is about, as a weighted sum of groups of runs. An estimator is one pure function."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict, Field

from evenground.analysis.instruments import Instrument
from evenground.analysis.statistics import Estimate, Repeated, added, blocked, contrast
from evenground.validation import Name

Group = tuple[str, str]
"""Role and dataset of a claim."""


class Arguments(BaseModel):
    """What an estimator works on."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    measure: str = Field(description="What is taken of every run: a name of measures.py.")
    resource: str | None = Field(
        default=None, description="cpu, ram, gpu or vram; null for a time."
    )
    of: Name = Field(description="The role whose value is claimed, or stands above the line.")
    over: Name | None = Field(default=None, description="The role below the line.")
    datasets: tuple[Name, ...] = Field(min_length=1, description="Datasets, in order.")
    measure_as_published: str | None = Field(
        default=None,
        description="The measure under the as-published instrument, where it is another.",
    )

    def taken(self, instrument: Instrument) -> str:
        """The measure under an instrument."""
        return (instrument == "as-published" and self.measure_as_published) or self.measure

    @property
    def roles(self) -> tuple[str, ...]:
        """Its roles, the one above the line first."""
        return (self.of,) if self.over is None else (self.of, self.over)

    @property
    def groups(self) -> list[Group]:
        """Role and dataset of every group of runs, in the order in which published numbers are named."""
        return [(role, dataset) for dataset in self.datasets for role in self.roles]


@dataclass(frozen=True)
class Contrast:
    """The sum of weight times mean over groups, of logarithms (then its exponential) or of values."""

    weights: Mapping[Group, float]
    log: bool

    def of_one(self, values: Mapping[Group, float]) -> float:
        """Of one value a group, as of published numbers."""
        if not self.log:
            return added(weight * values[group] for group, weight in self.weights.items())
        return math.exp(
            added(weight * math.log(values[group]) for group, weight in self.weights.items())
        )


def level(given: Arguments) -> Contrast:
    """Mean of `of`, in the measure's own unit; of several datasets the mean of their means."""
    share = 1 / len(given.datasets)
    return Contrast(dict.fromkeys(given.groups, share), log=False)


def ratio(given: Arguments) -> Contrast:
    """Geometric mean of `of` over that of `over`, on one dataset."""
    above, below = given.groups
    return Contrast({above: 1, below: -1}, log=True)


def mean_ratio(given: Arguments) -> Contrast:
    """Geometric mean over datasets of the ratio of `of` over `over`, every dataset with the same weight."""
    share = 1 / len(given.datasets)
    signs = {given.of: 1, given.over: -1}
    return Contrast({group: signs[group[0]] * share for group in given.groups}, log=True)


def ratio_of_ratios(given: Arguments) -> Contrast:
    """The ratio of `of` over `over` on the second dataset, over that on the first."""
    signs = (-1, 1, 1, -1)
    return Contrast(dict(zip(given.groups, signs, strict=True)), log=True)


ESTIMATORS: Mapping[str, Callable[[Arguments], Contrast]] = {
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


@dataclass(frozen=True)
class Sampled:
    """The values of a group's runs, and what no number of runs makes more certain about their mean.

    `resolution`: the step in which the values come, in their unit. `formula_error`: of extrapolated ones, the
    standard error of the formula on logarithms.
    """

    values: Repeated
    resolution: float = 0.0
    formula_error: float = 0.0

    def variance(self, log: bool) -> float:
        """Variance that stays however many runs there are, on the scale of the test.

        A value read in steps of q is off by up to q / 2, which is a variance of q^2 / 12; runs that read the
        same are off by the same, so that it is not divided by their number.
        """
        steps = self.resolution**2 / 12
        if not log:
            return steps
        known = [value for value in self.values.values() if not math.isnan(value)]
        mean = added(known) / len(known) if known else math.nan
        return (steps / mean**2 if mean else math.nan) + self.formula_error**2


def estimate(
    given: Contrast,
    groups: Mapping[Group, Sampled],
    blocks: Collection[int] | None,
    confidence: float,
) -> Estimate:
    """The contrast with its interval: of complete `blocks` by Student's t, else (None) by Welch's."""
    extra = added(w**2 * groups[group].variance(given.log) for group, w in given.weights.items())
    if blocks is None:
        apart = [(w, list(groups[group].values.values())) for group, w in given.weights.items()]
        return contrast(apart, given.log, confidence, extra)
    paired = []
    for group, weight in given.weights.items():
        mine = groups[group].values
        paired.append((weight, {block: mine[block] for block in blocks if block in mine}))
    return blocked(paired, given.log, confidence, extra)
