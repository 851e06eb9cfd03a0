"""What a claim is about, as a weighted sum of groups of runs; an estimator is one pure function."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from evenground.analysis.statistics import Estimate, Repeated, added, blocked, known
from evenground.analysis.statistics import contrast as independent
from evenground.records import verdicts as records
from evenground.records.verdicts import Instrument

Group = tuple[str, str]
"""Role and dataset of a claim."""


class Arguments(records.Arguments):
    """What an estimator works on."""

    def measure_under(self, instrument: Instrument) -> str:
        """Return the measure under an instrument."""
        if instrument == "as-published" and self.measure_as_published:
            return self.measure_as_published
        return self.measure

    @property
    def roles(self) -> tuple[str, ...]:
        """Its roles, the numerator first."""
        if self.over is None:
            return (self.of,)
        return (self.of, self.over)

    @property
    def groups(self) -> list[Group]:
        """Role and dataset of every group of runs, in the order of `Claim.follows_from`."""
        return [(role, dataset) for dataset in self.datasets for role in self.roles]


@dataclass(frozen=True)
class Contrast:
    """The sum of weight times mean over groups.

    If `log`, the means are of logarithms, and the estimate is the exponential of the sum.
    """

    weights: Mapping[Group, float]
    log: bool

    def of_one(self, values: Mapping[Group, float]) -> float:
        """Return the contrast of one value per group, e.g. of published numbers."""
        if self.log:
            values = {group: math.log(value) for group, value in values.items()}
        total = added(weight * values[group] for group, weight in self.weights.items())
        if self.log:
            return math.exp(total)
        return total


def level(arguments: Arguments) -> Contrast:
    """Mean of `of`, in the measure's own unit; of several datasets the mean of their means."""
    share = 1 / len(arguments.datasets)
    return Contrast(dict.fromkeys(arguments.groups, share), log=False)


def mean_ratio(arguments: Arguments) -> Contrast:
    """Geometric mean over datasets, with equal weights, of the ratio of `of` over `over`."""
    share = 1 / len(arguments.datasets)
    weights = {}
    for role, dataset in arguments.groups:
        weights[role, dataset] = share
        if role == arguments.over:
            weights[role, dataset] = -share
    return Contrast(weights, log=True)


def ratio_of_ratios(arguments: Arguments) -> Contrast:
    """The ratio of `of` over `over` on the second dataset, over that on the first."""
    signs = (-1, 1, 1, -1)
    return Contrast(dict(zip(arguments.groups, signs, strict=True)), log=True)


ESTIMATORS: Mapping[str, Callable[[Arguments], Contrast]] = {
    "level": level,
    # On one dataset.
    "ratio": mean_ratio,
    "mean_ratio": mean_ratio,
    "ratio_of_ratios": ratio_of_ratios,
}
# Number of roles of each, and of datasets; None for any number of them.
SHAPES: Mapping[str, tuple[int, int | None]] = {
    "level": (1, None),
    "ratio": (2, 1),
    "mean_ratio": (2, None),
    "ratio_of_ratios": (2, 2),
}


@dataclass(frozen=True)
class Sampled:
    """The values of a group's runs, and the errors of their mean that more runs do not reduce."""

    values: Repeated
    # The step in which the values come, in their unit.
    resolution: float = 0.0
    # Of extrapolated values, the standard error of the formula, on logarithms.
    formula_error: float = 0.0

    def variance(self, log: bool) -> float:
        """Return the variance of the mean that no number of runs reduces, on the scale of the test.

        NaN if it is on logarithms and there is no value, or their mean is zero.
        """
        # A value read in steps of q is off by up to q / 2: a variance of q^2 / 12. Runs that read
        # the same are off by the same, so that it is not divided by their number.
        steps = self.resolution**2 / 12
        if not log:
            return steps
        values = known(list(self.values.values()))
        total = added(values)
        if total == 0:
            return math.nan
        mean = total / len(values)
        return steps / mean**2 + self.formula_error**2


def estimate_contrast(
    contrast: Contrast,
    groups: Mapping[Group, Sampled],
    blocks: Collection[int] | None,
    confidence: float,
) -> Estimate:
    """Return the contrast with Student's interval over complete `blocks`; for None with Welch's."""
    extra = added(
        weight**2 * groups[group].variance(contrast.log)
        for group, weight in contrast.weights.items()
    )
    if blocks is None:
        unpaired = []
        for group, weight in contrast.weights.items():
            unpaired.append((weight, list(groups[group].values.values())))
        return independent(unpaired, contrast.log, confidence, extra)
    paired = []
    for group, weight in contrast.weights.items():
        values = groups[group].values
        paired.append((weight, {block: values[block] for block in blocks if block in values}))
    return blocked(paired, contrast.log, confidence, extra)
