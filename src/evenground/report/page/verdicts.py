"""Verdicts as a page shows them: each in words and on an axis, and told apart from what is no verdict."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, TypeAdapter, ValidationError

from evenground.analysis.files import EMPTY
from evenground.errors import EvengroundError, set_aside
from evenground.files import read_json
from evenground.report.page.axis import Axis, Values, make_axis, number
from evenground.report.page.tables import NOTHING_LAST, Cell
from evenground.validation import first_fault

# Verdict -> the class that colours it; in the order in which verdicts are counted and sorted.
COLOURS = {
    "reproduced": "reproduced",
    "direction reproduced": "reproduced",
    "direction reproduced, size open": "direction",
    "direction reproduced, other size": "direction",
    "within the margin": "reproduced",
    "inconclusive": "inconclusive",
    "depends on a known cause": "inconclusive",
    "size refuted": "contradicted",
    "outside the margin": "contradicted",
    "contradicted": "contradicted",
    "too few runs": "untestable",
    "cannot be tested here": "untestable",
}
COLUMNS = ("published", "here", "effect", "runs", "idle share", "flagged")
# What a row is -> how its verdict is drawn.
LOOKS = {"verdict": "filled", "demonstration": "dashed", "instrument": "dotted"}
NOT_JUDGED = ("too few runs", "cannot be tested here")
_SURPRISING = "A repetition of the thesis's own experiment would not be expected to give this"


def _known(reading: str) -> str:
    if reading not in COLOURS:
        raise ValueError(f"no verdict is called '{reading}'")
    return reading


@dataclass(frozen=True)
class _Run:
    path: str


@dataclass(frozen=True)
class _Group:
    runs: tuple[int, ...]
    """Their numbers in the list of all runs."""


@dataclass(frozen=True)
class _Counted:
    sha256: dict[str, str]


@dataclass(frozen=True)
class Row:
    """What is shown of a row of `verdicts.json`: a claim under one instrument.

    `verdict` are the words shown, `reading` is the bare verdict, also where it is none of the claim itself.
    """

    id: str
    claim: str
    section: str
    statement: str
    instrument: Literal["corrected", "as-published"]
    verdict: str
    reading: Annotated[str, AfterValidator(_known)]
    kind: Literal["verdict", "demonstration", "instrument"]
    unit: str
    groups: tuple[_Group, ...]
    region: tuple[float | None, float | None]
    """Between which values the claim holds; None is no end."""
    same_size: tuple[float, float] | None = None
    """Between which values the size counts as the published one."""
    effect: str = ""
    estimator: str | None = None
    scale: str | None = None
    estimate: float | None = None
    low: float | None = None
    high: float | None = None
    confidence: float | None = None
    published: float | None = None
    in_prediction: str = ""
    pairs: int | None = None
    n_a: int | None = None
    idle_a: float | None = None
    idle_b: float | None = None
    n_invalid: int | None = None
    n_warned: int | None = None
    demonstration: str = ""
    reason: str = ""
    published_words: str = ""
    estimate_words: str = ""
    runs_words: str = ""
    cv_words: Annotated[str, Field(validation_alias="CV_words")] = ""
    idle_words: str = ""
    flagged_words: str = ""
    counted: tuple[_Counted, ...] = ()

    @property
    def here(self) -> str:
        """The estimate with its interval and its unit; empty where there is none."""
        unit = "" if self.unit == "1" else f" {self.unit}"
        return f"{self.estimate_words}{unit}" if self.estimate_words else ""

    @property
    def counted_runs(self) -> str:
        """How many runs, or pairs of them, count; empty of none, as the reason tells."""
        if not self.pairs and not self.n_a:
            return ""
        return self.runs_words if self.pairs is not None else f"{self.runs_words} runs"

    @property
    def effect_words(self) -> str:
        """The effect, where it says more than the estimate."""
        return "" if self.effect == self.here else self.effect


@dataclass(frozen=True)
class _File:
    schema_version: Annotated[Literal[3], Field(validation_alias="schema")]
    summary: tuple[str, ...]
    verdicts: tuple[Row, ...]
    runs: tuple[_Run, ...]


_FILE = TypeAdapter(_File)


@dataclass(frozen=True)
class Judged:
    """A claim under one instrument, with all that is told of it; no axis where there is no estimate."""

    row: Row
    axis: Axis | None
    told: tuple[str, ...]
    runs: tuple[str, ...]
    """Where the runs behind it lie."""

    @property
    def classes(self) -> str:
        """What colours it, and what shows whether it is a verdict on the claim at all."""
        look = "plain" if self.row.reading in NOT_JUDGED else LOOKS[self.row.kind]
        return f"{COLOURS[self.row.reading]} {look}"

    @property
    def rank(self) -> int:
        """Its place in the order of verdicts."""
        return list(COLOURS).index(self.row.reading)

    @property
    def files(self) -> list[str]:
        """Files of the thesis whose lines were counted."""
        return list(dict.fromkeys(name for trainer in self.row.counted for name in trainer.sha256))


@dataclass(frozen=True)
class Part:
    """A statement of a claim: the verdict, and what the thesis's instrument shows of the same runs."""

    name: str
    statement: str
    corrected: Judged | None
    as_published: Judged | None

    @property
    def judged(self) -> list[Judged]:
        """What there is of the two."""
        return [one for one in (self.corrected, self.as_published) if one]

    @property
    def cells(self) -> list[Cell]:
        """COLUMNS of the table: what was published, and what the corrected instrument measured."""
        first = self.judged[0].row
        published = _cell(first.published_words, first.published)
        if self.corrected is None:
            return [published, *[_cell("", None)] * (len(COLUMNS) - 1)]
        return [published, *_measured(self.corrected.row)]


