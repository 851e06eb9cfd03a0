"""The axis of a verdict: the published and the reproduced value, and what would count as the same size."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

TICKS = 4
MARGIN = 0.12
MAX_DIGITS = 6


@dataclass(frozen=True)
class Values:
    """What an axis shows, in the unit of the claim; what is missing is None or empty."""

    estimate: float
    low: float | None = None
    high: float | None = None
    published: float | None = None
    same_size: tuple[float, float] | None = None
    bounds: tuple[float, ...] = ()

    @property
    def all(self) -> list[float]:
        """Every value that must have a place on the axis."""
        alone = (self.estimate, self.low, self.high, self.published)
        return [
            *(value for value in alone if value is not None),
            *(self.same_size or ()),
            *self.bounds,
        ]


@dataclass(frozen=True)
class Span:
    """From where on, and how much of an axis, in percent of its width."""

    at_pct: float
    width_pct: float


@dataclass(frozen=True)
class Tick:
    """A place on an axis in percent of its width, and its value."""

    at_pct: float
    text: str


@dataclass(frozen=True)
class Axis:
    """Places in percent of the width; None where there is nothing to draw. `words` are read aloud."""

    log: bool
    estimate_pct: float
    interval: Span | None
    published_pct: float | None
    same_size: Span | None
    bounds_pct: tuple[float, ...]
    ticks: tuple[Tick, ...]
    words: str


@dataclass(frozen=True)
class _Scale:
    """From `low` to `high`, both as logarithms where `log`."""

    log: bool
    low: float
    high: float

    @classmethod
    def around(cls, values: Sequence[float], log: bool) -> _Scale:
        """With a margin, so that no value stands at an end."""
        at = [math.log(value) if log else value for value in values]
        margin = MARGIN * (max(at) - min(at)) or 0.5
        return cls(log, min(at) - margin, max(at) + margin)

    def place(self, value: float) -> float:
        """Where a value stands, in percent."""
        at = math.log(value) if self.log else value
        return round(100 * (at - self.low) / (self.high - self.low), 2)

    def span(self, low: float, high: float) -> Span:
        """What lies between two values."""
        first, last = self.place(low), self.place(high)
        return Span(at_pct=first, width_pct=round(last - first, 2))

    def ticks(self) -> tuple[Tick, ...]:
        """TICKS + 1 of them from end to end, with as many digits as tell them apart."""
        ends = [self.low + (self.high - self.low) * k / TICKS for k in range(TICKS + 1)]
        values = [math.exp(end) if self.log else end for end in ends]
        texts = _apart(values)
        return tuple(
            Tick(self.place(value), text) for value, text in zip(values, texts, strict=True)
        )


def make_axis(values: Values, ratio: bool, words: str) -> Axis:
    """The axis of a verdict.

    Ratios, all above zero, stand on a logarithmic one: twice and half are as far from 1.
    """
    scale = _Scale.around(values.all, log=ratio and min(values.all) > 0)
    interval = None
    if values.low is not None and values.high is not None:
        interval = scale.span(values.low, values.high)
    return Axis(
        log=scale.log,
        estimate_pct=scale.place(values.estimate),
        interval=interval,
        published_pct=None if values.published is None else scale.place(values.published),
        same_size=scale.span(*values.same_size) if values.same_size else None,
        bounds_pct=tuple(scale.place(bound) for bound in values.bounds),
        ticks=scale.ticks(),
        words=words,
    )


def number(value: float, digits: int) -> str:
    """A value for reading, without an exponent for what people write without one."""
    plain = 1e-4 <= abs(value) < 1e6 or value == 0
    return f"{float(f'{value:.{digits}g}'):g}" if plain else f"{value:.{digits - 1}e}"


def _apart(values: Sequence[float]) -> list[str]:
    """The values with two digits, or more where two of them would read the same."""
    for digits in range(2, MAX_DIGITS + 1):
        texts = [number(value, digits) for value in values]
        if len(set(texts)) == len(texts):
            break
    return texts
