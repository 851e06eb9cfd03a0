"""The rule that turns an estimate into a verdict (docs/claims.md)."""

from __future__ import annotations

import math
from typing import Literal, get_args

from evenground.analysis.statistics import Estimate
from evenground.claims.inference import ALPHA, MOST_RUNS
from evenground.claims.model import Claim

Verdict = Literal["reproduced", "direction only", "inconclusive", "contradicted", "not testable here"]
VERDICTS: tuple[Verdict, ...] = get_args(Verdict)


def judge(claim: Claim, found: Estimate, p_holm: float, own_machine: bool) -> tuple[Verdict, str]:
    """The verdict and why; `own_machine` says whether the runs were made on the machine of the claim."""
    if math.isnan(p_holm):
        return "not testable here", found.reason
    if p_holm > ALPHA:
        return "inconclusive", _undecided(claim, found)
    if not claim.region.holds(found.value):
        where = "outside its margin" if claim.has_margin else "on the other side"
        return "contradicted", f"the interval lies wholly {where}"
    if claim.has_margin:
        return "reproduced", "the interval lies within the margin"
    if claim.published is None:
        return "reproduced", "the direction is as claimed; no size was published"
    return _of_size(claim.published, claim.tolerance, found, own_machine)


def _undecided(claim: Claim, found: Estimate) -> str:
    excluded = all(not found.low <= edge <= found.high for edge in (claim.region.low, claim.region.high))
    if excluded:
        return "the interval excludes the bound, but not after Holm's correction"
    return "the interval holds the bound"


def _of_size(
    published: float, tolerance: float | None, found: Estimate, own_machine: bool
) -> tuple[Verdict, str]:
    """Of an estimate on the claimed side: whether its size is the published one, too."""
    if found.low <= published <= found.high:
        return "reproduced", "the interval holds the published value"
    near = tolerance is not None and abs(found.value / published - 1) <= tolerance
    if near and own_machine:
        return "reproduced", "within the tolerance of the published value"
    if near:
        return "direction only", "within the tolerance, which counts on the machine of the claim only"
    return "direction only", "another size than published"


def words_for_more(more: int | None) -> str:
    """What to say of the number of further runs."""
    if more is None:
        return f"more than {MOST_RUNS} runs a group: the estimate is too near to the bound to say how many"
    return f"about {more} more runs a group would decide"
