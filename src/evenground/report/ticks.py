"""Ticks of logarithmic axes that have room side by side."""

from __future__ import annotations

import math

from evenground.report.style import SMALL_PT, width_in

GAP = 0.06
# The finest steps that are tried first.
STEPS = ((1.0, 2.0, 5.0), (1.0, 3.0), (1.0,))


def log_ticks(low: float, high: float, width: float) -> dict[float, str]:
    """Value -> its text, of an axis from `low` to `high` that is `width` inches wide.

    As many as have room without touching; at least one.
    """
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    per_decade = width / math.log10(high / low)
    for steps in STEPS:
        values = [step * 10.0**k for k in range(first, last + 1) for step in steps]
        ticks = {value: f"{value:g}" for value in values if low <= value <= high}
        if ticks and _fits(ticks, low, per_decade):
            return ticks
    # Single decades touch: every second one, every third one and so on.
    for every in range(2, last - first + 2):
        values = [10.0**k for k in range(first, last + 1) if k % every == 0]
        ticks = {value: f"{value:g}" for value in values if low <= value <= high}
        if ticks and _fits(ticks, low, per_decade):
            return ticks
    middle = math.sqrt(low * high)
    return {middle: f"{middle:.2g}"}


def _fits(ticks: dict[float, str], low: float, per_decade: float) -> bool:
    """Whether no text touches the one before it."""
    free_from = -math.inf
    for value, text in ticks.items():
        place = math.log10(value / low) * per_decade
        half = width_in(text, SMALL_PT) / 2
        if place - half < free_from:
            return False
        free_from = place + half + GAP
    return True
