"""Idle time as a known cause of a difference: whether it decides the verdict."""

from __future__ import annotations

import math
from collections.abc import Sequence

from evenground.analysis.quality import MAX_IDLE
from evenground.analysis.statistics import Estimate, summarise
from evenground.claims.evidence import Evidence, Used

# Idle time causes the spread if less than half of it is left without idle time, and the difference
# if the estimate moves by more than a quarter of the half-width.
MAX_SPREAD_LEFT = 0.5
MAX_MOVED = 0.25


def idle_time_matters(evidence: Evidence, estimate: Estimate, without: Estimate) -> bool:
    """Whether idle time causes the difference, or the spread of runs that were idle for long.

    `without`: the estimate of the same runs with their idle time taken off.
    """
    if abs(without.centre - estimate.centre) > MAX_MOVED * estimate.half_width:
        return True
    was_idle = any(run.idle_share > MAX_IDLE for run in evidence.runs)
    return was_idle and any(_makes_spread(evidence.counting(group)) for group in evidence.used)


def _makes_spread(runs: Sequence[Used]) -> bool:
    spread = summarise([run.value for run in runs]).variation
    left = summarise([run.without_idle for run in runs]).variation
    return left < MAX_SPREAD_LEFT * spread


def idle_time_unknown(evidence: Evidence) -> int:
    """Return the number of runs whose value without idle time is unknown."""
    return sum(math.isnan(run.without_idle) for run in evidence.runs)
