"""The numbers that the thesis published, as data."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, TypeAdapter, ValidationError

from evenground.errors import EvengroundError
from evenground.validation import Name, first_fault

FIX = (
    "fix that line; the columns are id, quantity, language, dataset, value, unit, runs, where, note"
)


def _none_from_blank(cell: Any) -> Any:
    return cell or None


@dataclass(frozen=True)
class Number:
    """One published number with its unit and the place it stands at; `value` keeps its decimals.

    `runs`: how many runs it is the mean of; None where that is not said. No number has a spread.
    """

    id: Name
    quantity: Annotated[str, Field(min_length=1)]
    language: Annotated[str, Field(min_length=1)]
    dataset: Annotated[str, Field(min_length=1)]
    value: Annotated[Decimal, Field(allow_inf_nan=False)]
    unit: Annotated[str, Field(min_length=1)]
    runs: Annotated[Annotated[int, Field(ge=1)] | None, BeforeValidator(_none_from_blank)]
    where: Annotated[str, Field(min_length=1)]
    note: str

    @property
    def half_digit(self) -> float:
        """Half a unit of its last digit: what rounding may have taken away."""
        return 0.5 * 10.0 ** int(self.value.as_tuple().exponent)


_NUMBER = TypeAdapter(Number)


def read_published(path: Path) -> Mapping[str, Number]:
    """Every published number by its id; EvengroundError for a broken line or an id that stands twice."""
    numbers: dict[str, Number] = {}
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file, strict=True))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise EvengroundError(
            f"published numbers cannot be read: {error}", str(path), "restore it"
        ) from None
    for line, row in enumerate(rows, start=2):
        try:
            number = _NUMBER.validate_python(row)
        except ValidationError as error:
            raise EvengroundError(
                f"broken line {line}, {first_fault(error)}", str(path), FIX
            ) from None
        if number.id in numbers:
            raise EvengroundError(f"line {line}: '{number.id}' stands twice", str(path), FIX)
        numbers[number.id] = number
    return numbers
