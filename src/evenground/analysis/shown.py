"""What is shown of a table, in Markdown and on the page alike: rounded, in readable units."""

from __future__ import annotations

import itertools
import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from evenground.analysis.columns import Columns
from evenground.records.table import DIGITS, TableColumn
from evenground.validation import one_line

EMPTY = "–"
MIB = 2**20
# Unit in a file -> unit shown.
SHOWN_UNITS = {"bytes": "MiB", "byte·s": "MiB·s"}
# Enough for the smallest number in a table: beyond them it is shown as zero.
MAX_PLACES = 9


@dataclass(frozen=True)
class Shown:
    """One column of the table, or the three of a spread, shown as one."""

    heading: str
    columns: Columns

    @property
    def is_number(self) -> bool:
        """Whether its cells are numbers."""
        return self.columns[0].kind != "text"

    @property
    def names(self) -> str:
        """Names of the columns in the CSV, as Markdown."""
        return ", ".join(f"`{column.name}`" for column in self.columns)

    @property
    def unit(self) -> str:
        """Unit that its numbers are shown in, as Markdown; empty without one."""
        first = self.columns[0]
        if first.unit_in:
            return f"as in `{first.unit_in}`"
        return SHOWN_UNITS.get(first.unit, first.unit)

    @property
    def meaning(self) -> str:
        """What it holds, as Markdown."""
        return self.columns[0].meaning


def shown_columns(columns: Columns) -> list[Shown]:
    """What is shown as one column each."""
    shown = []
    for name, together in itertools.groupby(columns, lambda each: each.spread or each.name):
        parts = tuple(together)
        heading = name
        if parts[0].spread:
            heading = f"{name} (95 % interval)"
            if parts[0].name != name:
                heading = f"{name} median (min to max)"
        shown.append(Shown(heading=heading, columns=parts))
    return shown


def shown_cell(shown: Shown, row: Mapping[Any, Any], units: Collection[str]) -> str:
    """The text of a cell; `units` are the columns of the row that have units."""
    texts = [_text(column, row, units) for column in shown.columns]
    # A number may be known without its interval.
    if len(texts) == 1 or EMPTY in texts:
        return texts[0]
    middle, low, high = texts
    return f"{middle} ({low} to {high})"


def _text(column: TableColumn, row: Mapping[Any, Any], units: Collection[str]) -> str:
    value = row[column.name]
    if value == "" or pd.isna(value):
        return EMPTY
    if column.name in units:
        return SHOWN_UNITS.get(value, one_line(value))
    if column.kind != "number":
        return one_line(str(value))
    if column.floor is not None and value < column.floor:
        return f"< {column.floor}"
    unit = column.unit
    if column.unit_in:
        unit = row[column.unit_in]
    if unit in SHOWN_UNITS:
        value /= MIB
    return rounded(value, column.digits)


def rounded(value: float, digits: int | None = DIGITS) -> str:
    """So many significant digits, more if the whole part has more, without an exponent.

    Without `digits` every digit, as in a CSV.
    """
    if digits is None:
        return repr(value)
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    places = max(0, digits - 1 - math.floor(math.log10(abs(value))))
    return f"{value:.{min(places, MAX_PLACES)}f}"


def plain(text: str) -> str:
    """Text that Markdown shows as it is: no new column or line, no HTML, no link or picture."""
    return one_line(text).replace("|", "\\|").replace("[", "\\[").replace("<", "&lt;")


def explained(columns: Columns) -> str:
    """A paragraph of Markdown with the meaning of each column."""
    return " ".join(f"`{column.name}`: {column.meaning}" for column in columns)
