"""Writes rows, appended and flushed each second, and samples.json, always complete."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from evenground.sidecar.columns import CARD_COLUMNS, COLUMNS, UTIL_SAMPLE_COLUMNS, Column, Missing

ABOUT_A_SECOND_NS = 950_000_000
"""Less than a second, so that rows that come a little early at one a second are not passed over."""
PART = ".part"
Cell = int | float | str | None


class SampleFile:
    """Rows of one CSV file. A write that fails (a full disk) loses nothing: it is tried again later.

    Rows become text when they are written, once a second: formatting a hundred in a row costs a tenth
    of formatting each with the processor's caches cold.
    """

    def __init__(self, path: Path, columns: Iterable[str]) -> None:
        """Create or empty the file and write its first line; OSError when that fails."""
        self._fd = os.open(
            path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC, 0o666
        )
        self._rows: list[list[Cell]] = []
        self._waiting = (",".join(columns) + "\n").encode()
        self.flush()

    def waiting(self) -> list[list[Cell]]:
        """The rows that `flush` has not taken yet; they may still be changed."""
        return self._rows

    def add(self, cells: list[Cell]) -> None:
        """Append one row, in the order of the columns; `flush` brings it into the file."""
        self._rows.append(cells)

    def add_all(self, rows: Iterable[Sequence[Cell]]) -> None:
        """Append rows and write them now; OSError as from `flush`."""
        self._rows += map(list, rows)
        self.flush()

    def flush(self) -> None:
        """Write what is waiting; what does not fit stays waiting and OSError is raised."""
        rows, self._rows = self._rows, []
        self._waiting += "".join(map(_line, rows)).encode()
        while self._waiting:
            self._waiting = self._waiting[os.write(self._fd, self._waiting) :]

    def close(self) -> None:
        """Flush and close; OSError when rows could not be written."""
        try:
            self.flush()
        finally:
            os.close(self._fd)


def _line(cells: Sequence[Cell]) -> str:
    return ",".join(["" if cell is None else str(cell) for cell in cells]) + "\n"


def header(
    rate_hz: float, missing: Missing, slot_zero_mono_ns: int | None, gpus: list[dict[str, Any]]
) -> dict[str, Any]:
    """The content of samples.json without its summary."""
    return {
        "schema": 2,
        "columns": _described(COLUMNS),
        "card_columns": _described(CARD_COLUMNS),
        "util_sample_columns": _described(UTIL_SAMPLE_COLUMNS),
        "missing": missing.reasons(),
        "rate_hz": rate_hz,
        "slot_zero_mono_ns": slot_zero_mono_ns,
        "gpus": gpus,
        "summary": None,
    }


def _described(columns: Mapping[str, Column]) -> dict[str, Any]:
    return {name: column._asdict() for name, column in columns.items()}


def being_written(path: Path) -> Path:
    """Where a file that `write_json` replaces is until it is whole."""
    return path.with_name(path.name + PART)


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Replace `path` in one step, so that a reader never sees half of it; OSError when that fails."""
    text = json.dumps(content, indent=1, ensure_ascii=False) + "\n"
    part = being_written(path)
    try:
        # Names of files and commands may hold bytes that are no text.
        part.write_text(text, encoding="utf-8", errors="backslashreplace")
        part.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            part.unlink()
        raise
