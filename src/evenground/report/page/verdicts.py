"""Verdicts as a page shows them: the published and the reproduced value on one axis."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import TypeAdapter, ValidationError

from evenground.errors import EvengroundError, set_aside
from evenground.files import read_json
from evenground.records.faults import first_fault

TICKS = 4
INSTRUMENTS = ("corrected", "as-published")
UNTESTABLE = "not testable here"
# Verdict -> the class that colours it, in the order of the summary.
KINDS = {
    "reproduced": "reproduced",
    "direction only": "direction",
    "inconclusive": "inconclusive",
    "contradicted": "contradicted",
    UNTESTABLE: "untestable",
}


@dataclass(frozen=True)
class _Used:
    path: str


@dataclass(frozen=True)
class _Counted:
    sha256: dict[str, str]


@dataclass(frozen=True)
class _Row:
    """What the page reads of a row of `verdicts.json`."""

    id: str
    claim: str
    section: str
    statement: str
    instrument: str
    verdict: str
    estimator: str | None
    unit: str
    runs: tuple[_Used, ...]
    demonstration: str = ""
    reason: str = ""
    estimate: float | None = None
    low_95: float | None = None
    high_95: float | None = None
    published: float | None = None
    bound: float | None = None
    p_holm: float | None = None
    n_a: int | None = None
    n_b: int | None = None
    scale: str | None = None
    counted: tuple[_Counted, ...] = ()


@dataclass(frozen=True)
class _File:
    verdicts: tuple[_Row, ...]


_FILE = TypeAdapter(_File)


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
    plain = 1e-4 <= abs(value) < 1e6 or value == 0
    return f"{float(f'{value:.{digits}g}'):g}" if plain else f"{value:.{digits - 1}e}"


def words(known: dict[str, float], unit: str) -> str:
    """The axis in words, for those who do not see it."""
    parts = [f"{name} {number(known[name])}" for name in ("published", "estimate") if name in known]
    if "low" in known and "high" in known:
        parts.append(f"95 % interval {number(known['low'])} to {number(known['high'])}")
    return f"{', '.join(parts)} ({unit})"


@dataclass(frozen=True)
class Judged:
    """One verdict: under which instrument, on what axis, in words, from which runs."""

    instrument: str
    verdict: str
    demonstration: str
    """What makes it one; empty where it is none or nothing was tested."""
    axis: Axis | None
    words: str
    estimate: float | None
    estimator: str
    runs: tuple[str, ...]
    files: tuple[str, ...] = ()
    """Files of the thesis whose lines were counted."""

    @property
    def kind(self) -> str:
        """The class that colours it."""
        return KINDS.get(self.verdict, "untestable")


@dataclass(frozen=True)
class Part:
    """One statement of a claim with its verdict under each instrument."""

    name: str
    statement: str
    published: float | None
    right: Judged | None
    as_published: Judged | None

    @property
    def judged(self) -> list[Judged]:
        """The verdicts there are."""
        return [one for one in (self.right, self.as_published) if one]


@dataclass(frozen=True)
class Claim:
    """A claim of the thesis with its parts."""

    name: str
    section: str
    parts: tuple[Part, ...]


def claims(path: Path) -> list[Claim]:
    """The claims of `verdicts.json` in its order; none where no claim was judged."""
    if not path.is_file():
        return []
    try:
        rows = _FILE.validate_python(read_json(path)).verdicts
    except ValidationError as error:
        what = f"broken verdicts, {first_fault(error)}"
        raise EvengroundError(what, str(path), set_aside(path)) from error
    found = []
    for name in dict.fromkeys(row.claim for row in rows):
        mine = [row for row in rows if row.claim == name]
        parts = tuple(
            _part([row for row in mine if row.id == part]) for part in dict.fromkeys(r.id for r in mine)
        )
        found.append(Claim(name, mine[0].section, parts))
    return found


def _part(rows: list[_Row]) -> Part:
    by_instrument = {row.instrument: _judged(row) for row in rows}
    first = rows[0]
    both = (by_instrument.get(name) for name in INSTRUMENTS)
    return Part(first.id, first.statement, first.published, *both)


def _judged(row: _Row) -> Judged:
    unit = "ratio" if row.scale == "logarithms" else row.unit
    values = {"published": row.published, "estimate": row.estimate, "low": row.low_95, "high": row.high_95}
    axis = None if row.estimate is None else make_axis(values, unit, row.bound)
    runs = tuple(run.path for run in row.runs)
    shown = "" if row.verdict == UNTESTABLE else row.demonstration
    files = tuple(dict.fromkeys(name for trainer in row.counted for name in trainer.sha256))
    estimator = row.estimator or "none"
    told = f"{_told(row)}. Demonstration: {shown}." if shown else f"{_told(row)}."
    return Judged(row.instrument, row.verdict, shown, axis, told, row.estimate, estimator, runs, files)


def _told(row: _Row) -> str:
    """Numbers and reason of a verdict, without a full stop."""
    parts = []
    if row.estimate is not None:
        unit = "" if row.unit == "1" else f" {row.unit}"
        interval = ""
        if row.low_95 is not None and row.high_95 is not None:
            interval = f", 95 % interval {number(row.low_95)} to {number(row.high_95)}"
        parts.append(f"{number(row.estimate)}{unit} here{interval}")
    if row.published is not None:
        parts.append(f"{number(row.published)} published")
    if row.p_holm is not None:
        parts.append(f"p = {number(row.p_holm, 2)} after Holm")
    if row.n_a is not None:
        parts.append(f"n = {row.n_a}{f' and {row.n_b}' if row.n_b is not None else ''}")
    return "; ".join([*parts, *([row.reason] if row.reason else [])])


def summary(judged: list[Claim]) -> str:
    """How many verdicts there are of each kind under each instrument; demonstrations are named apart."""
    sentences = []
    for instrument in INSTRUMENTS:
        mine = [one for claim in judged for part in claim.parts for one in part.judged]
        mine = [one for one in mine if one.instrument == instrument]
        real = Counter(one.verdict for one in mine if not one.demonstration)
        shown = Counter(one.verdict for one in mine if one.demonstration)
        line = f"Under the {instrument} instrument: {_counts(real) or 'no verdict'}"
        sentences.append(line + (f"; as demonstrations only: {_counts(shown)}." if shown else "."))
    return " ".join(sentences)


def _counts(found: Mapping[str, int]) -> str:
    return ", ".join(f"{found[verdict]} {verdict}" for verdict in KINDS if found.get(verdict))
