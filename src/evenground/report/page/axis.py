"""The axis of a verdict: published and reproduced value, and the region of the same size."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from evenground.analysis.shown import rounded

# Ticks are at both ends and between the intervals.
INTERVALS = 4
# Free space at either end, as a share of the range of the values.
MARGIN = 0.12
MAX_DIGITS = 6

Ends = tuple[float, float]
"""Smaller and larger end."""


@dataclass(frozen=True)
class Axis:
    """What an axis shows, in the unit of the claim; what is missing is None or empty."""

    label: str
    """For screen readers."""
    ratio: bool
    """Whether the values are ratios."""
    estimate: float
    interval: Ends | None = None
    published: float | None = None
    same_size: Ends | None = None
    """Where an estimate counts as being of the published size."""
    bounds: tuple[float, ...] = ()
    """Values that decide the claim: one, or both ends of a margin."""

    @property
    def values(self) -> list[float]:
        """Every value that must have a place on the axis."""
        values = [self.estimate]
        if self.published is not None:
            values.append(self.published)
        for group in (self.interval, self.same_size, self.bounds):
            values.extend(group or ())
        return values

    @property
    def log(self) -> bool:
        """Whether it is logarithmic: twice and half have the same distance from 1."""
        return self.ratio and min(self.values) > 0

    @property
    def ends(self) -> Ends:
        """Where it begins and ends, with a margin; logarithms if it is logarithmic."""
        first, last = self._scaled(min(self.values)), self._scaled(max(self.values))
        # A single value has no range; it stands in the middle of an axis of width 1.
        margin = 0.5
        if last > first:
            margin = MARGIN * (last - first)
        return first - margin, last + margin

    @property
    def ticks(self) -> list[tuple[float, str]]:
        """Places in percent and texts of evenly spaced ticks, with digits that distinguish them."""
        low, high = self.ends
        shares = [k / INTERVALS for k in range(INTERVALS + 1)]
        values = [low + share * (high - low) for share in shares]
        if self.log:
            values = [math.exp(value) for value in values]
        places = [100 * share for share in shares]
        return list(zip(places, _distinct(values), strict=True))

    def place(self, value: float) -> float:
        """Where a value stands, in percent of the width."""
        low, high = self.ends
        return round(100 * (self._scaled(value) - low) / (high - low), 2)

    def _scaled(self, value: float) -> float:
        if self.log:
            return math.log(value)
        return value


def _distinct(values: Sequence[float]) -> list[str]:
    """The values with two digits, or with more if two of them would read the same."""
    for digits in range(2, MAX_DIGITS + 1):
        texts = [rounded(value, digits) for value in values]
        if len(set(texts)) == len(texts):
            break
    return texts
