"""Writes rows, appended and flushed each second, and samples.json, always complete."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

# Less than a second, so that rows that come a little early at one a second are not passed over.
ABOUT_A_SECOND_NS = 950_000_000
Cell = int | float | str | None


class SampleFile:
    """Rows of one CSV file. A failed write (a full disk) loses nothing: it is tried again later.

    Rows become text when they are written, once a second: formatting a hundred in a row costs a
    tenth of formatting each with the processor's caches cold.
    """

    def __init__(self, path: Path, columns: Iterable[str]) -> None:
        """Create or empty the file and write its first line; raises OSError if that fails."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC
        self._fd = os.open(path, flags, 0o666)
        # Rows that `flush` has not taken yet; they may still be changed.
        self.waiting: list[list[Cell]] = []
        self._unwritten = (",".join(columns) + "\n").encode()
        self.flush()

    def flush(self) -> None:
        """Write what is waiting; what does not fit stays waiting and OSError is raised."""
        rows = self.waiting
        self.waiting = []
        self._unwritten += "".join(map(_line, rows)).encode()
        while self._unwritten:
            written = os.write(self._fd, self._unwritten)
            self._unwritten = self._unwritten[written:]

    def close(self) -> None:
        """Flush and close; raises OSError if rows could not be written."""
        try:
            self.flush()
        finally:
            os.close(self._fd)


def _line(cells: Sequence[Cell]) -> str:
    return ",".join(["" if cell is None else str(cell) for cell in cells]) + "\n"


def temporary(path: Path) -> Path:
    """Where `write_json` writes a file before it replaces `path`."""
    return path.with_name(path.name + ".part")


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Replace `path` in one step, so that a reader never sees half of it; raises OSError."""
    text = json.dumps(content, indent=1, ensure_ascii=False) + "\n"
    new = temporary(path)
    try:
        # Names of files and commands may hold bytes that are not UTF-8.
        new.write_text(text, encoding="utf-8", errors="backslashreplace")
        new.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            new.unlink()
        raise
