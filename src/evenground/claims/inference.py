"""From a handful of values to an estimate with its interval, p-values, and the runs that would decide."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, variance
from typing import TypeVar

import numpy as np
from scipy.special import stdtr, stdtrit

from evenground.analysis.statistics import LEVEL, half_width, welch

ALPHA = 1 - LEVEL
MOST_RUNS = 1000
NOTHING = "column not measured"
TOO_FEW = "fewer than two runs"
NOT_POSITIVE = "a value is not above zero"
K = TypeVar("K", bound=Hashable)


@dataclass(frozen=True)
class Estimate:
    """A weighted sum of group means in the unit of the claim, or NaN with the `reason`.

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
class Region:
    """The values that a claim allows, without its edges; an open side is infinite."""

    low: float
    high: float

    def holds(self, value: float) -> bool:
        """Whether the claim allows it."""
        return self.low < value < self.high

    def distance(self, found: Estimate) -> float:
        """From the estimate to the nearest edge, on the scale of the test."""
        edges = [edge for edge in (self.low, self.high) if math.isfinite(edge)]
        return min(abs(found.centre - (math.log(edge) if found.log else edge)) for edge in edges)


def contrast(groups: Sequence[tuple[float, Sequence[float]]], log: bool) -> Estimate:
    """The sum of weight times mean over `groups`, on logarithms (then as its exponential) or as it is.

    With v_i = w_i^2 s_i^2 / n_i the interval is the sum -+ t(0.975, df) sqrt(sum v_i) and df = (sum v_i)^2 /
    sum(v_i^2 / (n_i - 1)). Source: B. L. Welch, Biometrika 34 (1947); F. E. Satterthwaite, Biometrics
    Bulletin 2 (1946); for one group it is Student's interval (Biometrika 6, 1908). NaN is a missing value.
    """
    known = [[value for value in values if not math.isnan(value)] for _, values in groups]
    weights = [weight for weight, _ in groups]
    if min(len(values) for values in known) == 0:
        return _without(NOTHING, log)
    if log and min(min(values) for values in known) <= 0:
        return _without(NOT_POSITIVE, log)
    scaled = [[math.log(value) for value in values] for values in known] if log else known
    centre = sum(weight * fmean(values) for weight, values in zip(weights, scaled, strict=True))
    if min(len(values) for values in known) < 2:
        return _without(TOO_FEW, log, math.exp(centre) if log else centre)
    spreads = [w**2 * variance(values) for w, values in zip(weights, scaled, strict=True)]
    counts = [len(values) for values in known]
    df, se = welch([s / n for s, n in zip(spreads, counts, strict=True)], counts)
    ends = (centre - half_width(df, se), centre, centre + half_width(df, se))
    low, value, high = (math.exp(end) for end in ends) if log else ends
    return Estimate(value, low, high, df, centre, se, log, tuple(spreads))


def _without(reason: str, log: bool, value: float = math.nan) -> Estimate:
    nan = math.nan
    return Estimate(value, nan, nan, nan, nan, nan, log, (), reason)


def p_value(found: Estimate, region: Region) -> float:
    """Two-sided p against the nearest edge of the region; NaN where there is no interval.

    At most 0.05 exactly where the 95 % interval lies wholly inside or wholly outside. For a region with two
    edges that is the test of equivalence by two one-sided ones (D. J. Schuirmann, J. Pharmacokinet.
    Biopharm. 15, 1987), each at 2.5 %. Where every run gave the same value it is 0, and 1 on the edge.
    """
    if found.reason:
        return math.nan
    distance = region.distance(found)
    if found.se == 0:
        return 0.0 if distance > 0 else 1.0
    return 2 * float(stdtr(found.df, -distance / found.se))


def holm(p: Mapping[K, float]) -> dict[K, float]:
    """Adjusted p-values of one family, NaN left out of the count.

    The k-th smallest of m is multiplied by m - k + 1; it is never below the one before it and never above 1.
    Source: S. Holm, "A simple sequentially rejective multiple test procedure", Scand. J. Statist. 6 (1979).
    """
    adjusted = dict.fromkeys(p, math.nan)
    tested = sorted((key for key in p if not math.isnan(p[key])), key=lambda key: p[key])
    largest = 0.0
    for rank, key in enumerate(tested):
        largest = max(largest, min(1.0, (len(tested) - rank) * p[key]))
        adjusted[key] = largest
    return adjusted


def runs_to_decide(found: Estimate, region: Region, alpha: float = ALPHA) -> int | None:
    """The smallest number of runs in each group whose interval would exclude the nearest edge.

    As if the effect and the variances seen were the true ones, at the level `alpha`; with that many runs the
    edge is then excluded in about half of all experiments. None where it would take more than MOST_RUNS,
    and where there is no variance.
    """
    if found.se == 0:
        return None
    distance = region.distance(found)
    n = np.arange(2, MOST_RUNS + 1)
    spreads = np.asarray(found.spreads)
    df = (n - 1) * spreads.sum() ** 2 / (spreads**2).sum()
    half = stdtrit(df, 1 - alpha / 2) * np.sqrt(spreads.sum() / n)
    enough = np.flatnonzero(half < distance)
    return int(n[enough[0]]) if enough.size else None
