"""`verdicts.json`: the verdict on every claim under each instrument, and everything behind it."""

from __future__ import annotations

import math
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BeforeValidator, ConfigDict, Field, model_validator

from evenground.records.base import Fields, Record
from evenground.records.index import ThesisLines
from evenground.records.values import Amount, Count, Inside, Number, Text, Words
from evenground.validation import ClassName, Name

Instrument = Literal["corrected", "as-published"]
Verdict = Literal[
    "reproduced",
    "direction reproduced",
    "direction reproduced, size open",
    "direction reproduced, other size",
    "within the margin",
    "inconclusive",
    "depends on a known cause",
    "size refuted",
    "outside the margin",
    "contradicted",
    "too few runs",
    "cannot be tested here",
]
Kind = Literal["verdict", "demonstration", "instrument"]
YesNo = Literal["yes", "no", ""]


def _null_unless_finite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


# As JSON can hold it: null for a number that is missing or infinite.
Known = Annotated[Number | None, BeforeValidator(_null_unless_finite)]


class Arguments(Fields):
    """What an estimator works on."""

    measure: str
    """What is measured of every run: a name of measures.py."""
    resource: str | None = None
    """`cpu`, `ram`, `gpu` or `vram`; null for a time."""
    of: Name
    """The role whose value is claimed, or the numerator."""
    over: Name | None = None
    """The role in the denominator; null: nothing is divided."""
    datasets: Annotated[tuple[Name, ...], Field(min_length=1)]
    """The datasets of the claim."""
    measure_as_published: str | None = None
    """The measure under the as-published instrument; null: the same."""


class Code(Fields):
    """Two trainers of the thesis whose lines are compared (data/published/thesis-code.csv)."""

    of: Name
    """The numerator."""
    over: Name
    """The denominator."""


class Needs(Fields):
    """What a claim needs in addition to finished runs of its roles on its datasets."""

    accelerator: Literal["cpu", "cuda"] | None = None
    """What its runs must have computed on, as their engines report it; null for any device."""
    arm: Name | None = None
    """A role of the claim that is an arm of another engine; null: none."""


class Group(Fields):
    """The runs of one role on one dataset."""

    role: Name
    """Role in the claim."""
    dataset_of_claim: Name
    """Dataset in the claim."""
    runs: tuple[Count, ...]
    """Their numbers in the list of all runs, from 0 on."""
    values: tuple[Known, ...]
    """What was measured of each, in the unit of the claim; null: nothing."""
    without_idle: tuple[Known, ...]
    """The same without idle time; null: not known."""
    resolution: Known
    """The step in which values come; null: not known."""
    repetitions_left_out: tuple[Amount, ...]
    """Those that the estimate does not rest on."""
    extrapolated_from_examples: Amount | None
    """From how many examples times are extrapolated to all; null: they are not."""


