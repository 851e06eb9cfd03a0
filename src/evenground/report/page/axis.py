"""The axis of a verdict: published and reproduced value, and the region of the same size."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

# Ticks are at both ends and between the intervals.
INTERVALS = 4
# Free space at either end, as a share of the range of the values.
MARGIN = 0.12
# Python's format "g" writes no more without an exponent.
MAX_DIGITS = 6

Ends = tuple[float, float]
"""Smaller and larger end."""


@dataclass(frozen=True)
class Values:
    """What an axis shows, in the unit of the claim; what is missing is None or empty."""

    estimate: float
    interval: Ends | None = None
    published: float | None = None
    same_size: Ends | None = None
    """Where an estimate counts as being of the published size."""
    bounds: tuple[float, ...] = ()
    """Values that decide the claim: one, or both ends of a margin."""

    @property
    def on_axis(self) -> list[float]:
        """Every value that must have a place on the axis."""
        values = [self.estimate]
        if self.published is not None:
            values.append(self.published)
        for group in (self.interval, self.same_size, self.bounds):
            values.extend(group or ())
        return values


@dataclass(frozen=True)
class Span:
    """Start and width of a stretch of an axis, in percent of the axis's width."""

    at_pct: float
    width_pct: float


@dataclass(frozen=True)
class Tick:
    """A place on an axis in percent of its width, and its value as text."""

    at_pct: float
    text: str


@dataclass(frozen=True)
class Axis:
    """Places in percent of the width; None for nothing to draw. `label` is for screen readers."""

    estimate_pct: float
    interval: Span | None
    published_pct: float | None
    same_size: Span | None
    bounds_pct: tuple[float, ...]
    ticks: tuple[Tick, ...]
    label: str


@dataclass(frozen=True)
class _Scale:
    """An axis from `low` to `high`, both of them logarithms if `log`."""

    log: bool
    low: float
    high: float

    @classmethod
    def around(cls, values: Sequence[float], log: bool) -> _Scale:
        """A scale with a margin, so that no value stands at an end."""
        first, last = min(values), max(values)
        if log:
            first, last = math.log(first), math.log(last)
        # A single value has no range; it stands in the middle of an axis of width 1.
        margin = 0.5
        if last > first:
            margin = MARGIN * (last - first)
        return cls(log=log, low=first - margin, high=last + margin)

    def place(self, value: float) -> float:
        """Where a value stands, in percent of the width."""
        if self.log:
            value = math.log(value)
        return round(100 * (value - self.low) / (self.high - self.low), 2)

    def span(self, ends: Ends | None) -> Span | None:
        """The stretch between two values; None for None."""
        if ends is None:
            return None
        first, last = map(self.place, ends)
        return Span(at_pct=first, width_pct=round(last - first, 2))

    def ticks(self) -> tuple[Tick, ...]:
        """Evenly spaced ticks from end to end, with as many digits as distinguish them."""
        step = (self.high - self.low) / INTERVALS
        values = [self.low + step * k for k in range(INTERVALS + 1)]
        if self.log:
            values = [math.exp(value) for value in values]
        texts = _distinct(values)
        return tuple(
            Tick(at_pct=self.place(value), text=text)
            for value, text in zip(values, texts, strict=True)
        )


def make_axis(values: Values, ratio: bool, label: str) -> Axis:
    """The axis of a verdict.

    Ratios, if all are above zero, get a logarithmic axis: twice and half have the same distance from 1.
    """
    on_axis = values.on_axis
    scale = _Scale.around(on_axis, log=ratio and min(on_axis) > 0)
    published_pct = None
    if values.published is not None:
        published_pct = scale.place(values.published)
    return Axis(
        estimate_pct=scale.place(values.estimate),
        interval=scale.span(values.interval),
        published_pct=published_pct,
        same_size=scale.span(values.same_size),
        bounds_pct=tuple(map(scale.place, values.bounds)),
        ticks=scale.ticks(),
        label=label,
    )


def number(value: float, digits: int) -> str:
    """`value` with `digits` significant digits; an exponent only if very small or large."""
    if value != 0 and not 1e-4 <= abs(value) < 1e6:
        return f"{value:.{digits - 1}e}"
    # Rounded first, as "g" alone would write an exponent for a number of more digits.
    rounded = float(f"{value:.{digits}g}")
    return f"{rounded:g}"


def _distinct(values: Sequence[float]) -> list[str]:
    """The values with two digits, or with more if two of them would read the same."""
    for digits in range(2, MAX_DIGITS + 1):
        texts = [number(value, digits) for value in values]
        if len(set(texts)) == len(texts):
            break
    return texts
