"""Whether several experiments come to the same verdicts. Verdict files may come from anybody."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from evenground.analysis.files import VERDICT_OF as OF
from evenground.claims.judge import NOT_JUDGED, UNDECIDED
from evenground.records.verdicts import Row, Verdicts

YES, NO, OPEN, NOT_COMPARABLE = "yes", "no", "all open", "not comparable"
TOO_FEW = "fewer than two sides could judge it"
OTHER_RULE = "judged by other rules: bound, size, tolerance or confidence are not the same"
FIRST, LAST = ("claim", "part", "instrument"), ("agree", "kind", "demonstration", "reason")
Key = tuple[str, str, str]
_Sides = Mapping[str, Mapping[Key, Row]]


def agreement(verdicts: Mapping[str, Verdicts]) -> pd.DataFrame:
    """Of each side's verdicts: a row per claim part and instrument that any has.

    A column `verdict_SIDE` for each (empty where it has none) stands between FIRST and LAST. `agree`: `yes`
    or `no`, and `not comparable` with the reason where fewer than two sides could judge it, or not by the
    same rule. `demonstration`: what makes verdicts demonstrations, and of which sides where not of all.
    """
    sides = {name: {_key(row): row for row in of.verdicts} for name, of in verdicts.items()}
    keys = list(dict.fromkeys(key for rows in sides.values() for key in rows))
    return pd.DataFrame(
        [_row(key, sides) for key in keys], columns=[*FIRST, *(OF + name for name in sides), *LAST]
    )


def _key(row: Row) -> Key:
    return row.claim, row.part, row.instrument


def _rule(row: Row) -> tuple[object, ...]:
    """What turns an estimate into a verdict: another version of the claims may have another."""
    region = (row.direction, row.bound, row.published, row.tolerance)
    return (*region, row.confidence, row.estimator)


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


def _agree(judged: Sequence[Row]) -> tuple[str, str]:
    if len(judged) < 2:
        return NOT_COMPARABLE, TOO_FEW
    if len({_rule(one) for one in judged}) > 1:
        return NOT_COMPARABLE, OTHER_RULE
    readings = {one.reading for one in judged}
    if readings <= set(UNDECIDED):
        return OPEN, ""
    return (YES if len(readings) == 1 else NO), ""


def _demonstration(judged: Mapping[str, Row]) -> str:
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
