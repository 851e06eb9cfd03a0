"""The verdicts of all parts below each other, as they are read."""

from __future__ import annotations

import pandas as pd

from evenground.claims.write import readable_row
from evenground.overview.parts import Parts
from evenground.records.verdicts import Verdicts

VERDICTS = "verdicts"


def for_reading(parts: Parts) -> pd.DataFrame:
    """The columns of a part's own verdicts.md, which its note explains; one row of one part each.

    Raises EvengroundError when the verdicts of a part are missing or broken.
    """
    rows = [
        {**parts.lead(part), **readable_row(row)}
        for part in parts.parts
        for row in Verdicts.read(part.file("verdicts.json")).verdicts
    ]
    return pd.DataFrame(rows)
