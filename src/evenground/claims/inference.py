"""From an estimate to its p-value against what a claim allows, and to the runs that would decide."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from scipy.special import stdtr, stdtrit

from evenground.analysis.statistics import LEVEL, Estimate

ALPHA = 1 - LEVEL
MOST_RUNS = 1000
K = TypeVar("K", bound=Hashable)


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
