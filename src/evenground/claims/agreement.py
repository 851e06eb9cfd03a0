"""Whether several experiments come to the same verdicts. Verdict files may come from anybody."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import pandas as pd
from pydantic import AfterValidator, Field, TypeAdapter, ValidationError

from evenground.analysis.files import VERDICT_OF as OF
from evenground.analysis.index import Name, Words, printable
from evenground.claims.instruments import Instrument
from evenground.claims.judge import VERDICTS, Verdict
from evenground.errors import EvengroundError
from evenground.records.faults import first_fault

UNTESTABLE = VERDICTS[-1]
YES, NO, NOT_COMPARABLE = "yes", "no", "not comparable"
TOO_FEW = "fewer than two sides could judge it"
OTHER_RULE = "judged by other rules: the claims are not the same"
FIRST, LAST = ("claim", "part", "instrument"), ("agree", "demonstration", "reason")
MOST_VERDICTS = 10_000
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
    verdict: Verdict
    demonstration: Told = ""
    direction: Words | None = None
    bound: float | None = None
    published: float | None = None
    tolerance: float | None = None
    estimator: Words | None = None

    @property
    def key(self) -> Key:
        return self.claim, self.part, self.instrument

    @property
    def rule(self) -> tuple[object, ...]:
        """What turns an estimate into a verdict: another version of the claims may have another."""
        return self.direction, self.bound, self.published, self.tolerance, self.estimator


@dataclass(frozen=True)
class _File:
    schema_version: Annotated[Literal[1], Field(validation_alias="schema")]
    verdicts: Annotated[tuple[_Verdict, ...], Field(max_length=MOST_VERDICTS)]


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
    where, todo = f"verdicts.json of {side}", "have it judged again, or leave it out"
    try:
        rows = _FILE.validate_python(content).verdicts
    except ValidationError as error:
        raise EvengroundError(f"broken verdicts, {first_fault(error)}", where, todo) from error
    found = {row.key: row for row in rows}
    if len(found) < len(rows):
        raise EvengroundError("broken verdicts, one stands there twice", where, todo)
    return found


def _row(key: Key, sides: _Sides) -> dict[str, str]:
    given = {name: rows[key] for name, rows in sides.items() if key in rows}
    judged = {name: one for name, one in given.items() if one.verdict != UNTESTABLE}
    shown = {OF + name: given[name].verdict if name in given else "" for name in sides}
    agree, reason = _agree(list(judged.values()))
    told = {"agree": agree, "demonstration": _demonstration(judged), "reason": reason}
    return {**dict(zip(FIRST, key, strict=True)), **shown, **told}


def _agree(judged: Sequence[_Verdict]) -> tuple[str, str]:
    if len(judged) < 2:
        return NOT_COMPARABLE, TOO_FEW
    if len({one.rule for one in judged}) > 1:
        return NOT_COMPARABLE, OTHER_RULE
    return (YES if len({one.verdict for one in judged}) == 1 else NO), ""


def _demonstration(judged: Mapping[str, _Verdict]) -> str:
    """What makes the verdicts demonstrations; with the sides' names where that is not the same of all."""
    sides: dict[str, list[str]] = {}
    for name, one in judged.items():
        sides.setdefault(one.demonstration, []).append(name)
    if len(sides) < 2:
        return "".join(sides)
    return "; ".join(f"{', '.join(names)}: {what or 'none'}" for what, names in sides.items())


def in_words(found: pd.DataFrame) -> list[str]:
    """How many verdicts of `agreement` agree, and a line for each one that does not."""
    counts = found["agree"].value_counts()
    yes, no, rest = (int(counts.get(word, 0)) for word in (YES, NO, NOT_COMPARABLE))
    shown = int((found["agree"].isin([YES, NO]) & (found["demonstration"] != "")).sum())
    more = [f"{shown} of the {yes + no} with demonstrations"] if shown else []
    more += [f"{rest} are not comparable"] if rest else []
    total = f"{yes} of {yes + no} verdicts agree" if yes + no else "no two verdicts can be compared"
    total += f" ({'; '.join(more)})" if more else ""
    sides = [str(name).removeprefix(OF) for name in found.columns if name not in FIRST + LAST]
    return [total, *(_disagreement(row, sides) for row in found[found["agree"] == NO].to_dict("records"))]


def _disagreement(row: Mapping[Any, str], sides: Sequence[str]) -> str:
    name = "-".join(filter(None, [row["claim"], row["part"]]))
    verdicts = ", ".join(f"{row[OF + side]} ({side})" for side in sides if row[OF + side])
    return f"{name}, {row['instrument']}: {verdicts}"
