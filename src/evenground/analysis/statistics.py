"""Summaries of a handful of repetitions, and the ratio of two groups with its interval."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
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
    a = [value for value in baseline if not math.isnan(value)]
    b = [value for value in other if not math.isnan(value)]
    if not a or not b or min(*a, *b) <= 0:
        reason = "no finished run" if not a or not b else "a value is not above zero"
        return Ratio(math.nan, math.nan, math.nan, math.nan, len(a), len(b), reason)
    y1, y2 = [math.log(value) for value in a], [math.log(value) for value in b]
    d = fmean(y2) - fmean(y1)
    if len(a) < 2 or len(b) < 2:
        return Ratio(math.exp(d), math.nan, math.nan, math.nan, len(a), len(b), "fewer than two runs")
    v1, v2 = variance(y1) / len(y1), variance(y2) / len(y2)
    df, half = _welch(v1, v2, len(y1), len(y2), level)
    return Ratio(math.exp(d), math.exp(d - half), math.exp(d + half), df, len(a), len(b), "")


def _welch(v1: float, v2: float, n1: int, n2: int, level: float) -> tuple[float, float]:
    """Welch-Satterthwaite degrees of freedom and half the interval's width."""
    total = v1 + v2
    # Below this the spread is rounding of the logarithms, and its square would underflow.
    if total < 1e-30:
        return math.nan, 0.0
    df = total**2 / (v1**2 / (n1 - 1) + v2**2 / (n2 - 1))
    return df, float(stdtrit(df, 0.5 + level / 2)) * math.sqrt(total)
