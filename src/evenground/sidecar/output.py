"""Writes samples.csv, appended and flushed each second, and samples.json, always complete."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from evenground.sidecar.columns import COLUMNS, Missing

FLUSH_EVERY_NS = 1_000_000_000
Cell = int | float | None


class SampleFile:
    """Rows of samples.csv. A write that fails (a full disk) loses nothing: it is tried again later."""

    def __init__(self, path: Path) -> None:
        """Create or empty the file and write its first line; OSError when that fails."""
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC, 0o666)
        self._waiting = (",".join(COLUMNS) + "\n").encode()
        self._flushed_ns = 0
        self.flush()

    def add(self, cells: list[Cell], now_ns: int) -> None:
        """Append one row, in the order of COLUMNS; it reaches the file within a second of monotonic time."""
        self._waiting += (",".join("" if cell is None else repr(cell) for cell in cells) + "\n").encode()
        if now_ns - self._flushed_ns >= FLUSH_EVERY_NS:
            self._flushed_ns = now_ns
            self.flush()

    def flush(self) -> None:
        """Write what is waiting; what does not fit stays waiting and OSError is raised."""
        while self._waiting:
            self._waiting = self._waiting[os.write(self._fd, self._waiting) :]

    def close(self) -> None:
        """Flush and close; OSError when rows could not be written."""
        try:
            self.flush()
        finally:
            os.close(self._fd)


def header(
    rate_hz: float, missing: Missing, slot_zero_mono_ns: int | None, gpus: list[dict[str, str | int]]
) -> dict[str, Any]:
    """The content of samples.json without its summary."""
    return {
        "schema": 1,
        "columns": {name: {"unit": column.unit, "source": column.source} for name, column in COLUMNS.items()},
        "missing": missing.reasons(),
        "rate_hz": rate_hz,
        "slot_zero_mono_ns": slot_zero_mono_ns,
        "gpus": gpus,
        "summary": None,
    }


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Replace `path` in one step, so that a reader never sees half of it; OSError when that fails."""
    part = path.with_name(path.name + ".part")
    part.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    part.replace(path)
