"""How many more runs would decide a claim, computed from the claim itself and the spread that was seen."""

from __future__ import annotations

import math
from collections.abc import Sequence

from evenground.analysis.planning import MAX_RUNS, runs_for_direction, runs_for_size, runs_for_width
from evenground.analysis.statistics import MIN_PAIRS, MIN_RUNS, Estimate
from evenground.claims.inference import Interval, around, percent
from evenground.claims.model import Claim

IF_TRUE = "in 80 % of experiments if the claim is exactly true and the spread as it was here"
NO_SIZE = "the claim names no size: how many runs would decide cannot be computed from it"
Advice = tuple[int | None, str]
"""How many more runs, None where none can be told, and that in words."""


def more_for_direction(claim: Claim, found: Estimate) -> Advice:
    """How many more runs decide the direction or the margin of a claim."""
    if claim.published is None:
        return None, NO_SIZE
    needed = runs_to_decide(claim, found.spreads, 1 - found.level, found.extra)
    return _more(needed, found, "decide")


def more_for_size(claim: Claim, found: Estimate, tolerance: float) -> Advice:
    """How many more runs decide whether the size is the published one."""
    if claim.published is None:
        return None, NO_SIZE
    needed = runs_for_its_size(claim, tolerance, found.spreads, 1 - found.level, found.extra)
    return _more(needed, found, f"decide the size within {percent(tolerance)}")


def runs_to_decide(
    claim: Claim, spreads: Sequence[float], alpha: float, extra: float = 0.0
) -> int | None:
    """How many blocks, or runs a group, decide the direction or the margin of a claim with a published value.

    If it is exactly true; `spreads`, `alpha` and `extra` as by `planning`. None above MAX_RUNS.
    """
    assert claim.published is not None
    distance = _to_edge(claim.published, claim.region, claim.is_ratio)
    if len(claim.region.edges) > 1:
        return runs_for_size(spreads, distance, alpha, extra=extra)
    return runs_for_direction(spreads, distance, alpha, extra=extra)


def runs_for_its_size(
    claim: Claim, tolerance: float, spreads: Sequence[float], alpha: float, extra: float = 0.0
) -> int | None:
    """How many decide whether the size is the published one; the rest as by `runs_to_decide`."""
    assert claim.published is not None
    distance = _to_edge(claim.published, around(claim.published, tolerance), claim.is_ratio)
    return runs_for_size(spreads, distance, alpha, extra=extra)


def more_for_precision(found: Estimate, half_width: float, least: int) -> Advice:
    """How many more runs bring half the width of the interval to `half_width`, on the scale of the test."""
    needed = runs_for_width(found.spreads, half_width, 1 - found.level, extra=found.extra)
    if needed is None:
        return None, _never("give that precision")
    more = max(1, max(needed, least) - found.n)
    return more, f"{_about(more)} give that precision"


def more_for_few(n: int, paired: bool) -> tuple[int, str]:
    """How many more runs there have to be before anything is judged."""
    least = MIN_PAIRS if paired else MIN_RUNS
    one, several = (
        ("complete pair", "complete pairs") if paired else ("run a group", "runs a group")
    )
    return least - n, f"{n} {one if n == 1 else several}, at least {least} are needed"


def _to_edge(value: float, region: Interval, log: bool) -> float:
    """From a value to the nearest edge of a region that holds it, on the scale of the test."""
    return min(abs(_scaled(value, log) - _scaled(edge, log)) for edge in region.edges)


def _scaled(value: float, log: bool) -> float:
    return math.log(value) if log else value


def _more(needed: int | None, found: Estimate, what: str) -> Advice:
    if needed is None:
        return None, _never(what)
    more = max(1, needed - found.n)
    return more, f"{_about(more)} {what} {IF_TRUE}"


def _about(more: int) -> str:
    return (
        "about one more repetition would" if more == 1 else f"about {more} more repetitions would"
    )


def _never(what: str) -> str:
    return f"not even {MAX_RUNS:,} runs a group would {what}: the spread or the scale's steps are too large"
