"""Whether several experiments come to the same verdicts. Verdict files may come from anybody."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import pandas as pd
from pydantic import AfterValidator, Field, TypeAdapter, ValidationError

from evenground.analysis.files import VERDICT_OF as OF
from evenground.analysis.index import Text, printable
from evenground.analysis.instruments import Instrument
from evenground.claims.judge import NOT_JUDGED, UNDECIDED, Kind, Verdict
from evenground.errors import EvengroundError
from evenground.validation import Name, first_fault

YES, NO, OPEN, NOT_COMPARABLE = "yes", "no", "all open", "not comparable"
TOO_FEW = "fewer than two sides could judge it"
OTHER_RULE = "judged by other rules: bound, size, tolerance or confidence are not the same"
FIRST, LAST = ("claim", "part", "instrument"), ("agree", "kind", "demonstration", "reason")
MAX_VERDICTS = 10_000
SCHEMA = 3
Key = tuple[str, str, str]


def _printable_or_empty(text: str) -> str:
    return printable(text) if text else text


Told = Annotated[str, Field(max_length=5000), AfterValidator(_printable_or_empty)]


@dataclass(frozen=True)
class _Verdict:
    """What is read of a row of `verdicts.json`."""

    claim: Name
    part: Name | Literal[""]
    instrument: Instrument
    verdict: Text
    """As it is shown: what is no verdict says so."""
    reading: Verdict
    kind: Kind = "verdict"
    demonstration: Told = ""
    direction: Text | None = None
    bound: float | None = None
    published: float | None = None
    tolerance: float | None = None
    confidence: float | None = None
    estimator: Text | None = None

    @property
    def key(self) -> Key:
        return self.claim, self.part, self.instrument

    @property
    def rule(self) -> tuple[object, ...]:
        """What turns an estimate into a verdict: another version of the claims may have another."""
        region = (self.direction, self.bound, self.published, self.tolerance)
        return (*region, self.confidence, self.estimator)


@dataclass(frozen=True)
class _File:
    schema_version: Annotated[Literal[3], Field(validation_alias="schema")]
    verdicts: Annotated[tuple[_Verdict, ...], Field(max_length=MAX_VERDICTS)]


_FILE = TypeAdapter(_File)
_Sides = Mapping[str, Mapping[Key, _Verdict]]


def agreement(verdicts: Mapping[str, Any]) -> pd.DataFrame:
    """Of the content of each side's `verdicts.json`: a row per claim part and instrument that any has.

    A column `verdict_SIDE` for each (empty where it has none) stands between FIRST and LAST. `agree`: `yes`
    or `no`, and `not comparable` with the reason where fewer than two sides could judge it, or not by the
    same rule. `demonstration`: what makes verdicts demonstrations, and of which sides where not of all.
    Raises EvengroundError for content that is no such file.
    """
    sides = {name: _read(content, name) for name, content in verdicts.items()}
    keys = list(dict.fromkeys(key for rows in sides.values() for key in rows))
    return pd.DataFrame(
        [_row(key, sides) for key in keys], columns=[*FIRST, *(OF + name for name in sides), *LAST]
    )


def _read(content: Any, side: str) -> dict[Key, _Verdict]:
    where, fix = (
        f"verdicts.json of {side}",
        "have it judged again (evenground convert), or leave it out",
    )
    version = content.get("schema") if isinstance(content, dict) else None
    if isinstance(version, int) and version != SCHEMA:
        raise EvengroundError(
            f"verdicts of version {version}, and this one reads {SCHEMA}", where, fix
        )
    try:
        rows = _FILE.validate_python(content).verdicts
    except ValidationError as error:
        raise EvengroundError(f"broken verdicts, {first_fault(error)}", where, fix) from error
    found = {row.key: row for row in rows}
    if len(found) < len(rows):
        raise EvengroundError("broken verdicts, one stands there twice", where, fix)
    return found


def _row(key: Key, sides: _Sides) -> dict[str, str]:
    given = {name: rows[key] for name, rows in sides.items() if key in rows}
    judged = {name: one for name, one in given.items() if one.reading not in NOT_JUDGED}
    shown = {OF + name: given[name].verdict if name in given else "" for name in sides}
    agree, reason = _agree(list(judged.values()))
    kinds = " and ".join(dict.fromkeys(one.kind for one in judged.values()))
    told = {
        "agree": agree,
        "kind": kinds,
        "demonstration": _demonstration(judged),
        "reason": reason,
    }
    return {**dict(zip(FIRST, key, strict=True)), **shown, **told}


def _agree(judged: Sequence[_Verdict]) -> tuple[str, str]:
    if len(judged) < 2:
        return NOT_COMPARABLE, TOO_FEW
    if len({one.rule for one in judged}) > 1:
        return NOT_COMPARABLE, OTHER_RULE
    readings = {one.reading for one in judged}
    if readings <= set(UNDECIDED):
        return OPEN, ""
    return (YES if len(readings) == 1 else NO), ""


def _demonstration(judged: Mapping[str, _Verdict]) -> str:
    """What makes the verdicts demonstrations; with the sides' names where that is not the same of all."""
    sides: dict[str, list[str]] = {}
    for name, one in judged.items():
        sides.setdefault(one.demonstration, []).append(name)
    if len(sides) < 2:
        return "".join(sides)
    return "; ".join(f"{', '.join(names)}: {what or 'none'}" for what, names in sides.items())


def in_words(found: pd.DataFrame) -> list[str]:
    """How many verdicts of `agreement` agree, and a line for each row of any kind that does not.

    Demonstrations and what the thesis's instrument shows are counted apart: they are no verdicts.
    """
    is_verdict = found["kind"] == "verdict"
    total = f"verdicts: {_counted(found[is_verdict])}"
    if (found["agree"] != NOT_COMPARABLE)[~is_verdict].any():
        total += f"; demonstrations and the thesis's instrument: {_counted(found[~is_verdict])}"
    sides = [str(name).removeprefix(OF) for name in found.columns if name not in FIRST + LAST]
    return [
        total,
        *(_disagreement(row, sides) for row in found[found["agree"] == NO].to_dict("records")),
    ]


def _counted(rows: pd.DataFrame) -> str:
    """How many of the rows that can be compared agree."""
    counts = rows["agree"].value_counts()
    yes, no, still_open, rest = (
        int(counts.get(word, 0)) for word in (YES, NO, OPEN, NOT_COMPARABLE)
    )
    words = [f"{yes} of {yes + no} agree"] if yes + no else ["no two can be compared"]
    words += [f"{still_open} are open on all sides"] if still_open else []
    words += [f"{rest} are not comparable"] if rest else []
    return ", ".join(words)


def _disagreement(row: Mapping[Any, str], sides: Sequence[str]) -> str:
    name = "-".join(filter(None, [row["claim"], row["part"]]))
    verdicts = ", ".join(f"{row[OF + side]} ({side})" for side in sides if row[OF + side])
    return f"{name}, {row['instrument']}: {verdicts}"
