"""Tables as a page shows them: rounded for reading, sorted by the unrounded value."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from evenground.analysis.shown import EMPTY, Shown
from evenground.analysis.table import Table, read_table, shown_cells

# Sorts behind every word; page.js keeps it last in descending order, too.
NOTHING_LAST = "~"
# Nobody reads more in a browser, and each row is there twice: as cells, and in the CSV.
MAX_ROWS = 400


@dataclass(frozen=True)
class Cell:
    """The text of a cell, the key it is sorted by, and whether it is a number."""

    text: str
    key: str
    number: bool


@dataclass(frozen=True)
class PageTable:
    """A table with its title, its notes (Markdown of one paragraph each) and its CSV."""

    name: str
    title: str
    notes: tuple[str, ...]
    columns: list[Shown]
    n_rows: int
    rows: list[list[Cell]]
    """None of them if they are too many for a page."""
    csv: str
    """Empty then."""


def number_cell(text: str, value: float | None) -> Cell:
    """A cell sorted by `value`; a missing one comes last."""
    key = ""
    if value is not None and not pd.isna(value):
        key = repr(float(value))
    return Cell(text=text or EMPTY, key=key, number=True)


def text_cell(text: str) -> Cell:
    """A cell sorted by its own text in lower case; an empty one comes last."""
    if text in ("", EMPTY):
        return Cell(text=EMPTY, key=NOTHING_LAST, number=False)
    return Cell(text=text, key=text.lower(), number=False)


def page_table(folder: Path, name: str) -> PageTable:
    """The table NAME of a folder of tables; raises EvengroundError if it is missing or broken."""
    table = read_table(folder, name)
    rows, csv = [], ""
    if len(table.rows) <= MAX_ROWS:
        rows = _rows(table)
        csv = (folder / f"{name}.csv").read_text(encoding="utf-8")
    return PageTable(
        name=name,
        title=table.title,
        notes=table.notes,
        columns=table.shown,
        n_rows=len(table.rows),
        rows=rows,
        csv=csv,
    )


def _rows(table: Table) -> list[list[Cell]]:
    rows, shown = [], table.shown
    for texts, values in zip(shown_cells(table), table.rows.to_dict("records"), strict=True):
        cells = zip(shown, texts, strict=True)
        rows.append([_cell(column, text, values) for column, text in cells])
    return rows


def _cell(column: Shown, text: str, values: dict[Any, Any]) -> Cell:
    """A cell of the row `values`; a spread is sorted by its median."""
    if not column.is_number:
        return text_cell(text)
    return number_cell(text, values[column.columns[0].name])
