"""Verdicts as a page shows them: the published and the reproduced value on one axis."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

Number = Annotated[float, Field(allow_inf_nan=True)]
TICKS = 4


@dataclass(frozen=True)
class Mark:
    """A place on an axis in percent of its width, and what it says."""

    at_pct: float
    text: str


@dataclass(frozen=True)
class Axis:
    """Published value, estimate and interval on one axis; a missing one is None. Places are in percent."""

    scale: Literal["linear", "log"]
    published: Mark | None
    estimate: Mark | None
    low_pct: float | None
    high_pct: float | None
    null: Mark | None
    ticks: tuple[Mark, ...]
    words: str


def make_axis(values: dict[str, float | None], unit: str, null: float | None) -> Axis | None:
    """The axis of a verdict from its published, estimate, low and high value; None where there is none.

    Ratios (unit `ratio`, all above zero) stand on a logarithmic axis: twice and half are as far from 1.
    """
    known = {name: v for name, v in values.items() if v is not None and math.isfinite(v)}
    shown = [*known.values(), *([null] if null is not None else [])]
    if not known:
        return None
    log = unit == "ratio" and min(shown) > 0
    at = math.log if log else float
    first, last = min(map(at, shown)), max(map(at, shown))
    margin = 0.12 * (last - first) or 0.5
    low, high = first - margin, last + margin

    def place(value: float) -> float:
        return round(100 * (at(value) - low) / (high - low), 2)

    def mark(name: str) -> Mark | None:
        return Mark(place(known[name]), number(known[name])) if name in known else None

    ticks = (low + (high - low) * k / TICKS for k in range(TICKS + 1))
    told = (math.exp(tick) if log else tick for tick in ticks)
    return Axis(
        "log" if log else "linear",
        mark("published"),
        mark("estimate"),
        place(known["low"]) if "low" in known else None,
        place(known["high"]) if "high" in known else None,
        None if null is None else Mark(place(null), number(null)),
        tuple(Mark(place(tick), number(tick, 2)) for tick in told),
        words(known, unit),
    )


def number(value: float, digits: int = 4) -> str:
    """A value for reading, without an exponent for what people write without one."""
    return f"{value:.{digits}g}" if 1e-4 <= abs(value) < 1e6 or value == 0 else f"{value:.{digits - 1}e}"


def words(known: dict[str, float], unit: str) -> str:
    """The axis in words, for those who do not see it."""
    parts = [f"{name} {number(known[name])}" for name in ("published", "estimate") if name in known]
    if "low" in known and "high" in known:
        parts.append(f"95 % interval {number(known['low'])} to {number(known['high'])}")
    return f"{', '.join(parts)} ({unit})"


def finite(value: Any) -> float | None:
    """A number of a JSON file or None; null, text and what is no number are None."""
    known = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return float(value) if known else None


@dataclass(frozen=True)
class Judged:
    """One verdict: under which instrument, on what axis, from which runs."""

    instrument: str
    verdict: str
    kind: str
    demonstration: bool
    axis: Axis | None
    words: str
    estimator: str
    runs: tuple[str, ...]


@dataclass(frozen=True)
class Claim:
    """A claim with its parts."""

    name: str


def claims(path: Path) -> list[Claim]:
    """The claims of `verdicts.json`; none where no claim was judged."""
    return []


def summary(judged: list[Claim]) -> dict[str, Any]:
    """How many verdicts there are of each kind, in words."""
    return {"words": ""}
