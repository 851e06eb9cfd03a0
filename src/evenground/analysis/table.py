"""A table is data: rows, what each column holds, notes; Markdown is only rendered from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from evenground.analysis.columns import Columns, names_of
from evenground.analysis.files import read_rows, typed, write_csv
from evenground.analysis.shown import Shown, plain, shown_cell, shown_columns
from evenground.files import write_text
from evenground.records.table import TableFile

DASH = "A dash is missing, not zero."


@dataclass(frozen=True)
class Table:
    """A table with its heading, its columns, and notes (Markdown of one paragraph each).

    Raises ValueError if the columns of `rows` are not those declared.
    """

    name: str
    title: str
    columns: Columns
    rows: pd.DataFrame
    notes: tuple[str, ...] = ()
    hidden: tuple[str, ...] = ()
    """Columns that are not shown."""

    def __post_init__(self) -> None:
        declared, found = names_of(self.columns), tuple(self.rows.columns)
        if declared != found:
            raise ValueError(f"the columns of {self.name} are {found}, declared are {declared}")

    @property
    def shown(self) -> list[Shown]:
        """The columns that are shown."""
        hidden = self.hidden
        return shown_columns(tuple(each for each in self.columns if each.name not in hidden))


def frame_of(rows: Sequence[Mapping[Any, object]], columns: Columns) -> pd.DataFrame:
    """Rows as a frame, typed as by `typed`, which also raises ValueError."""
    # With another type, whole numbers beside a missing one would lose digits.
    return typed(pd.DataFrame(rows, dtype="object"), columns)


def write_table(table: Table, folder: Path, shown: Table | None = None) -> None:
    """Write NAME.csv and NAME.json, and for reading NAME.md; it renders `shown`, if given."""
    write_csv(table.rows, folder / f"{table.name}.csv")
    file = TableFile(
        name=table.name,
        title=table.title,
        columns=table.columns,
        hidden=table.hidden,
        notes=table.notes,
    )
    file.write(folder / f"{table.name}.json")
    write_text(folder / f"{table.name}.md", markdown(shown or table))


def read_table(folder: Path, name: str) -> Table:
    """The table NAME of a folder.

    Raises EvengroundError if one of its two files is missing, broken, or does not fit the other.
    """
    file = TableFile.read(folder / f"{name}.json")
    return Table(
        name=file.name,
        title=file.title,
        columns=file.columns,
        rows=read_rows(folder / f"{name}.csv", file.columns),
        notes=file.notes,
        hidden=file.hidden,
    )


def shown_cells(table: Table) -> list[list[str]]:
    """The text of each cell that is shown, row by row, a cell for each of `shown_columns`."""
    shown = table.shown
    units = {column.unit_in for column in table.columns if column.unit_in}
    rows = table.rows.to_dict("records")
    return [[shown_cell(column, row, units) for column in shown] for row in rows]


def markdown(table: Table) -> str:
    """The table for reading: title, notes, rows, and what each column holds."""
    shown = table.shown
    lines = [[plain(column.heading) for column in shown], [_alignment(column) for column in shown]]
    lines += [[plain(cell) for cell in row] for row in shown_cells(table)]
    rows = "".join(f"| {' | '.join(line)} |\n" for line in lines)
    meanings = "".join(f"- {_explained(column)}\n" for column in shown)
    paragraphs = [f"# {table.title}", *table.notes, rows + f"\n## Columns\n\n{DASH}\n\n{meanings}"]
    return "\n\n".join(paragraphs)


def _alignment(column: Shown) -> str:
    """Text stands on the left of its column, numbers on the right."""
    return "---:" if column.is_number else "---"


def _explained(column: Shown) -> str:
    unit = f" ({column.unit})" if column.unit else ""
    return f"{column.names}{unit}: {column.meaning}"
