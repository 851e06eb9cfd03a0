"""Tables as a page shows them: rounded for reading, sorted by the unrounded value."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import unescape
from pathlib import Path

from evenground.analysis.files import EMPTY, TEXT, folded_rows, read_cells, read_csv, whole_numbers
from evenground.errors import EvengroundError

NOTHING_LAST = "~"


@dataclass(frozen=True)
class Cell:
    """What stands in a cell, what it is sorted by, and whether it is a number."""

    text: str
    key: str
    number: bool


@dataclass(frozen=True)
class Table:
    """A table with its heading and its note (Markdown of one paragraph or more)."""

    name: str
    heading: str
    note: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    csv: str


def page_table(folder: Path, name: str, exact: Sequence[str] = ()) -> Table:
    """The table NAME of a folder of tables; EvengroundError when it is missing or broken.

    Columns named in `exact` are shown as they are: a parameter is no measurement to be rounded.
    """
    frame, cells = read_csv(folder / f"{name}.csv"), read_cells(folder / f"{name}.csv")
    heading, note = heading_and_note(folder / f"{name}.md")
    as_given = {column: cells[column] for column in exact if column in cells}
    shown = folded_rows(whole_numbers(frame, cells).assign(**as_given))
    columns = tuple(shown[0]) if shown else tuple(str(column) for column in frame.columns)
    rows = tuple(
        tuple(_cell(column, text, row) for column, text in words.items())
        for words, row in zip(shown, frame.to_dict("records"), strict=True)
    )
    return Table(
        name, heading, note, columns, rows, (folder / f"{name}.csv").read_text(encoding="utf-8")
    )


def heading_and_note(path: Path) -> tuple[str, str]:
    """What stands over the rows of a Markdown table; EvengroundError where there is none."""
    if not path.is_file():
        raise EvengroundError("the file is missing", str(path), "run the pipeline again to make it")
    head, _, rest = path.read_text(encoding="utf-8").partition("\n\n")
    return head.removeprefix("# "), rest.partition("\n\n|")[0]


def _cell(column: str, text: str, row: dict[object, object]) -> Cell:
    """The cell's value decides the order; of `X median (min to max)` it is the median."""
    stem = column.removesuffix(" median (min to max)")
    value = row.get(column, row.get(f"{stem}_median"))
    number = isinstance(value, int | float) and column not in TEXT
    if not number:
        # The page escapes for itself what `files.plain` did for Markdown.
        text = unescape(text.replace("\\|", "|").replace("\\[", "["))
        return Cell(text, NOTHING_LAST if text == EMPTY else text.lower(), False)
    known = float(str(value))
    return Cell(text, "" if math.isnan(known) else repr(known), True)
