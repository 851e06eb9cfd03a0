"""`tables/NAME.json`: what the columns of a table hold; its rows are beside it, in NAME.csv."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from evenground.records.base import Fields, Record
from evenground.records.values import Number, Text, Words
from evenground.validation import Name

Kind = Literal["text", "whole", "number"]
DIGITS = 4


class TableColumn(Fields):
    """A column of a table or of a normalised frame."""

    name: Text
    """Its name in the first line of the CSV."""
    kind: Kind
    """Text, whole numbers or any numbers; an empty cell is empty text, or a missing number."""
    unit: Words = ""
    """Unit of its numbers; empty without one, or if `unit_in` names it."""
    unit_in: Text | None = None
    """Column with the unit of each row; null: all rows have `unit`."""
    digits: Annotated[int, Field(ge=1, le=17)] | None = DIGITS
    """Significant digits of a number where it is shown; null: all, as of a parameter."""
    floor: Number | None = None
    """Of a smaller number only that it is smaller is shown; null: each number is shown."""
    spread: Text | None = None
    """What it is a part of that is shown as one column, e.g. an interval; null: it is itself."""
    meaning: Words
    """What it holds, as Markdown."""


class TableFile(Record):
    """A table without its rows. A cell without a value is empty in the CSV, never zero."""

    WHAT: ClassVar[str] = "table"

    name: Name
    """Name of its files."""
    title: Text
    """Its heading."""
    columns: Annotated[tuple[TableColumn, ...], Field(min_length=1)]
    """In the order of the CSV."""
    hidden: tuple[Text, ...] = ()
    """Columns that are not shown: the same in all rows, or given by another column."""
    notes: tuple[Words, ...]
    """Paragraphs of Markdown about the whole table."""
