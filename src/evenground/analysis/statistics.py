"""Summaries of a handful of repetitions, and the ratio of two groups with its interval."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import fmean, median, variance

from scipy.special import stdtrit

LEVEL = 0.95


@dataclass(frozen=True)
class Summary:
    """Median, mean and range of `n` values in their own unit; all NaN when there is no value."""

    median: float
    mean: float
    minimum: float
    maximum: float
    n: int


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
    known = [float(value) for value in values if not math.isnan(value)]
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
    return _contrast([(-1, baseline), (1, other)], level)


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
    found = _contrast([(1, a[0]), (-1, a[1]), (-1, b[0]), (1, b[1])], level)
    counts = [sum(not math.isnan(value) for value in values) for values in (*a, *b)]
    return replace(found, n_baseline=min(counts[:2]), n_other=min(counts[2:]))


def _contrast(groups: Sequence[tuple[int, Sequence[float]]], level: float) -> Ratio:
    """exp of the signed sum of the groups' means of logarithms; the first and last group give the counts."""
    known = [[value for value in values if not math.isnan(value)] for _, values in groups]
    counts = [len(values) for values in known]
    nothing = Ratio(math.nan, math.nan, math.nan, math.nan, counts[0], counts[-1], "")
    if min(counts) == 0:
        return replace(nothing, reason="no finished run")
    if min(min(values) for values in known) <= 0:
        return replace(nothing, reason="a value is not above zero")
    logs = [[math.log(value) for value in values] for values in known]
    d = sum(sign * fmean(values) for (sign, _), values in zip(groups, logs, strict=True))
    if min(counts) < 2:
        return replace(nothing, ratio=math.exp(d), reason="fewer than two runs")
    df, se = welch([variance(values) / len(values) for values in logs], counts)
    half = half_width(df, se, level)
    return replace(nothing, ratio=math.exp(d), low=math.exp(d - half), high=math.exp(d + half), df=df)


def welch(variances: Sequence[float], counts: Sequence[int]) -> tuple[float, float]:
    """Welch-Satterthwaite degrees of freedom and standard error of a sum of independent means.

    `variances` are those of the means (with their weights), in the square of their unit. Where there is no
    variance at all the degrees of freedom are NaN and the error is zero.
    """
    total = sum(variances)
    # Below this the spread is rounding of the logarithms, and its square would underflow.
    if total < 1e-30:
        return math.nan, 0.0
    df = total**2 / sum(v**2 / (n - 1) for v, n in zip(variances, counts, strict=True))
    return df, math.sqrt(total)


def half_width(df: float, se: float, level: float = LEVEL) -> float:
    """Half the width of the t interval, in the unit of `se`."""
    return float(stdtrit(df, 0.5 + level / 2)) * se if se else 0.0
