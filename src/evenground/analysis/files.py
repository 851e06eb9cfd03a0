"""Tables as CSV text: every digit, and each column of the kind that it is declared with."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from evenground.analysis.columns import Columns
from evenground.errors import EvengroundError, set_aside
from evenground.files import replacing, unreadable
from evenground.records.table import Kind

DTYPES: dict[Kind, str] = {"text": "str", "whole": "Int64", "number": "float64"}
"""Kind of a column -> its type in a frame; "" is empty text, and NA or NaN a missing number."""


def typed(frame: pd.DataFrame, columns: Columns) -> pd.DataFrame:
    """The frame with these columns in their order, each of its type.

    A column that it does not have is empty. Raises ValueError if it has one that is not declared.
    """
    made = frame.reindex(columns=[column.name for column in columns])
    undeclared = set(frame.columns) - set(made.columns)
    if undeclared:
        raise ValueError(f"columns that are not declared: {', '.join(sorted(undeclared))}")
    for column in columns:
        if column.kind == "text":
            values = made[column.name].astype("object")
            made[column.name] = values.where(values.notna(), "")
    return made.astype(_dtypes(columns))


def _dtypes(columns: Columns) -> dict[str, str]:
    return {column.name: DTYPES[column.kind] for column in columns}


def write_csv(frame: pd.DataFrame, path: Path) -> None:
    """Write a frame so that reading it gives every bit back; a missing number is an empty cell."""
    with replacing(path) as temporary:
        frame.to_csv(temporary, index=False, lineterminator="\n")


def read_rows(path: Path, columns: Columns) -> pd.DataFrame:
    """These columns of a file that `write_csv` wrote, typed as `typed` does.

    Raises EvengroundError if the file is missing, broken or without one of the columns.
    """
    # An engine may have any name, `nan` included: only an empty number is missing.
    missing = {column.name: [""] for column in columns if column.kind != "text"}
    try:
        frame: pd.DataFrame = pd.read_csv(
            path,
            dtype=_dtypes(columns),
            keep_default_na=False,
            na_values=missing,
            # The default parser may differ from the written number in its last bit.
            float_precision="round_trip",
        )
    except OSError as error:
        fix = "run the pipeline again to make it"
        raise EvengroundError(unreadable(path, error), str(path), fix) from error
    except (ValueError, TypeError) as error:
        raise EvengroundError(f"broken table, {error}", str(path), set_aside(path)) from error
    absent = [column.name for column in columns if column.name not in frame.columns]
    if absent:
        what = f"the table has no column {', '.join(absent)}"
        raise EvengroundError(what, str(path), set_aside(path))
    return frame[[column.name for column in columns]]
