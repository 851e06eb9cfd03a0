"""The numbers that the thesis published, as data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, TypeAdapter, ValidationError

from evenground.errors import EvengroundError
from evenground.files import csv_rows
from evenground.validation import Name, first_fault

FIX = (
    "fix that line; the columns are id, quantity, language, dataset, value, unit, runs, where, note"
)


def _none_from_blank(cell: Any) -> Any:
    return cell or None


Text = Annotated[str, Field(min_length=1)]


@dataclass(frozen=True)
class Number:
    """One published number, with its unit and where the thesis states it. None has a spread."""

    id: Name
    quantity: Text
    language: Text
    dataset: Text
    # Decimal keeps the digits as printed: how far it was rounded follows from them.
    value: Annotated[Decimal, Field(allow_inf_nan=False)]
    unit: Text
    # How many runs it is the mean of; None where the thesis does not say.
    runs: Annotated[Annotated[int, Field(ge=1)] | None, BeforeValidator(_none_from_blank)]
    where: Text
    note: str

    @property
    def half_digit(self) -> float:
        """Half a unit of its last digit: the most that rounding may have changed."""
        return 0.5 * 10.0 ** int(self.value.as_tuple().exponent)


_NUMBER = TypeAdapter(Number)


def read_published(path: Path) -> Mapping[str, Number]:
    """Return every published number by its id.

    Raises EvengroundError for a file that cannot be read, a broken line and a duplicate id.
    """
    where = str(path)
    numbers: dict[str, Number] = {}
    # The first line is the header.
    for line, row in enumerate(csv_rows(path, "published numbers"), start=2):
        try:
            number = _NUMBER.validate_python(row)
        except ValidationError as error:
            what = f"broken line {line}, {first_fault(error)}"
            raise EvengroundError(what, where, FIX) from None
        if number.id in numbers:
            raise EvengroundError(f"line {line}: duplicate id '{number.id}'", where, FIX)
        numbers[number.id] = number
    return numbers
