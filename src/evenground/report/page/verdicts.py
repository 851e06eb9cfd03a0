"""Verdicts as a page shows them: as text and on an axis, apart from what is no verdict."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter
from pathlib import Path

from evenground.analysis.shown import rounded
from evenground.records import verdicts as records
from evenground.report.page.axis import Axis
from evenground.report.page.tables import Cell, number_cell, text_cell

# Verdict -> the CSS class that colours it; in the order in which verdicts are counted and sorted.
COLOURS: dict[records.Verdict, str] = {
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
# Kind of a row -> the CSS class of its verdict's outline.
LOOKS = {"verdict": "filled", "demonstration": "dashed", "instrument": "dotted"}
NOT_JUDGED = ("too few runs", "cannot be tested here")
_SURPRISING = "A repetition of the thesis's own experiment would not be expected to give this"


class Row(records.Row):
    """A claim under one instrument, as it is shown."""

    @property
    def here(self) -> str:
        """The estimate with its interval and its unit; empty without an estimate."""
        # A ratio has the unit 1, which is not written.
        if not self.estimate_words or self.unit == "1":
            return self.estimate_words
        return f"{self.estimate_words} {self.unit}"

    @property
    def counted_runs(self) -> str:
        """How many runs, or pairs of them, count; empty for none, as the reason explains."""
        if not self.pairs and not self.n_a:
            return ""
        if self.pairs is None:
            return f"{self.runs_words} runs"
        return self.runs_words

    @property
    def effect_words(self) -> str:
        """The effect, if it says more than the estimate."""
        if self.effect == self.here:
            return ""
        return self.effect

    @property
    def classes(self) -> str:
        """CSS classes: one for the colour, one for whether it is a verdict on the claim at all."""
        look = LOOKS[self.kind]
        if self.reading in NOT_JUDGED:
            look = "plain"
        return f"{COLOURS[self.reading]} {look}"

    @property
    def axis_unit(self) -> str:
        """What the numbers of the axis are."""
        if self.unit != "1":
            return self.unit
        if self.scale == "logarithms":
            return "ratio, logarithmic axis"
        return "without a unit"

    @property
    def rank(self) -> int:
        """Its place in the order of verdicts."""
        return list(COLOURS).index(self.reading)

    @property
    def axis(self) -> Axis | None:
        """Published and reproduced value on an axis; None without an estimate."""
        if self.estimate is None:
            return None
        interval = None
        if self.low is not None and self.high is not None:
            interval = self.low, self.high
        return Axis(
            label=_axis_label(self),
            ratio=self.scale == "logarithms",
            estimate=self.estimate,
            interval=interval,
            published=self.published,
            same_size=self.same_size,
            bounds=tuple(end for end in self.region if end is not None),
        )

    @property
    def remarks(self) -> list[str]:
        """Effect, numbers, reason and what a row does not test, a sentence or two each."""
        remarks = [self.effect_words, _numbers(self)]
        if self.reason:
            remarks.append(f"Why: {self.reason}")
        if self.in_prediction == "no":
            remarks.append(_SURPRISING)
        if self.demonstration and self.reading not in NOT_JUDGED:
            remarks.append(f"Demonstration: {self.demonstration}")
        return [f"{remark}." for remark in remarks if remark]

    @property
    def files(self) -> list[str]:
        """Files of the thesis whose lines were counted, each once."""
        names: dict[str, str] = {}
        for trainer in self.counted:
            names.update(trainer.sha256)
        return list(names)


class _OfCondition(records.ConditionVerdicts):
    verdicts: tuple[Row, ...]


class _Shown(records.Verdicts):
    conditions: tuple[_OfCondition, ...]


@dataclass(frozen=True)
class Part:
    """A statement of a claim: its verdict, and what the thesis's instrument shows."""

    name: str
    statement: str
    corrected: Row | None
    as_published: Row | None

    @property
    def rows(self) -> list[Row]:
        """Those of the two that exist."""
        return [row for row in (self.corrected, self.as_published) if row]

    @property
    def cells(self) -> list[Cell]:
        """COLUMNS of the table: the published value, and what the corrected instrument measured."""
        first = self.rows[0]
        cells = [number_cell(first.published_words, first.published)]
        if self.corrected is None:
            return cells + [number_cell("", None)] * (len(COLUMNS) - 1)
        return cells + _measured(self.corrected)


