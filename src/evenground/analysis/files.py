"""Frames to files and back: CSV with every digit, Markdown rounded for reading."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pandas as pd

from evenground.errors import EvengroundError, set_aside
from evenground.files import replacing, unreadable, write_text

DIGITS = 4
# Below this the digits of a p-value say nothing, and it is never zero.
MIN_P = 0.0001
MIB = 2**20
EMPTY = "–"
# Of a table of several sides: a column of words for each.
VERDICT_OF = "verdict_"
SPREAD = ("median", "min", "max")
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
    with replacing(path) as beside:
        frame.to_csv(beside, index=False, lineterminator="\n")


def read_csv(path: Path, columns: tuple[str, ...] = ()) -> pd.DataFrame:
    """Read what `write_csv` wrote; empty text is "".

    Raises EvengroundError when the file is missing, broken or lacks one of `columns`.
    """
    frame = _read(path, float_precision="round_trip", dtype=dict.fromkeys(TEXT, "str"))
    absent = [name for name in columns if name not in frame.columns]
    if absent:
        raise EvengroundError(
            f"the table has no column {', '.join(absent)}", str(path), set_aside(path)
        )
    texts = [name for name in TEXT if name in frame.columns]
    frame[texts] = frame[texts].fillna("")
    return frame


def read_cells(path: Path) -> pd.DataFrame:
    """The cells of a table as the text they are, so that writing them gives the same digits.

    Raises EvengroundError when the file is missing or broken.
    """
    return _read(path, dtype="str", keep_default_na=False, na_filter=False)


def whole_numbers(frame: pd.DataFrame, cells: pd.DataFrame) -> pd.DataFrame:
    """What `read_csv` gave, with columns of whole numbers as such, also where one is missing.

    `cells` is the same table as by `read_cells`: only the text tells 3 from 3.0.
    """
    columns = [
        name
        for name in frame.columns
        if frame[name].dtype == "float64" and cells[name].str.fullmatch(r"(-?\d+)?").all()
    ]
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
    """Write a titled Markdown table with the same rows as the CSV, numbers rounded to four digits."""
    write_text(path, f"# {title}\n\n{notes}\n\n{markdown_table(frame)}")


def markdown_table(frame: pd.DataFrame) -> str:
    """The frame as a Markdown table; rows in bytes are shown in MiB, a missing cell as a dash."""
    rows = folded_rows(frame)
    head = [plain(name) for name in (rows[0] if rows else map(str, frame.columns))]
    rule = ["---" if name in TEXT or name.startswith(VERDICT_OF) else "---:" for name in head]
    return "".join(
        f"| {' | '.join(row)} |\n" for row in [head, rule, *(list(row.values()) for row in rows)]
    )


def folded_rows(frame: pd.DataFrame) -> list[dict[str, str]]:
    """Each row as the words that are shown, rounded; X_median, X_min and X_max stand in one."""
    return [
        _folded({str(name): _shown(row, str(name), value) for name, value in row.items()})
        for row in frame.to_dict("records")
    ]


def _shown(row: dict[object, object], name: str, value: object) -> str:
    """A cell of a row, by its column's name."""
    if name == "p" and isinstance(value, float) and value < MIN_P:
        return plain(f"< {MIN_P}")
    return _cell(value, _scale(row, name))


def _folded(row: dict[str, str]) -> dict[str, str]:
    """The cells with X_median, X_min and X_max brought into one, so that the widest table can be read."""
    folded: dict[str, str] = {}
    for name, cell in row.items():
        stem, _, part = name.rpartition("_")
        whole = all(f"{stem}_{one}" in row for one in SPREAD)
        if not whole or part not in SPREAD:
            folded[name] = cell
        elif part == "median":
            spread = f" ({row[f'{stem}_min']} to {row[f'{stem}_max']})" if cell != EMPTY else ""
            folded[f"{stem} median (min to max)"] = cell + spread
    return folded


def _scale(row: dict[object, object], name: object) -> float:
    """What a number of this row is divided by: MiB for peaks, ranges and integrals of bytes."""
    measured = str(name).startswith(
        ("peak", "p95", "range", "integral", "mean", "median", "geometric", "used")
    )
    measured |= name in ("min", "max")
    return MIB if measured and row.get("unit") == "bytes" else 1.0


def _cell(value: object, scale: float) -> str:
    if value is pd.NA:
        return EMPTY
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return EMPTY if math.isnan(value) else rounded(value / scale)
    text = {"bytes": "MiB", "byte·s": "MiB·s"}.get(str(value), str(value))
    return EMPTY if value is None or not text else plain(text)


def plain(text: str) -> str:
    """Text that Markdown shows as it is: no further column or line, no HTML, no link or picture."""
    line = "".join(sign if sign.isprintable() else " " for sign in text)
    return line.replace("|", "\\|").replace("[", "\\[").replace("<", "&lt;")


def rounded(value: float) -> str:
    """Four significant digits, never fewer than the whole part has, and without an exponent."""
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    places = max(0, DIGITS - 1 - math.floor(math.log10(abs(value))))
    return f"{value:.{min(places, 9)}f}"
