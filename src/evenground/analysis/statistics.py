"""Summaries of a handful of repetitions, and contrasts of groups of runs with their intervals."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean, median, stdev, variance

from scipy.special import stdtrit

LEVEL = 0.95
# With fewer runs or pairs an interval is too uncertain for a verdict to rest on (docs/claims.md).
MIN_RUNS, MIN_PAIRS = 3, 4
NOTHING = "no value"
TOO_FEW = "too few runs"
NOT_POSITIVE = "a value is not above zero"
NO_SPREAD = "every run gave the same value, and how finely it was measured is not known"
# A variance below this is the rounding of logarithms.
ROUNDING = 1e-30

Repeated = Mapping[int, float]
"""Repetition -> the value of its run, NaN if it is missing."""


def added(values: Iterable[float]) -> float:
    """Sum the values, to the same bit under every Python version.

    Since 3.12 the built-in `sum` compensates for rounding errors, which earlier versions do not.
    """
    total = 0.0
    for value in values:
        total += value
    return total


@dataclass(frozen=True)
class Summary:
    """Median, means, range and coefficient of variation of `n` values; NaN if undefined.

    `geometric_mean` needs values above zero, `variation` (a share of the mean) at least two values.
    """

    median: float = math.nan
    mean: float = math.nan
    geometric_mean: float = math.nan
    variation: float = math.nan
    minimum: float = math.nan
    maximum: float = math.nan
    n: int = 0


@dataclass(frozen=True)
class Estimate:
    """A weighted sum of group means in its own unit with its interval, or NaN with the `reason`.

    `centre`, `se` and `spreads` are on the scale of the test: logarithms if `log`, else the unit
    itself. `spreads`: variance of one block's contrast; for independent groups the variance of one
    run of each, including its weight. `n`: complete blocks, or runs of the smallest group.
    `level`: confidence level of the interval. `extra`: the part of the squared error that more
    runs do not reduce.
    """

    value: float = math.nan
    low: float = math.nan
    high: float = math.nan
    df: float = math.nan
    centre: float = math.nan
    se: float = math.nan
    log: bool = False
    spreads: tuple[float, ...] = ()
    n: int = 0
    level: float = LEVEL
    extra: float = 0.0
    reason: str = ""

    @property
    def half_width(self) -> float:
        """Half the width of the interval, on the scale of the test."""
        return half_width(self.df, self.se, self.level)


def summarise(values: Sequence[float]) -> Summary:
    """Summarise the values that were measured: NaN is missing, neither zero nor counted."""
    measured = known(values)
    if not measured:
        return Summary()
    mean = fmean(measured)
    geometric_mean = variation = math.nan
    if min(measured) > 0:
        geometric_mean = math.exp(fmean(map(math.log, measured)))
    # The standard deviation takes two values, its share of the mean a mean other than zero.
    if len(measured) > 1 and mean:
        variation = stdev(measured) / mean
    return Summary(
        median=median(measured),
        mean=mean,
        geometric_mean=geometric_mean,
        variation=variation,
        minimum=min(measured),
        maximum=max(measured),
        n=len(measured),
    )


def pair_ratio(baseline: Repeated, other: Repeated) -> Estimate:
    """Geometric mean of `other` over that of `baseline`, over the repetitions that both have.

    The interval is Student's for the differences of logarithms (`blocked`). Below MIN_PAIRS pairs
    there is no interval, only a reason: switching to another method would let the data choose it.
    """
    return if_enough(blocked([(-1, baseline), (1, other)], log=True), MIN_PAIRS, "pairs")


def ratio_interval(baseline: Sequence[float], other: Sequence[float]) -> Estimate:
    """Geometric mean of `other` over that of `baseline`, for runs that are not paired.

    With y = ln x, d = mean(y2) - mean(y1), v_i = s_i^2 / n_i and se^2 = v1 + v2, the interval is
    exp(d -+ t(0.5 + LEVEL / 2, df) * se), df = se^4 / (v1^2 / (n1 - 1) + v2^2 / (n2 - 1)).
    Source: B. L. Welch, "The generalization of 'Student's' problem when several different
    population variances are involved", Biometrika 34 (1947), and F. E. Satterthwaite, Biometrics
    Bulletin 2 (1946) for df; logarithms because times are positive and differ by factors. With
    fewer than MIN_RUNS values in either group the interval is NaN.
    """
    difference = contrast([(-1, baseline), (1, other)], log=True)
    return if_enough(difference, MIN_RUNS, "runs a side")


def ratio_of_ratios(a: tuple[Repeated, Repeated], b: tuple[Repeated, Repeated]) -> Estimate:
    """The ratio within `b` (second over first) over the ratio within `a`; a and b are two sources.

    Within a source the runs are paired, between the sources they are independent: Welch's interval
    for the difference of the two means of log ratios.
    """
    difference = contrast([(-1, _pair_ratios(a)), (1, _pair_ratios(b))], log=True)
    return if_enough(difference, MIN_PAIRS, "pairs")


def _pair_ratios(pair: tuple[Repeated, Repeated]) -> list[float]:
    """Second over first, for the repetitions whose values are both above zero."""
    baseline, other = pair
    ratios = []
    for repetition in sorted(baseline.keys() & other.keys()):
        below, above = baseline[repetition], other[repetition]
        # NaN fails this comparison, too.
        if below > 0 and above > 0:
            ratios.append(above / below)
    return ratios


def if_enough(estimate: Estimate, minimum: int, unit: str) -> Estimate:
    """The estimate, without its interval if it rests on fewer `unit` than `minimum`."""
    if estimate.reason or estimate.n >= minimum:
        return estimate
    reason = f"{TOO_FEW}: {estimate.n}, an interval takes {minimum} {unit}"
    return replace(estimate, low=math.nan, high=math.nan, df=math.nan, reason=reason)


def mean_interval(values: Sequence[float]) -> Estimate:
    """Student's interval for the mean of single runs' values; NaN is a missing value."""
    return contrast([(1.0, values)], log=False)


def blocked(
    groups: Sequence[tuple[float, Repeated]], log: bool, level: float = LEVEL, extra: float = 0.0
) -> Estimate:
    """The mean over blocks of the sum of weight times value over `groups`, with Student's interval.

    A repetition is a block; one with a missing value in any group is left out. With `log` the sum
    is taken on logarithms. `extra` is a variance of the mean that no number of runs reduces, e.g.
    of a coarse scale, with infinite degrees of freedom. Source: Student, Biometrika 6 (1908);
    R. A. Fisher, "The Design of Experiments" (1935) for randomised blocks.
    """
    contrasts = []
    for block in _complete_blocks([values for _, values in groups]):
        if log and min(values[block] for _, values in groups) <= 0:
            return Estimate(log=log, reason=NOT_POSITIVE)
        contrasts.append(added(weight * _scaled(values[block], log) for weight, values in groups))
    if not contrasts:
        return Estimate(log=log, reason=NOTHING)
    return _estimate(fmean(contrasts), [contrasts], log, level, extra)


def _complete_blocks(groups: Sequence[Repeated]) -> list[int]:
    """The repetitions that have a value in every group."""
    complete = []
    for block in sorted(groups[0]):
        values = [group.get(block, math.nan) for group in groups]
        if not any(map(math.isnan, values)):
            complete.append(block)
    return complete


def contrast(
    groups: Sequence[tuple[float, Sequence[float]]],
    log: bool,
    level: float = LEVEL,
    extra: float = 0.0,
) -> Estimate:
    """The sum of weight times mean over independent `groups`.

    With `log` it is taken on logarithms, and the result is its exponential.
    With v_i = w_i^2 s_i^2 / n_i the interval is the sum -+ t(0.5 + level / 2, df) sqrt(sum v_i) and
    df = (sum v_i)^2 / sum(v_i^2 / (n_i - 1)). Source: B. L. Welch, Biometrika 34 (1947);
    F. E. Satterthwaite, Biometrics Bulletin 2 (1946); for one group it is Student's interval
    (Biometrika 6, 1908). NaN is a missing value; `extra` as in `blocked`.
    """
    measured = [known(values) for _, values in groups]
    if not all(measured):
        return Estimate(log=log, reason=NOTHING)
    if log and min(map(min, measured)) <= 0:
        return Estimate(log=log, reason=NOT_POSITIVE)
    weighted = []
    for (weight, _), values in zip(groups, measured, strict=True):
        weighted.append([weight * _scaled(value, log) for value in values])
    return _estimate(added(map(fmean, weighted)), weighted, log, level, extra)


def _estimate(
    centre: float, groups: Sequence[Sequence[float]], log: bool, level: float, extra: float
) -> Estimate:
    """The estimate at `centre`, with the error of the means of independent groups, and `extra`."""
    counts = [len(group) for group in groups]
    n = min(counts)
    value = math.exp(centre) if log else centre
    if n < 2:
        return Estimate(value=value, log=log, n=n, reason=TOO_FEW)
    # Of single runs: planning divides them by other numbers of runs.
    spreads = tuple(variance(group) for group in groups)
    variances = [spread / count for spread, count in zip(spreads, counts, strict=True)]
    df, se = welch(variances, counts, extra)
    # Equal values show how coarse the measurement is, not that its error is zero.
    if se == 0:
        return Estimate(value=value, log=log, n=n, reason=NO_SPREAD)
    half = half_width(df, se, level)
    low, high = centre - half, centre + half
    if log:
        low, high = math.exp(low), math.exp(high)
    return Estimate(
        value=value,
        low=low,
        high=high,
        df=df,
        centre=centre,
        se=se,
        log=log,
        spreads=spreads,
        n=n,
        level=level,
        extra=extra,
    )


def known(values: Sequence[float]) -> list[float]:
    """The values that are not missing."""
    return [float(value) for value in values if not math.isnan(value)]


def _scaled(value: float, log: bool) -> float:
    return math.log(value) if log else float(value)


def welch(
    variances: Sequence[float], counts: Sequence[int], extra: float = 0.0
) -> tuple[float, float]:
    """Welch-Satterthwaite degrees of freedom and standard error of a sum of independent means.

    `variances` are those of the means (with their weights), in the square of their unit; `extra` is
    a further one with infinite degrees of freedom. Without any variance the degrees of freedom are
    NaN and the error is zero; with `extra` alone the degrees of freedom are infinite.
    """
    sampled = added(variances)
    # The square of so small a sum would underflow.
    if sampled < ROUNDING:
        if extra > ROUNDING:
            return math.inf, math.sqrt(extra)
        return math.nan, 0.0
    total = sampled + extra
    df = total**2 / added(v**2 / (n - 1) for v, n in zip(variances, counts, strict=True))
    return df, math.sqrt(total)


def half_width(df: float, se: float, level: float = LEVEL) -> float:
    """Half the width of the t interval, in the unit of `se`."""
    if not se:
        return 0.0
    return float(stdtrit(df, 0.5 + level / 2)) * se
