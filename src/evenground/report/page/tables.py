"""Tables as a page shows them: rounded for reading, sorted by the unrounded value."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import unescape
from pathlib import Path

from evenground.analysis.files import EMPTY, TEXT, folded_rows, read_cells, read_csv, whole_numbers
from evenground.errors import EvengroundError

# Sorts behind every word; page.js keeps it last in descending order, too.
NOTHING_LAST = "~"


@dataclass(frozen=True)
class Cell:
    """The text of a cell, the key it is sorted by, and whether it is a number."""

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


def number_cell(text: str, value: float | None) -> Cell:
    """A cell sorted by `value`; None and NaN come last."""
    key = ""
    if value is not None and not math.isnan(value):
        key = repr(float(value))
    return Cell(text=text or EMPTY, key=key, number=True)


def text_cell(text: str) -> Cell:
    """A cell sorted by its own text in lower case; an empty one comes last."""
    if text in ("", EMPTY):
        return Cell(text=EMPTY, key=NOTHING_LAST, number=False)
    return Cell(text=text, key=text.lower(), number=False)


def page_table(folder: Path, name: str, exact: Sequence[str] = ()) -> Table:
    """The table NAME of a folder of tables; raises EvengroundError if it is missing or broken.

    Columns named in `exact` are shown unrounded: a parameter is not a measurement.
    """
    path = folder / f"{name}.csv"
    # Values to sort by, and the same as text, which alone tells 3 from 3.0.
    frame = read_csv(path)
    cells = read_cells(path)
    heading, note = heading_and_note(folder / f"{name}.md")
    unrounded = {column: cells[column] for column in exact if column in cells}
    shown = folded_rows(whole_numbers(frame, cells).assign(**unrounded))
    columns = tuple(map(str, frame.columns))
    if shown:
        # X_median, X_min and X_max are folded into one column.
        columns = tuple(shown[0])
    rows = []
    for texts, values in zip(shown, frame.to_dict("records"), strict=True):
        rows.append(tuple(_cell(column, text, values) for column, text in texts.items()))
    return Table(
        name=name,
        heading=heading,
        note=note,
        columns=columns,
        rows=tuple(rows),
        csv=path.read_text(encoding="utf-8"),
    )


def heading_and_note(path: Path) -> tuple[str, str]:
    """The text above the rows of a Markdown table; raises EvengroundError if it is missing."""
    if not path.is_file():
        raise EvengroundError("the file is missing", str(path), "run the pipeline again to make it")
    head, _, rest = path.read_text(encoding="utf-8").partition("\n\n")
    return head.removeprefix("# "), rest.partition("\n\n|")[0]


def _cell(column: str, text: str, values: dict[object, object]) -> Cell:
    """A cell of the row `values`; `X median (min to max)` is sorted by the median."""
    stem = column.removesuffix(" median (min to max)")
    value = values.get(column, values.get(f"{stem}_median"))
    if isinstance(value, int | float) and column not in TEXT:
        return number_cell(text, value)
    # The template escapes HTML itself: undo what `files.plain` escaped for Markdown.
    return text_cell(unescape(text.replace("\\|", "|").replace("\\[", "[")))
