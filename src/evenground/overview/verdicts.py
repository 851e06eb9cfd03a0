"""The verdicts of all parts below each other, as they are read."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from evenground.overview.parts import Parts
from evenground.report.page.verdicts import Row, read_rows

VERDICTS = "verdicts"


def for_reading(parts: Parts) -> pd.DataFrame:
    """The columns of a part's own verdicts.md, which its note explains; one row of one part each.

    Raises EvengroundError when the verdicts of a part are missing or broken.
    """
    rows = [
        {**parts.lead(part), **_words(row)}
        for part in parts.parts
        for row in read_rows(part.file("verdicts.json"))
    ]
    return pd.DataFrame(rows)


def _words(row: Row) -> Mapping[str, str]:
    return {
        "claim": row.id,
        "instrument": row.instrument,
        "verdict": row.verdict,
        "published": row.published_words,
        "estimate": row.estimate_words,
        "effect": row.effect,
        "runs": row.runs_words,
        "CV": row.cv_words,
        "idle": row.idle_words,
        "flagged": row.flagged_words,
        "demonstration": row.demonstration,
        "reason": row.reason,
    }
