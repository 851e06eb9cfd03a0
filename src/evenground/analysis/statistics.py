"""Summaries of a handful of repetitions, and the ratio of two groups with its interval."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean, median, variance

from scipy.special import stdtrit

LEVEL = 0.95
NOTHING = "no value"
TOO_FEW = "fewer than two runs"
NOT_POSITIVE = "a value is not above zero"


def added(values: Iterable[float]) -> float:
    """Their sum, to the same bit under every Python: since 3.12 `sum` corrects what it rounds off."""
    total = 0.0
    for value in values:
        total += value
    return total


@dataclass(frozen=True)
class Summary:
    """Median, mean and range of `n` values in their own unit; all NaN when there is no value."""

    median: float
    mean: float
    minimum: float
    maximum: float
    n: int


@dataclass(frozen=True)
class Estimate:
    """A weighted sum of group means in its own unit, or NaN with the `reason`.

    `centre`, `se` and `spreads` (variance of one run of each group, with its weight) are on the scale of the
    test: logarithms where `log`, the unit itself otherwise.
    """

    value: float
    low: float
    high: float
    df: float
    centre: float
    se: float
    log: bool
    spreads: tuple[float, ...]
    reason: str = ""


@dataclass(frozen=True)
class Ratio:
    """A ratio of geometric means with its interval; NaN with a `reason` where it cannot be had."""

    ratio: float
    low: float
    high: float
    df: float
    n_baseline: int
    n_other: int
    reason: str


def summarise(values: Sequence[float]) -> Summary:
    """Summary of the values that were measured: NaN is missing, neither zero nor counted."""
    known = _known(values)
    if not known:
        return Summary(math.nan, math.nan, math.nan, math.nan, 0)
    return Summary(median(known), fmean(known), min(known), max(known), len(known))


def ratio_interval(baseline: Sequence[float], other: Sequence[float], level: float = LEVEL) -> Ratio:
    """Geometric mean of `other` over that of `baseline`, with Welch's t interval on the logarithms.

    With y = ln x, d = mean(y2) - mean(y1), v_i = s_i^2 / n_i and se^2 = v1 + v2, the interval is
    exp(d -+ t(1 - (1 - level) / 2, df) * se), df = se^4 / (v1^2 / (n1 - 1) + v2^2 / (n2 - 1)).
    Source: B. L. Welch, "The generalization of 'Student's' problem when several different population
    variances are involved", Biometrika 34 (1947), and F. E. Satterthwaite, Biometrics Bulletin 2
    (1946) for df; logarithms because times are positive and differ by factors. Fewer than two values
    on a side: no interval (NaN). No variance on either side: the interval is the point itself, df NaN.
    """
    return _ratio(contrast([(-1, baseline), (1, other)], True, level), [baseline], [other])


def ratio_of_ratios(
    a: tuple[Sequence[float], Sequence[float]],
    b: tuple[Sequence[float], Sequence[float]],
    level: float = LEVEL,
) -> Ratio:
    """The ratio of `b` (second over first) over that of `a`, with its interval.

    As `ratio_interval`, with d the difference of the two differences of means of logarithms and the
    variances of all four groups: Satterthwaite's approximation holds for any sum of variances.
    `n_baseline` and `n_other` are the smaller number of values on each side.
    """
    found = contrast([(1, a[0]), (-1, a[1]), (-1, b[0]), (1, b[1])], True, level)
    return _ratio(found, a, b)


def _ratio(found: Estimate, baseline: Sequence[Sequence[float]], other: Sequence[Sequence[float]]) -> Ratio:
    counts = [min(len(_known(values)) for values in side) for side in (baseline, other)]
    reason = "no finished run" if found.reason == NOTHING else found.reason
    return Ratio(found.value, found.low, found.high, found.df, counts[0], counts[1], reason)


def mean_interval(values: Sequence[float]) -> Estimate:
    """Student's interval of the mean of single runs' values; NaN is a missing value."""
    return contrast([(1.0, values)], log=False)


def contrast(groups: Sequence[tuple[float, Sequence[float]]], log: bool, level: float = LEVEL) -> Estimate:
    """The sum of weight times mean over `groups`, on logarithms (then as its exponential) or as it is.

    With v_i = w_i^2 s_i^2 / n_i the interval is the sum -+ t(0.5 + level / 2, df) sqrt(sum v_i) and df =
    (sum v_i)^2 / sum(v_i^2 / (n_i - 1)). Source: B. L. Welch, Biometrika 34 (1947); F. E. Satterthwaite,
    Biometrics Bulletin 2 (1946); for one group it is Student's interval (Biometrika 6, 1908). NaN is a
    missing value.
    """
    known = [_known(values) for _, values in groups]
    counts, weights = [len(values) for values in known], [weight for weight, _ in groups]
    if min(counts) == 0:
        return _without(NOTHING, log)
    if log and min(min(values) for values in known) <= 0:
        return _without(NOT_POSITIVE, log)
    scaled = [[math.log(value) for value in values] for values in known] if log else known
    centre = added(weight * fmean(values) for weight, values in zip(weights, scaled, strict=True))
    if min(counts) < 2:
        return _without(TOO_FEW, log, math.exp(centre) if log else centre)
    spreads = [w**2 * variance(values) for w, values in zip(weights, scaled, strict=True)]
    df, se = welch([s / n for s, n in zip(spreads, counts, strict=True)], counts)
    half = half_width(df, se, level)
    ends = (centre, centre - half, centre + half)
    value, low, high = (math.exp(end) for end in ends) if log else ends
    return Estimate(value, low, high, df, centre, se, log, tuple(spreads))


def _without(reason: str, log: bool, value: float = math.nan) -> Estimate:
    nan = math.nan
    return Estimate(value, nan, nan, nan, nan, nan, log, (), reason)


def _known(values: Sequence[float]) -> list[float]:
    return [float(value) for value in values if not math.isnan(value)]


def welch(variances: Sequence[float], counts: Sequence[int]) -> tuple[float, float]:
    """Welch-Satterthwaite degrees of freedom and standard error of a sum of independent means.

    `variances` are those of the means (with their weights), in the square of their unit. Where there is no
    variance at all the degrees of freedom are NaN and the error is zero.
    """
    total = added(variances)
    # Below this the spread is rounding of the logarithms, and its square would underflow.
    if total < 1e-30:
        return math.nan, 0.0
    df = total**2 / added(v**2 / (n - 1) for v, n in zip(variances, counts, strict=True))
    return df, math.sqrt(total)


def half_width(df: float, se: float, level: float = LEVEL) -> float:
    """Half the width of the t interval, in the unit of `se`."""
    return float(stdtrit(df, 0.5 + level / 2)) * se if se else 0.0
