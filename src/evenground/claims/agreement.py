"""Whether the conditions at one value of all parameters, or several sources, come to one verdict."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from evenground.analysis.columns import columns, names_of, text
from evenground.analysis.experiment import Experiment
from evenground.analysis.files import typed
from evenground.analysis.table import Table
from evenground.claims.judge import NOT_JUDGED, UNDECIDED
from evenground.records.verdicts import ConditionVerdicts, Row

NAME, TITLE = "agreement", "Verdicts on several machines or of several sources"
NOTE = (
    "Each condition's own verdict on each claim, by its own runs (docs/claims.md), beside those at "
    "the same values of all parameters."
)
YES, NO, OPEN, NOT_COMPARABLE = "yes", "no", "all open", "not comparable"
TOO_FEW = "fewer than two could judge it"
OTHER_RULE = "judged by other rules: bound, size, tolerance or confidence are not the same"
PART = (
    text("claim", "Name of the claim."),
    text("part", "Part of the claim."),
    text("instrument", "`corrected` is ours; `as-published` takes numbers as the thesis did."),
)
TABLE = columns(
    PART,
    text("verdict", "The verdict; empty if there is none."),
    text(
        "agree",
        f"Of all of them: `{YES}` or `{NO}`; `{OPEN}` if none decided it; `{NOT_COMPARABLE}` with "
        "the reason.",
    ),
    text("kind", "Only a `verdict` is about the claim itself."),
    text("demonstration", "What makes it a demonstration; empty if it is none."),
    text("reason", "Why they are not comparable."),
)
KEY = list(names_of(PART))
OWN = set(KEY) | {"verdict", "demonstration"}


def agreement_table(experiment: Experiment, judged: Sequence[ConditionVerdicts]) -> Table:
    """Return the table `agreement`; `judged` are the verdicts of each condition."""
    rows = agreement(experiment, judged)
    declared = experiment.columns(TABLE)
    return Table(
        name=NAME,
        title=TITLE,
        columns=declared,
        rows=typed(pd.DataFrame(rows), declared),
        notes=(NOTE,),
        hidden=experiment.hidden,
    )


def agreement(
    experiment: Experiment, judged: Sequence[ConditionVerdicts]
) -> list[dict[str, object]]:
    """Return a row for each condition, of each claim part and instrument."""
    found = {}
    for placed, verdicts in zip(experiment.conditions, judged, strict=True):
        found[id(placed)] = verdicts.verdicts
    rows: list[dict[str, object]] = []
    for together in experiment.peers:
        # The same claims judge all conditions: their rows have one order.
        for given in zip(*(found[id(placed)] for placed in together), strict=True):
            same = _agreed(given)
            for placed, row in zip(together, given, strict=True):
                rows.append({**placed.lead, **row.model_dump(include=OWN), **same})
    return rows


def _agreed(given: Sequence[Row]) -> dict[str, str]:
    """What is the same in the rows of all conditions."""
    judged = [row for row in given if row.reading not in NOT_JUDGED]
    agree, reason = _agree(judged)
    kinds = " and ".join(dict.fromkeys(row.kind for row in judged))
    return {"agree": agree, "kind": kinds, "reason": reason}


def _agree(judged: Sequence[Row]) -> tuple[str, str]:
    if len(judged) < 2:
        return NOT_COMPARABLE, TOO_FEW
    # Another class of machine has another tolerance, another plan of looks another confidence.
    if len({(one.tolerance, one.confidence) for one in judged}) > 1:
        return NOT_COMPARABLE, OTHER_RULE
    readings = {one.reading for one in judged}
    if readings <= set(UNDECIDED):
        return OPEN, ""
    return (YES if len(readings) == 1 else NO), ""


def in_words(found: pd.DataFrame, experiment: Experiment) -> list[str]:
    """Return how many verdicts agree, and a line for each row of any kind that does not.

    `found` is the table. Demonstrations and what the thesis's instrument shows are counted apart:
    they are no verdicts.
    """
    keys = [*KEY, *experiment.swept]
    parts = found.drop_duplicates(keys)
    is_verdict = parts["kind"] == "verdict"
    total = f"verdicts: {_counted(parts[is_verdict])}"
    if (parts["agree"] != NOT_COMPARABLE)[~is_verdict].any():
        total += f"; demonstrations and the thesis's instrument: {_counted(parts[~is_verdict])}"
    differing = found[found["agree"] == NO]
    lines = [total]
    for (claim, part, instrument, *values), rows in differing.groupby(keys, sort=False):
        name = "-".join(filter(None, [str(claim), str(part)]))
        where = [name, str(instrument)]
        for parameter, value in zip(experiment.swept, values, strict=True):
            where.append(f"{parameter} {value}")
        sides = rows[experiment.sides].agg(", ".join, axis=1)
        verdicts = rows["verdict"] + " (" + sides + ")"
        lines.append(f"{', '.join(where)}: {', '.join(verdicts)}")
    return lines


def _counted(rows: pd.DataFrame) -> str:
    """How many of the rows that can be compared agree."""
    counts = rows["agree"].value_counts()
    yes, no, still_open, rest = (
        int(counts.get(word, 0)) for word in (YES, NO, OPEN, NOT_COMPARABLE)
    )
    words = [f"{yes} of {yes + no} agree"] if yes + no else ["no two can be compared"]
    words += [f"{still_open} are open everywhere"] if still_open else []
    words += [f"{rest} are not comparable"] if rest else []
    return ", ".join(words)