@dataclass(frozen=True)
class Claim:
    """A claim of the thesis with its parts."""

    name: str
    section: str
    parts: list[Part]

    @property
    def is_judged(self) -> bool:
        """Whether a part of it has any answer: a verdict, a demonstration, or by an instrument."""
        rows = [row for part in self.parts for row in part.rows]
        return any(row.reading not in NOT_JUDGED for row in rows)


@dataclass(frozen=True)
class Verdicts:
    """The verdicts of a condition: paragraphs above them, claims in order, the runs behind them."""

    summary: tuple[str, ...]
    claims: list[Claim]
    runs: tuple[records.RunBehind, ...]
    counts: dict[str, int]
    """Verdict -> how many there are of it; demonstrations are none."""
    demonstrations: int

    @property
    def judged(self) -> list[Claim]:
        """The claims that have an answer."""
        return [claim for claim in self.claims if claim.is_judged]

    @property
    def not_judged(self) -> list[Claim]:
        """The other ones."""
        return [claim for claim in self.claims if not claim.is_judged]

    @property
    def reasons(self) -> dict[str, int]:
        """Why statements of the latter are not judged -> how many statements, the most first."""
        counts: Counter[str] = Counter()
        for claim in self.not_judged:
            for part in claim.parts:
                counts[part.rows[0].reason or part.rows[0].reading] += 1
        return dict(counts.most_common())


def read_verdicts(path: Path) -> list[Verdicts]:
    """What a page shows of `verdicts.json`, condition by condition.

    Raises EvengroundError if it is missing or broken.
    """
    return [_shown(condition) for condition in _Shown.read(path).conditions]


def _shown(condition: _OfCondition) -> Verdicts:
    claims = []
    # They stand in the order of the claims: those of a claim, and of its parts, are together.
    for name, of_claim in groupby(condition.verdicts, attrgetter("claim")):
        parts = [_part(list(rows)) for _, rows in groupby(of_claim, attrgetter("id"))]
        claims.append(Claim(name=name, section=parts[0].rows[0].section, parts=parts))
    counts = Counter(row.reading for row in condition.verdicts if row.kind == "verdict")
    kinds = Counter(row.kind for row in condition.verdicts)
    return Verdicts(
        summary=condition.summary,
        claims=claims,
        runs=condition.runs,
        counts={verdict: counts[verdict] for verdict in COLOURS if counts[verdict]},
        demonstrations=kinds["demonstration"],
    )


def _part(rows: Sequence[Row]) -> Part:
    """A statement from its rows, one per instrument."""
    by_instrument = {row.instrument: row for row in rows}
    return Part(
        name=rows[0].id,
        statement=rows[0].statement,
        corrected=by_instrument.get("corrected"),
        as_published=by_instrument.get("as-published"),
    )


def _axis_label(row: Row) -> str:
    """The axis as text, for screen readers."""
    texts = [f"here {row.here}"]
    if row.published_words:
        texts.append(f"published {row.published_words}")
    if row.same_size:
        low, high = row.same_size
        texts.append(f"the same size from {rounded(low, 3)} to {rounded(high, 3)}")
    return ", ".join(texts)


def _numbers(row: Row) -> str:
    """Estimate, published value, and how many runs of which quality they rest on."""
    interval = ""
    if row.confidence is not None and row.low is not None:
        interval = f", {100 * row.confidence:.4g} % interval"
    parts = [
        _labelled("here ", row.here, interval),
        _labelled("published ", row.published_words),
        row.counted_runs,
        _labelled("CV ", row.cv_words),
        _labelled("idle ", row.idle_words, " of the training"),
        _labelled("flagged ", row.flagged_words),
    ]
    text = "; ".join(filter(None, parts))
    return text[:1].upper() + text[1:]


def _labelled(before: str, text: str, after: str = "") -> str:
    """`text` between two others; empty if it is empty."""
    if not text:
        return ""
    return before + text + after


def _measured(row: Row) -> list[Cell]:
    """COLUMNS of a row, from the second one on."""
    runs = row.pairs
    if runs is None:
        runs = row.n_a
    idle = [share for share in (row.idle_a, row.idle_b) if share is not None]
    # No run at all is no number: it sorts last, like a missing one.
    flagged = (row.n_invalid or 0) + (row.n_warned or 0)
    return [
        number_cell(row.here, row.estimate),
        text_cell(row.effect_words),
        number_cell(row.counted_runs, runs or None),
        number_cell(row.idle_words, max(idle, default=None)),
        number_cell(row.flagged_words, flagged or None),
    ]
