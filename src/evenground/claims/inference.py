"""Where an interval lies: relative to a bound, a margin and the region of a published size."""

from __future__ import annotations

import math
from dataclasses import dataclass

# A difference below a twentieth counts as no difference.
MAX_NO_DIFFERENCE = 0.05


@dataclass(frozen=True)
class Interval:
    """From `low` to `high` in the claim's unit, both included; a point where they are equal."""

    low: float
    high: float

    @property
    def edges(self) -> list[float]:
        """Its finite ends."""
        return [end for end in (self.low, self.high) if math.isfinite(end)]

    def is_within(self, other: Interval) -> bool:
        """Whether all of it lies in the other one."""
        return other.low <= self.low and self.high <= other.high

    def is_outside(self, other: Interval) -> bool:
        """Whether none of it lies in the other one."""
        return self.high < other.low or self.low > other.high


def around(value: float, tolerance: float) -> Interval:
    """Return the values between value / (1 + tolerance) and value * (1 + tolerance)."""
    return Interval(value / (1 + tolerance), value * (1 + tolerance))


def above(bound: float) -> Interval:
    """Return all values from a bound on."""
    return Interval(bound, math.inf)


def below(bound: float) -> Interval:
    """Return all values up to a bound."""
    return Interval(-math.inf, bound)


def percent(share: float) -> str:
    """Return a share in percent, with two digits below ten."""
    value = 100 * share
    return f"{value:,.0f} %" if value >= 10 else f"{value:.2g} %"


def plural(number: int, noun: str) -> str:
    """Return a number with its noun, e.g. `1 row` or `2 rows`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
