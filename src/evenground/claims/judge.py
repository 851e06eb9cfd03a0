"""The rule that turns an interval into a verdict (docs/claims.md)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

from evenground.claims.inference import MAX_NO_DIFFERENCE, Interval, around, percent
from evenground.claims.model import Claim

Verdict = Literal[
    "reproduced",
    "direction reproduced",
    "direction reproduced, size open",
    "direction reproduced, other size",
    "within the margin",
    "inconclusive",
    "depends on a known cause",
    "size refuted",
    "outside the margin",
    "contradicted",
    "too few runs",
    "cannot be tested here",
]
VERDICTS: tuple[Verdict, ...] = get_args(Verdict)
TOO_FEW, UNTESTABLE = VERDICTS[-2:]
NOT_JUDGED = (TOO_FEW, UNTESTABLE)
AGAINST = ("contradicted", "outside the margin")
UNDECIDED = ("inconclusive", "depends on a known cause")
Kind = Literal["verdict", "demonstration", "instrument"]
"""What a row of the verdicts is: only a `verdict` says something of the claim itself, and is counted."""
# A size that is off by more than that is said, also where a margin is all that decides.
MAX_SIZE_FACTOR = 2.0
# From here on two digits would be written with an exponent.
MAX_DIGITS = 99.5


@dataclass(frozen=True)
class Judgement:
    """A verdict, and why."""

    verdict: Verdict
    reason: str


def judge(claim: Claim, found: Interval, tolerance: float) -> Judgement:
    """The verdict on an interval; `tolerance` is the share by which a size may be off on this machine."""
    if claim.has_margin:
        return _by_margin(claim, found)
    if found.is_within(claim.opposite):
        return Judgement(
            "contradicted", "the interval lies wholly beyond the bound on the other side"
        )
    if found.is_within(claim.region):
        return _of_size(claim, found, tolerance)
    return _on_the_bound(claim, found, tolerance)


def _by_margin(claim: Claim, found: Interval) -> Judgement:
    if found.is_within(claim.region):
        return Judgement("within the margin", "the interval lies within the margin")
    if found.is_outside(claim.region):
        return Judgement("outside the margin", "the interval lies wholly outside the margin")
    return Judgement("inconclusive", "the interval straddles an edge of the margin")


def _of_size(claim: Claim, found: Interval, tolerance: float) -> Judgement:
    """Of an interval that lies beyond the bound as claimed."""
    region = claim.same_size(tolerance)
    if region is None:
        return Judgement(
            "direction reproduced", "the interval lies beyond the bound; no size was published"
        )
    if found.is_within(region):
        return Judgement(
            "reproduced", f"the interval lies within {percent(tolerance)} of the published size"
        )
    if found.is_outside(region):
        why = f"the interval lies wholly outside {percent(tolerance)} of the published size"
        return Judgement("direction reproduced, other size", why)
    why = f"the interval straddles an edge of the {percent(tolerance)} around the published size"
    return Judgement("direction reproduced, size open", why)


def _on_the_bound(claim: Claim, found: Interval, tolerance: float) -> Judgement:
    """Of an interval that contains the bound."""
    why = "the interval contains the bound"
    if claim.is_ratio and found.is_within(around(claim.bound, MAX_NO_DIFFERENCE)):
        why = f"no difference above {percent(MAX_NO_DIFFERENCE)}: {why}"
    region = claim.same_size(tolerance)
    if region is None or not found.is_outside(region):
        return Judgement("inconclusive", why)
    why += f" and lies wholly outside {percent(tolerance)} of the published size"
    return Judgement("size refuted", why)


def other_size(value: float, published: float | None) -> str:
    """How many times the published size an estimate is, beyond a factor of MAX_SIZE_FACTOR; else empty."""
    if published is None or value <= 0:
        return ""
    factor = value / published
    if abs(math.log(factor)) <= math.log(MAX_SIZE_FACTOR):
        return ""
    shown = f"{factor:.2g}" if factor < MAX_DIGITS else f"{factor:,.0f}"
    return f"{shown} times the published size"
