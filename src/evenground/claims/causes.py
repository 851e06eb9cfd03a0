"""Idle time as a known cause of a difference: whether it decides what is read."""

from __future__ import annotations

import math

from evenground.analysis.quality import MAX_IDLE
from evenground.analysis.statistics import Estimate, summarise
from evenground.claims.evidence import Evidence

# The spread is the cause's where it is less than half without it, and the difference where it moves by more
# than a quarter of the half-width.
MAX_SPREAD_LEFT = 0.5
MAX_MOVED = 0.25


def idle_time_matters(evidence: Evidence, found: Estimate, without: Estimate) -> bool:
    """Whether idle time makes a good part of the difference, or of the spread where a run was idle for long.

    `without`: the estimate of the same runs with their idle time taken off.
    """
    if abs(without.centre - found.centre) > MAX_MOVED * found.half_width:
        return True
    was_idle = any(one.idle_share > MAX_IDLE for one in evidence.runs)
    return was_idle and any(_makes_spread(*values) for values in _groups(evidence))


def _groups(evidence: Evidence) -> list[tuple[list[float], list[float]]]:
    """Values with and without idle time of each group."""
    groups = [evidence.counting(group) for group in evidence.used]
    return [([one.value for one in runs], [one.without_idle for one in runs]) for runs in groups]


def _makes_spread(values: list[float], without_idle: list[float]) -> bool:
    return summarise(without_idle).variation < MAX_SPREAD_LEFT * summarise(values).variation


def idle_time_unknown(evidence: Evidence) -> int:
    """Of how many runs the same cannot be taken without idle time."""
    return sum(math.isnan(one.without_idle) for one in evidence.runs)