class Row(Fields):
    """The verdict on a claim under one instrument, as verdicts.csv has it, and what is behind it.

    `_a` is of the role above the line of a ratio, `_b` of the one below. Null, if nothing else is
    said: the runs do not give it.
    """

    # verdicts.csv says what its columns hold in the same words.
    model_config = ConfigDict(use_attribute_docstrings=True)

    id: Name
    """Claim and part."""
    claim: Name
    """Name of the claim."""
    part: Name | Literal[""]
    """Part of the claim."""
    instrument: Instrument
    """`corrected` is ours; `as-published` takes numbers as the thesis took them."""
    verdict: Text
    """As it is shown: what is no verdict on the claim says so."""
    effect: Words
    """What the estimate says, in words."""
    estimate: Known
    """In `unit`."""
    low: Known
    """Lower end of the interval that decides; null: there is no interval."""
    high: Known
    """Its upper end; null: there is no interval."""
    confidence: Known
    """Of the interval, from 0 to 1; null also if lines of code were counted."""
    unit: str
    """Of estimate, bound and published value; 1 for a ratio."""
    published: Known
    """The published value; null: none was published."""
    published_low: Known
    """The least value that it may have been before its numbers were rounded; null: not known."""
    published_high: Known
    """The greatest value that it may have been; null: not known."""
    published_n: Count | None
    """Number of runs behind each published number; null: not known."""
    in_prediction: YesNo
    """Whether a repetition of the thesis's experiment would be expected to give its value."""
    tolerance: Known
    """Share by which a size may be off and count as the same; null: no size is judged."""
    method: Literal["counted", "blocks", "welch", ""]
    """How the estimate was made."""
    pairs: Count | None
    """Complete pairs of runs; null: they are not paired."""
    n_a: Count | None
    """Number of runs of the role above the line of a ratio."""
    n_b: Count | None
    """Number of runs of the role below it."""
    cv_a: Known
    """Coefficient of variation of the values above the line."""
    cv_b: Known
    """Coefficient of variation of the values below it."""
    idle_a: Known
    """Mean share of the training in which nothing was computed, above the line."""
    idle_b: Known
    """Mean share of the training in which nothing was computed, below it."""
    n_invalid: Count | None
    """Runs with a finding that makes them invalid."""
    n_warned: Count | None
    """Runs with a finding that is a warning."""
    more_runs: Count | None
    """How many more repetitions would decide it; null: none, or not known."""
    demonstration: Words
    """What makes it a demonstration; empty if it is none."""
    reason: Words
    """Why it is so."""
    kind: Kind
    """Only a `verdict` is about the claim itself, and is counted."""
    reading: Verdict
    """The verdict by its name, also of a row that judges no claim."""
    published_words: Words
    """The published value, for reading."""
    estimate_words: Words
    """Estimate and interval, for reading."""
    runs_words: Words
    """Pairs or runs, for reading."""
    cv_words: Annotated[Words, Field(validation_alias="CV_words", serialization_alias="CV_words")]
    """Coefficients of variation, for reading."""
    idle_words: Words
    """Idle shares, for reading."""
    flagged_words: Words
    """Runs with findings, for reading."""
    section: str
    """Section of the thesis."""
    statement: str
    """What is claimed."""
    estimator: Text | None
    """Name of the estimator; null: it rests on no runs."""
    arguments: Arguments | None
    """What the estimator works on; null without an estimator."""
    code: Code | None
    """Instead of an estimator: whose lines are compared; null: no lines are."""
    direction: Literal["greater", "less", "alike", "at_most"]
    """Where the estimate lies if the claim is true, seen from the bound."""
    bound: Number
    """In `unit`."""
    follows_from: tuple[Name, ...]
    """Published numbers that the published value follows from."""
    tolerance_elsewhere: Number
    """The tolerance on another class of machine than the thesis's."""
    because: str
    """Why this bound and this tolerance."""
    needs: Needs
    """What the claim needs beside its runs."""
    untestable: str | None
    """Why no recorded run can judge it; null: it can be judged."""
    region: tuple[Known, Known]
    """Between which values the claim holds; null for an open end."""
    same_size: tuple[Number, Number] | None
    """Between which values the size counts as the published one; null: no size is judged."""
    df: Known
    """Degrees of freedom; null also if lines of code were counted."""
    centre: Known
    """The estimate, on `scale`."""
    se: Known
    """Its standard error, on `scale`."""
    scale: Literal["logarithms", "as measured"] | None
    """On which the interval was made; null: nothing was estimated."""
    groups: tuple[Group, ...]
    """The runs behind it."""
    left_out: Words
    """Repetitions without a value, and why."""
    counted: tuple[ThesisLines, ...]
    """The trainers whose lines were counted."""

    @property
    def run_numbers(self) -> list[int]:
        """The runs behind it, by their numbers in the list of all runs."""
        numbers: list[int] = []
        for group in self.groups:
            numbers.extend(group.runs)
        return numbers


class Look(Fields):
    """Which of the planned looks at an experiment this is."""

    n: Amount
    """Planned repetitions up to this look."""
    number: Amount
    """Its place among the planned looks, from 1 on."""
    planned: tuple[Amount, ...]
    """Repetitions at each planned look."""
    by_precision: bool
    """Whether verdicts are given once they are precise enough instead."""
    confidence: Number
    """Of each interval that decides, from 0 to 1."""
    words: Words
    """The same, for reading."""

    @property
    def error_pct(self) -> float:
        """Chance of a false decision on one claim at this look, in percent."""
        return 100 * (1 - self.confidence)


class RunBehind(Fields):
    """A run that verdicts rest on."""

    dataset: Name
    """Name of its dataset."""
    engine: Name
    """Name of its engine."""
    key: Name
    """Its key."""
    repetition: Amount
    """Its repetition, from 1 on."""
    path: Inside
    """Its run directory, starting at the folder of `results/`."""
    manifest_sha256: str
    """Checksum of its manifest."""


class ConditionVerdicts(Fields):
    """The verdicts by the runs of one condition."""

    machine: ClassName
    """The class of machine of its runs."""
    values: dict[Name, int | float | Text]
    """Swept parameter -> its value."""
    stand_ins: dict[Name, Name]
    """As in the index."""
    design: Literal["blocks", "independent"]
    """As in the index."""
    look: Look
    """Which of the planned looks at the experiment this is."""
    summary: tuple[Words, ...]
    """Paragraphs of Markdown: how many verdicts of each kind, and what chance decides."""
    verdicts: tuple[Row, ...]
    """In the order of the claims, one for each instrument."""
    runs: tuple[RunBehind, ...]
    """Every run behind any verdict, once."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        seen = set()
        for row in self.verdicts:
            if any(number >= len(self.runs) for number in row.run_numbers):
                raise ValueError(f"{row.id} names a run that is not listed")
            if (row.id, row.instrument) in seen:
                raise ValueError(f"{row.id} stands there twice for one instrument")
            seen.add((row.id, row.instrument))
        return self


class Verdicts(Record):
    """All verdicts on an experiment."""

    WHAT: ClassVar[str] = "verdicts"
    SCHEMA: ClassVar[int] = 4

    sources: dict[str, str]
    """File of claims or published numbers -> its checksum."""
    deployment: Name
    """As in the index."""
    conditions: Annotated[tuple[ConditionVerdicts, ...], Field(min_length=1)]
    """The verdicts of each condition, in the order of the index."""
