"""The rule that turns an interval into a verdict (docs/claims.md)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import get_args

from evenground.claims.inference import MAX_NO_DIFFERENCE, Interval, around, percent
from evenground.claims.model import Claim
from evenground.records.verdicts import Verdict

VERDICTS: tuple[Verdict, ...] = get_args(Verdict)
TOO_FEW, UNTESTABLE = VERDICTS[-2:]
NOT_JUDGED = (TOO_FEW, UNTESTABLE)
AGAINST = ("contradicted", "outside the margin")
UNDECIDED = ("inconclusive", "depends on a known cause")
# A published size that is off by a larger factor is reported, even where only a margin decides.
MAX_SIZE_FACTOR = 2.0
# From here on two digits would be written with an exponent.
MAX_DIGITS = 99.5


@dataclass(frozen=True)
class Judgement:
    """A verdict, and why."""

    verdict: Verdict
    reason: str


def judge(claim: Claim, interval: Interval, tolerance: float) -> Judgement:
    """Return the verdict on an interval; a size within the share `tolerance` counts as the same."""
    if claim.has_margin:
        return _by_margin(claim, interval)
    if interval.is_within(claim.opposite):
        why = "the interval lies wholly beyond the bound on the other side"
        return Judgement("contradicted", why)
    if interval.is_within(claim.region):
        return _by_size(claim, interval, tolerance)
    return _on_the_bound(claim, interval, tolerance)


def _by_margin(claim: Claim, interval: Interval) -> Judgement:
    if interval.is_within(claim.region):
        return Judgement("within the margin", "the interval lies within the margin")
    if interval.is_outside(claim.region):
        return Judgement("outside the margin", "the interval lies wholly outside the margin")
    return Judgement("inconclusive", "the interval straddles an edge of the margin")


def _by_size(claim: Claim, interval: Interval, tolerance: float) -> Judgement:
    """Judge an interval that lies beyond the bound as claimed."""
    region = claim.same_size(tolerance)
    if region is None:
        why = "the interval lies beyond the bound; no size was published"
        return Judgement("direction reproduced", why)
    size = f"{percent(tolerance)} of the published size"
    if interval.is_within(region):
        return Judgement("reproduced", f"the interval lies within {size}")
    if interval.is_outside(region):
        why = f"the interval lies wholly outside {size}"
        return Judgement("direction reproduced, other size", why)
    why = f"the interval straddles an edge of the {percent(tolerance)} around the published size"
    return Judgement("direction reproduced, size open", why)


def _on_the_bound(claim: Claim, interval: Interval, tolerance: float) -> Judgement:
    """Judge an interval that contains the bound."""
    why = "the interval contains the bound"
    # Only of ratios: how small a difference of single values is depends on what they measure.
    if claim.is_ratio and interval.is_within(around(claim.bound, MAX_NO_DIFFERENCE)):
        why = f"no difference above {percent(MAX_NO_DIFFERENCE)}: {why}"
    region = claim.same_size(tolerance)
    if region is None or not interval.is_outside(region):
        return Judgement("inconclusive", why)
    why += f" and lies wholly outside {percent(tolerance)} of the published size"
    return Judgement("size refuted", why)


def other_size(value: float, published: float | None) -> str:
    """Return how many times the published size it is; empty within MAX_SIZE_FACTOR of it."""
    if published is None or value <= 0:
        return ""
    factor = value / published
    if abs(math.log(factor)) <= math.log(MAX_SIZE_FACTOR):
        return ""
    shown = f"{factor:.2g}"
    if factor >= MAX_DIGITS:
        shown = f"{factor:,.0f}"
    return f"{shown} times the published size"
