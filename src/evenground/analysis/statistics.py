"""Summaries of a handful of repetitions, and contrasts of groups of runs with their intervals."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean, median, stdev, variance

from scipy.special import stdtrit

LEVEL = 0.95
# Below these an interval says nothing that a verdict may rest on (docs/claims.md).
MIN_RUNS, MIN_PAIRS = 3, 4
NOTHING = "no value"
TOO_FEW = "too few runs"
NOT_POSITIVE = "a value is not above zero"
NO_SPREAD = "every run gave the same value, and how finely it was measured is not known"
# A variance below this is the rounding of logarithms.
ROUNDING = 1e-30

Repeated = Mapping[int, float]
"""Repetition -> the value of its run, NaN where that is missing."""


def added(values: Iterable[float]) -> float:
    """Their sum, to the same bit under every Python: since 3.12 `sum` corrects what it rounds off."""
    total = 0.0
    for value in values:
        total += value
    return total


@dataclass(frozen=True)
class Summary:
    """Median, means, range and coefficient of variation of `n` values; NaN where it cannot be had.

    `geometric_mean` is NaN where a value is not above zero, `variation` (a share) of fewer than two values.
    """

    median: float
    mean: float
    geometric_mean: float
    variation: float
    minimum: float
    maximum: float
    n: int


@dataclass(frozen=True)
class Estimate:
    """A weighted sum of group means in its own unit with its interval, or NaN with the `reason`.

    `centre`, `se` and `spreads` are on the scale of the test: logarithms where `log`, the unit itself
    otherwise. `spreads`: variance of one block's contrast; of independent groups that of one run of each,
    with its weight. `n`: complete blocks, or runs of the smallest group. `level`: of the interval. `extra`:
    the part of the error's square that more runs make no smaller.
    """

    value: float
    low: float
    high: float
    df: float
    centre: float
    se: float
    log: bool
    spreads: tuple[float, ...]
    n: int = 0
    level: float = LEVEL
    extra: float = 0.0
    reason: str = ""

    @property
    def half_width(self) -> float:
        """Half the width of the interval, on the scale of the test."""
        return half_width(self.df, self.se, self.level)


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
    found = known(values)
    if not found:
        nan = math.nan
        return Summary(nan, nan, nan, nan, nan, nan, n=0)
    mean = fmean(found)
    positive = min(found) > 0
    return Summary(
        median=median(found),
        mean=mean,
        geometric_mean=math.exp(fmean(map(math.log, found))) if positive else math.nan,
        variation=stdev(found) / mean if len(found) > 1 and mean else math.nan,
        minimum=min(found),
        maximum=max(found),
        n=len(found),
    )


def pair_ratio(baseline: Repeated, other: Repeated) -> Ratio:
    """Geometric mean of `other` over that of `baseline`, of the repetitions that both have.

    The interval is Student's of the differences of logarithms (`blocked`). Below MIN_PAIRS pairs there is
    none, and the reason says so: another method would be chosen by what the data look like.
    """
    return _ratio(blocked([(-1, baseline), (1, other)], log=True), MIN_PAIRS)


def ratio_interval(baseline: Sequence[float], other: Sequence[float]) -> Ratio:
    """Geometric mean of `other` over that of `baseline`, of runs that are not paired, as of two machines.

    With y = ln x, d = mean(y2) - mean(y1), v_i = s_i^2 / n_i and se^2 = v1 + v2, the interval is
    exp(d -+ t(0.5 + LEVEL / 2, df) * se), df = se^4 / (v1^2 / (n1 - 1) + v2^2 / (n2 - 1)).
    Source: B. L. Welch, "The generalization of 'Student's' problem when several different population
    variances are involved", Biometrika 34 (1947), and F. E. Satterthwaite, Biometrics Bulletin 2
    (1946) for df; logarithms because times are positive and differ by factors. Below MIN_RUNS values
    on a side: no interval (NaN).
    """
    found = _ratio(contrast([(-1, baseline), (1, other)], log=True), MIN_RUNS)
    return replace(found, n_baseline=len(known(baseline)), n_other=len(known(other)))


def ratio_of_ratios(a: tuple[Repeated, Repeated], b: tuple[Repeated, Repeated]) -> Ratio:
    """The ratio of `b` (second over first) over that of `a`, each of pairs; a and b are two sources.

    Within a source the runs are paired, between the sources they are independent: Welch's interval of the
    difference of the two means of log ratios. `n_baseline` and `n_other` are the pairs of each source.
    """
    pairs = [_log_ratios(*side) for side in (a, b)]
    difference = contrast([(-1, pairs[0]), (1, pairs[1])], log=False)
    found = _ratio(_exponential(difference), MIN_PAIRS)
    return replace(found, n_baseline=len(pairs[0]), n_other=len(pairs[1]))


def _log_ratios(baseline: Repeated, other: Repeated) -> list[float]:
    """Logarithms of the ratios of the pairs of which both values are known and above zero."""
    found = []
    for repetition in sorted(baseline.keys() & other.keys()):
        below, above = baseline[repetition], other[repetition]
        if below > 0 and above > 0:
            found.append(math.log(above / below))
    return found


def _ratio(found: Estimate, least: int) -> Ratio:
    """The estimate as a ratio, without an interval where it rests on fewer runs or pairs than `least`."""
    reason = "no finished run" if found.reason == NOTHING else found.reason
    low, high, df = found.low, found.high, found.df
    if not reason and found.n < least:
        what = "pairs" if least == MIN_PAIRS else "runs a side"
        reason = f"{TOO_FEW}: {found.n}, an interval takes {least} {what}"
    if reason:
        low = high = df = math.nan
    return Ratio(found.value, low, high, df, found.n, found.n, reason)


def mean_interval(values: Sequence[float]) -> Estimate:
    """Student's interval of the mean of single runs' values; NaN is a missing value."""
    return contrast([(1.0, values)], log=False)


def blocked(
    groups: Sequence[tuple[float, Repeated]], log: bool, level: float = LEVEL, extra: float = 0.0
) -> Estimate:
    """The mean over blocks of the sum of weight times value over `groups`, with Student's interval.

    A repetition is a block; one that lacks a value of any group is left out. On logarithms where `log`.
    `extra` is a variance of the mean that no number of runs makes smaller, as that of a coarse scale; its
    degrees of freedom are infinite. Source: Student, Biometrika 6 (1908); R. A. Fisher, "The Design of
    Experiments" (1935) for randomised blocks.
    """
    blocks = sorted(set.intersection(*(_repetitions(values) for _, values in groups)))
    if not blocks:
        return _without(NOTHING, log)
    if log and min(values[block] for _, values in groups for block in blocks) <= 0:
        return _without(NOT_POSITIVE, log)
    rows = [[_scaled(values[block], log) for block in blocks] for _, values in groups]
    weights = [weight for weight, _ in groups]
    contrasts = [
        added(w * x for w, x in zip(weights, block, strict=True))
        for block in zip(*rows, strict=True)
    ]
    return _estimate(fmean(contrasts), [contrasts], log, level, extra)


def contrast(
    groups: Sequence[tuple[float, Sequence[float]]],
    log: bool,
    level: float = LEVEL,
    extra: float = 0.0,
) -> Estimate:
    """The sum of weight times mean over independent `groups`, on logarithms (then its exponential) or as is.

    With v_i = w_i^2 s_i^2 / n_i the interval is the sum -+ t(0.5 + level / 2, df) sqrt(sum v_i) and df =
    (sum v_i)^2 / sum(v_i^2 / (n_i - 1)). Source: B. L. Welch, Biometrika 34 (1947); F. E. Satterthwaite,
    Biometrics Bulletin 2 (1946); for one group it is Student's interval (Biometrika 6, 1908). NaN is a
    missing value; `extra` as by `blocked`.
    """
    values = [known(group) for _, group in groups]
    if not all(values):
        return _without(NOTHING, log)
    if log and min(map(min, values)) <= 0:
        return _without(NOT_POSITIVE, log)
    weighted = []
    for (weight, _), group in zip(groups, values, strict=True):
        weighted.append([weight * _scaled(value, log) for value in group])
    return _estimate(added(map(fmean, weighted)), weighted, log, level, extra)


def _estimate(
    centre: float, groups: Sequence[Sequence[float]], log: bool, level: float, extra: float
) -> Estimate:
    """The estimate at `centre`, whose error is that of the means of independent groups, and `extra`."""
    counts = [len(group) for group in groups]
    n = min(counts)
    if n < 2:
        return _without(TOO_FEW, log, math.exp(centre) if log else centre, n)
    spreads = tuple(variance(group) for group in groups)
    variances = [spread / count for spread, count in zip(spreads, counts, strict=True)]
    df, se = welch(variances, counts, extra)
    if se == 0:
        return _without(NO_SPREAD, log, math.exp(centre) if log else centre, n)
    half = half_width(df, se, level)
    found = Estimate(
        value=centre,
        low=centre - half,
        high=centre + half,
        df=df,
        centre=centre,
        se=se,
        log=log,
        spreads=spreads,
        n=n,
        level=level,
        extra=extra,
    )
    return _exponential(found) if log else found


def _exponential(found: Estimate) -> Estimate:
    """An estimate on logarithms with value and ends in the unit itself."""
    value, low, high = (math.exp(end) for end in (found.value, found.low, found.high))
    return replace(found, value=value, low=low, high=high, log=True)


def _without(reason: str, log: bool, value: float = math.nan, n: int = 0) -> Estimate:
    nan = math.nan
    return Estimate(value, nan, nan, nan, nan, nan, log, (), n, reason=reason)


def known(values: Sequence[float]) -> list[float]:
    """The values that are not missing."""
    return [float(value) for value in values if not math.isnan(value)]


def _repetitions(values: Repeated) -> set[int]:
    return {repetition for repetition, value in values.items() if not math.isnan(value)}


def _scaled(value: float, log: bool) -> float:
    return math.log(value) if log else float(value)


def welch(
    variances: Sequence[float], counts: Sequence[int], extra: float = 0.0
) -> tuple[float, float]:
    """Welch-Satterthwaite degrees of freedom and standard error of a sum of independent means.

    `variances` are those of the means (with their weights), in the square of their unit; `extra` is a further
    one with infinite degrees of freedom. Where there is no variance at all the degrees of freedom are NaN and
    the error is zero; where there is none but `extra` they are infinite.
    """
    sampled = added(variances)
    # Its square would underflow.
    if sampled < ROUNDING:
        return (math.inf, math.sqrt(extra)) if extra > ROUNDING else (math.nan, 0.0)
    total = sampled + extra
    df = total**2 / added(v**2 / (n - 1) for v, n in zip(variances, counts, strict=True))
    return df, math.sqrt(total)


def half_width(df: float, se: float, level: float = LEVEL) -> float:
    """Half the width of the t interval, in the unit of `se`."""
    return float(stdtrit(df, 0.5 + level / 2)) * se if se else 0.0
