"""Read and write tables: CSV with every digit, Markdown rounded for reading."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pandas as pd

from evenground.errors import EvengroundError, set_aside
from evenground.files import replacing, unreadable, write_text
from evenground.validation import one_line

DIGITS = 4
# Below this the digits of a p-value mean nothing, and it is never zero.
MIN_P = 0.0001
MIB = 2**20
EMPTY = "–"
# Prefix of text columns, one for each of several sides.
VERDICT_OF = "verdict_"
# Columns NAME_median, NAME_min and NAME_max are shown as one.
SPREAD = ("median", "min", "max")
# Columns in the unit of their row begin with one of these.
IN_UNIT = ("peak", "p95", "range", "integral", "mean", "median", "geometric", "used")
SHOWN_UNITS = {"bytes": "MiB", "byte·s": "MiB·s"}
# CSV has no types: an empty column, or a name made of digits, would be read as numbers.
TEXT = (
    "code",
    "language",
    "dataset",
    "engine",
    "baseline",
    "column",
    "phase",
    "reason",
    "status",
    "device",
    "key",
    "measure",
    "method",
    "block",
    "resource",
    "unit",
    "integral_unit",
    "figure",
    "bound",
    "passed",
    "what",
    "in_a",
    "in_b",
    "claim",
    "part",
    "instrument",
    "verdict",
    "demonstration",
    "effect",
    "in_prediction",
    "idle",
    "CV",
    "flagged",
    "quantity",
    "stated",
    "agrees",
    "remark",
    "state",
    "finding",
    "quality",
    "moment",
    "launch_remark",
    "baseline_from",
    "energy_reason",
    "phases",
    "idle_phase",
    "idle_reason",
    "open",
    "throttled_by",
    "other_libraries",
    "not_seen",
    "foreign_code_words",
    "image_mounts_words",
    "cold_start_words",
    "power_limit_words",
    "gpu_clocks_words",
    "no_persistence_words",
    "desktop_words",
    "gpu_unknown",
    "compared_card",
    "compared_image",
    "compared_PATH",
    "compared_LD_LIBRARY_PATH",
    "compared_process",
    "compared_mounts",
    "side",
    "machine",
    "agree",
    "tracer",
    "process",
    "thread",
    "frames",
)


def write_csv(frame: pd.DataFrame, path: Path) -> None:
    """Write a frame so that reading it gives every bit back; a missing number is an empty cell."""
    with replacing(path) as temporary:
        frame.to_csv(temporary, index=False, lineterminator="\n")


def read_csv(path: Path, columns: tuple[str, ...] = ()) -> pd.DataFrame:
    """Read a file that `write_csv` wrote; an empty cell of a text column is "".

    Raises EvengroundError if the file is missing, broken or without one of `columns`.
    """
    # The default parser may differ from the written number in its last bit.
    frame = _read(path, float_precision="round_trip", dtype=dict.fromkeys(TEXT, "str"))
    absent = [name for name in columns if name not in frame.columns]
    if absent:
        raise EvengroundError(
            f"the table has no column {', '.join(absent)}", str(path), set_aside(path)
        )
    return frame.fillna({name: "" for name in TEXT if name in frame.columns})


def read_cells(path: Path) -> pd.DataFrame:
    """Read the cells of a table as text, so that writing them gives the same digits.

    Raises EvengroundError if the file is missing or broken.
    """
    return _read(path, dtype="str", keep_default_na=False, na_filter=False)


def whole_numbers(frame: pd.DataFrame, cells: pd.DataFrame) -> pd.DataFrame:
    """Make columns of whole numbers integer columns, even if a number is missing.

    `frame` is the table as `read_csv` returns it, `cells` as `read_cells` does: only the text tells
    3 from 3.0.
    """
    columns = []
    for name in frame.columns:
        if frame[name].dtype == "float64" and cells[name].str.fullmatch(r"(-?\d+)?").all():
            columns.append(name)
    return frame.astype(dict.fromkeys(columns, "Int64"))


def _read(path: Path, **options: Any) -> pd.DataFrame:
    try:
        frame: pd.DataFrame = pd.read_csv(path, **options)
        return frame
    except OSError as error:
        fix = "run the pipeline again to make it"
        raise EvengroundError(unreadable(path, error), str(path), fix) from error
    except (ValueError, pd.errors.ParserError) as error:
        raise EvengroundError(f"broken table, {error}", str(path), set_aside(path)) from error


def write_markdown(frame: pd.DataFrame, title: str, notes: str, path: Path) -> None:
    """Write a titled Markdown table with the rows of the CSV, numbers rounded to four digits."""
    write_text(path, f"# {title}\n\n{notes}\n\n{markdown_table(frame)}")


def markdown_table(frame: pd.DataFrame) -> str:
    """The frame as a Markdown table; rows in bytes are shown in MiB, a missing cell as a dash."""
    rows = folded_rows(frame)
    head = [plain(str(name)) for name in (rows[0] if rows else frame.columns)]
    lines = [head, [_alignment(name) for name in head]]
    lines += [list(row.values()) for row in rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _alignment(name: str) -> str:
    """Text stands on the left of its column, numbers on the right."""
    if name in TEXT or name.startswith(VERDICT_OF):
        return "---"
    return "---:"


def folded_rows(frame: pd.DataFrame) -> list[dict[str, str]]:
    """Each row as the text shown, rounded; X_median, X_min and X_max stand in one cell."""
    rows = []
    for row in frame.to_dict("records"):
        cells = {str(name): _cell(row, str(name)) for name in row}
        rows.append(_folded(cells))
    return rows


def _folded(row: dict[str, str]) -> dict[str, str]:
    """Bring X_median, X_min and X_max into one cell, so that the widest table can be read."""
    folded: dict[str, str] = {}
    for name, cell in row.items():
        stem, _, suffix = name.rpartition("_")
        if suffix not in SPREAD or any(f"{stem}_{part}" not in row for part in SPREAD):
            folded[name] = cell
        elif suffix == "median":
            if cell != EMPTY:
                cell += f" ({row[f'{stem}_min']} to {row[f'{stem}_max']})"
            folded[f"{stem} median (min to max)"] = cell
    return folded


def _cell(row: dict[Any, object], name: str) -> str:
    """The text shown for the value of a row in the column `name`."""
    value = row[name]
    if value is None or value is pd.NA or value == "":
        return EMPTY
    if not isinstance(value, float):
        return plain(SHOWN_UNITS.get(str(value), str(value)))
    if math.isnan(value):
        return EMPTY
    if name == "p" and value < MIN_P:
        return plain(f"< {MIN_P}")
    in_unit = name.startswith(IN_UNIT) or name in ("min", "max")
    if in_unit and row.get("unit") == "bytes":
        value /= MIB
    return rounded(value)


def plain(text: str) -> str:
    """Text that Markdown shows as it is: no new column or line, no HTML, no link or picture."""
    return one_line(text).replace("|", "\\|").replace("[", "\\[").replace("<", "&lt;")


def rounded(value: float) -> str:
    """Four significant digits, more if the whole part has more, without an exponent."""
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    # Nine places are enough for the smallest number in a table: beyond them it is shown as zero.
    places = max(0, DIGITS - 1 - math.floor(math.log10(abs(value))))
    return f"{value:.{min(places, 9)}f}"
