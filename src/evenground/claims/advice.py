"""How many more runs would decide a claim, from the claim itself and the observed spread."""

from __future__ import annotations

import math
from collections.abc import Sequence

from evenground.analysis.planning import MAX_RUNS, runs_for_direction, runs_for_size, runs_for_width
from evenground.analysis.statistics import MIN_PAIRS, MIN_RUNS, Estimate
from evenground.claims.inference import Interval, around, percent, plural
from evenground.claims.model import Claim

# The power that `planning` computes with by default.
IF_TRUE = " in 80 % of experiments if the claim is exactly true and the spread as it was here"
NO_SIZE = "the claim names no size: how many runs would decide cannot be computed from it"
Advice = tuple[int | None, str]
"""How many more runs (None if no number can be given), and the same as text."""


def more_for_direction(claim: Claim, estimate: Estimate) -> Advice:
    """Return how many more runs would decide the direction or the margin of a claim."""
    if claim.published is None:
        return None, NO_SIZE
    needed = runs_to_decide(claim, estimate.spreads, 1 - estimate.level, estimate.extra)
    return _more(needed, estimate, "decide", IF_TRUE)


def more_for_size(claim: Claim, estimate: Estimate, tolerance: float) -> Advice:
    """Return how many more runs would decide whether the size of a claim is the published one."""
    alpha = 1 - estimate.level
    needed = runs_for_its_size(claim, tolerance, estimate.spreads, alpha, estimate.extra)
    return _more(needed, estimate, f"decide the size within {percent(tolerance)}", IF_TRUE)


def more_for_precision(estimate: Estimate, half_width: float, minimum: int) -> Advice:
    """Return how many more runs would narrow the interval to `half_width`, `minimum` at least.

    `half_width`: half the width of the interval, on the scale of the test.
    """
    alpha = 1 - estimate.level
    needed = runs_for_width(estimate.spreads, half_width, alpha, extra=estimate.extra)
    if needed is not None:
        needed = max(needed, minimum)
    return _more(needed, estimate, "give that precision")


def more_for_few(n: int, paired: bool) -> tuple[int, str]:
    """Return how many of `n` runs or pairs are missing before anything is judged, and why."""
    if paired:
        return MIN_PAIRS - n, f"{plural(n, 'complete pair')}, at least {MIN_PAIRS} are needed"
    return MIN_RUNS - n, f"{plural(n, 'run')} a group, at least {MIN_RUNS} are needed"


def runs_to_decide(
    claim: Claim, spreads: Sequence[float], alpha: float, extra: float = 0.0
) -> int | None:
    """Return how many blocks, or runs of each group, decide the direction or the margin of a claim.

    The claim has a published value, which is taken to be exactly true. `spreads`, `alpha` and
    `extra` are those of `planning.runs_for_direction`. None above MAX_RUNS.
    """
    assert claim.published is not None
    distance = _to_edge(claim.published, claim.region, claim.is_ratio)
    # A region with two edges is a margin: the whole interval has to fit between them.
    if len(claim.region.edges) > 1:
        return runs_for_size(spreads, distance, alpha, extra=extra)
    return runs_for_direction(spreads, distance, alpha, extra=extra)


def runs_for_its_size(
    claim: Claim, tolerance: float, spreads: Sequence[float], alpha: float, extra: float = 0.0
) -> int | None:
    """Return how many decide whether the size is the published one; see `runs_to_decide`."""
    assert claim.published is not None
    distance = _to_edge(claim.published, around(claim.published, tolerance), claim.is_ratio)
    return runs_for_size(spreads, distance, alpha, extra=extra)


def _to_edge(value: float, region: Interval, log: bool) -> float:
    """Return the distance to the nearest edge of a region, on the scale of the test."""
    if log:
        return min(abs(math.log(value) - math.log(edge)) for edge in region.edges)
    return min(abs(value - edge) for edge in region.edges)


def _more(needed: int | None, estimate: Estimate, purpose: str, condition: str = "") -> Advice:
    """Return how many runs are missing to `needed`, which is None beyond MAX_RUNS."""
    if needed is None:
        cause = "the spread or the scale's steps are too large"
        return None, f"not even {MAX_RUNS:,} runs a group would {purpose}: {cause}"
    # Never zero, although as many as there are may be computed to be enough on average.
    more = max(1, needed - estimate.n)
    if more == 1:
        return more, f"about one more repetition would {purpose}{condition}"
    return more, f"about {more} more repetitions would {purpose}{condition}"
