"""Names of ticks that have room side by side."""

from __future__ import annotations

import math
from collections.abc import Sequence

from evenground.report.style import SMALL_PT, width_in

GAP = 0.06
# The finest steps that are tried first.
STEPS = ((1.0, 2.0, 5.0), (1.0, 3.0), (1.0,))
ANYWHERE = (-math.inf, math.inf)


def log_ticks(low: float, high: float, width: float) -> dict[float, str]:
    """Value -> its text, of an axis from `low` to `high` that is `width` inches wide.

    As many as have room without touching; at least one.
    """
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    decades = range(first, last + 1)
    tried = [[step * 10.0**k for k in decades for step in steps] for steps in STEPS]
    # Single decades touch: every second one, every third one and so on.
    tried += [[10.0**k for k in decades if k % every == 0] for every in range(2, len(decades) + 1)]
    for values in tried:
        ticks = {value: f"{value:g}" for value in values if low <= value <= high}
        places = [width * math.log(value / low) / math.log(high / low) for value in ticks]
        if ticks and all(with_room(places, list(ticks.values()))):
            return ticks
    middle = math.sqrt(low * high)
    return {middle: f"{middle:.2g}"}


def with_room(
    places: Sequence[float], names: Sequence[str], limits: tuple[float, float] = ANYWHERE
) -> list[str]:
    """The names, empty where one would touch the one before or pass a limit; places in inches."""
    free_from, end = limits
    shown = []
    for place, name in zip(places, names, strict=True):
        half = width_in(name, SMALL_PT) / 2
        if place - half >= free_from and place + half <= end:
            shown.append(name)
            free_from = place + half + GAP
        else:
            shown.append("")
    return shown