@dataclass(frozen=True)
class Claim:
    """A claim of the thesis with its parts."""

    name: str
    section: str
    parts: tuple[Part, ...]


@dataclass(frozen=True)
class Verdicts:
    """All claims in their order, and the paragraphs that stand above them; nothing where none was judged."""

    summary: tuple[str, ...] = ()
    claims: tuple[Claim, ...] = ()


def read_verdicts(path: Path) -> Verdicts:
    """What a page shows of `verdicts.json`; nothing where there is no such file.

    Raises EvengroundError for a broken one.
    """
    if not path.is_file():
        return Verdicts()
    found = _read(path)
    names = dict.fromkeys(row.claim for row in found.verdicts)
    rows = {name: [row for row in found.verdicts if row.claim == name] for name in names}
    claims = (_claim(mine, found.runs) for mine in rows.values())
    return Verdicts(summary=found.summary, claims=tuple(claims))


def read_rows(path: Path) -> tuple[Row, ...]:
    """The rows of `verdicts.json`; EvengroundError where it is missing or broken."""
    return _read(path).verdicts


def _read(path: Path) -> _File:
    try:
        found = _FILE.validate_python(read_json(path))
    except ValidationError as error:
        what = f"broken verdicts, {first_fault(error)}"
        raise EvengroundError(what, str(path), set_aside(path)) from error
    for row in found.verdicts:
        if any(not 0 <= number < len(found.runs) for group in row.groups for number in group.runs):
            what = f"broken verdicts, {row.id} names a run that is not listed"
            raise EvengroundError(what, str(path), set_aside(path))
    return found


def _claim(rows: Sequence[Row], runs: Sequence[_Run]) -> Claim:
    """A claim from the rows of all its parts; `runs` are all that any verdict rests on."""
    names = dict.fromkeys(row.id for row in rows)
    parts = [_part([row for row in rows if row.id == name], runs) for name in names]
    return Claim(name=rows[0].claim, section=rows[0].section, parts=tuple(parts))


def _part(rows: Sequence[Row], runs: Sequence[_Run]) -> Part:
    by_instrument = {row.instrument: _judged(row, runs) for row in rows}
    return Part(
        name=rows[0].id,
        statement=rows[0].statement,
        corrected=by_instrument.get("corrected"),
        as_published=by_instrument.get("as-published"),
    )


def _judged(row: Row, runs: Sequence[_Run]) -> Judged:
    paths = tuple(runs[number].path for group in row.groups for number in group.runs)
    return Judged(row=row, axis=axis_of(row), told=told_of(row), runs=paths)


def axis_of(row: Row) -> Axis | None:
    """The axis of a row; None without an estimate."""
    if row.estimate is None:
        return None
    values = Values(
        estimate=row.estimate,
        low=row.low,
        high=row.high,
        published=row.published,
        same_size=row.same_size,
        bounds=tuple(end for end in row.region if end is not None),
    )
    return make_axis(values, ratio=row.scale == "logarithms", words=_axis_words(row))


def _axis_words(row: Row) -> str:
    """The axis for those who do not see it."""
    words = [f"here {row.here}"]
    words += [f"published {row.published_words}"] if row.published_words else []
    if same := row.same_size:
        words.append(f"the same size from {number(same[0], 3)} to {number(same[1], 3)}")
    return ", ".join(words)


def told_of(row: Row) -> tuple[str, ...]:
    """What is told of a row, a sentence or two each: effect, numbers, reason, what it is no test of."""
    demonstration = "" if row.reading in NOT_JUDGED else row.demonstration
    told = (
        row.effect_words,
        _numbers(row),
        f"Why: {row.reason}" if row.reason else "",
        _SURPRISING if row.in_prediction == "no" else "",
        f"Demonstration: {demonstration}" if demonstration else "",
    )
    return tuple(f"{one}." for one in told if one)


def _numbers(row: Row) -> str:
    """Estimate, what was published, and how many runs of what quality are behind it."""
    interval = (
        ""
        if row.confidence is None or row.low is None
        else f", {100 * row.confidence:.4g} % interval"
    )
    parts = [
        f"here {row.here}{interval}" if row.here else "",
        f"published {row.published_words}" if row.published_words else "",
        row.counted_runs,
        f"CV {row.cv_words}" if row.cv_words else "",
        f"idle {row.idle_words} of the training" if row.idle_words else "",
        f"flagged {row.flagged_words}" if row.flagged_words else "",
    ]
    text = "; ".join(filter(None, parts))
    return text[:1].upper() + text[1:]


def _measured(row: Row) -> list[Cell]:
    """COLUMNS of a row, from the second one on."""
    runs = row.n_a if row.pairs is None else row.pairs
    idle = [share for share in (row.idle_a, row.idle_b) if share is not None]
    flagged = (row.n_invalid or 0) + (row.n_warned or 0)
    return [
        _cell(row.here, row.estimate),
        Cell(row.effect_words or EMPTY, row.effect_words.lower() or NOTHING_LAST, number=False),
        _cell(row.counted_runs, runs or None),
        _cell(row.idle_words, max(idle, default=None)),
        _cell(row.flagged_words, flagged or None),
    ]


def _cell(text: str, key: float | None) -> Cell:
    """A cell that is sorted by a number, last where there is none."""
    return Cell(text or EMPTY, "" if key is None else repr(float(key)), number=True)
