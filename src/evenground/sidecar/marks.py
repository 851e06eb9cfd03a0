"""Phase marks: lines that any language writes while the command runs, with the time of each."""

from __future__ import annotations

import contextlib
import csv
import json
import os
import time
from pathlib import Path

COLUMNS = ("t_unix_ns", "mark")
_MAX_BYTES = 64 * 1024


def parse_mark(line: str, now_unix_ns: int) -> tuple[int, str]:
    """Time and text of one line.

    A JSON object may bring its own time as `t_unix_ns` and its text as `event` or `mark`, as an
    engine's events do; anything else is the text itself, and its time is `now_unix_ns`.
    """
    try:
        fields = json.loads(line)
    except (ValueError, RecursionError):
        fields = None
    if not isinstance(fields, dict):
        return now_unix_ns, line
    t_unix_ns = fields.get("t_unix_ns")
    # In Python `true` is an integer, too.
    if not isinstance(t_unix_ns, int) or isinstance(t_unix_ns, bool):
        t_unix_ns = now_unix_ns
    text = fields.get("event", fields.get("mark"))
    if not isinstance(text, str):
        text = line
    return t_unix_ns, text


class Lines:
    """Cuts what arrives in pieces into lines; an endless one is cut at 64 KiB."""

    def __init__(self) -> None:
        # A last line without its end.
        self.rest = b""

    def add(self, piece: bytes) -> list[bytes]:
        """The lines that are complete now."""
        lines = (self.rest + piece).split(b"\n")
        if len(lines[-1]) > _MAX_BYTES:
            lines.append(b"")
        self.rest = lines.pop()
        return lines


class Marks:
    """Writes one row per line that the command appends to a file, e.g. events, to a CSV file.

    Lines from before do not count.
    """

    def __init__(self, source: Path, path: Path) -> None:
        """Create or empty the CSV file `path`; raises OSError if that fails."""
        self._source = source
        self._lines = Lines()
        self._read_bytes = 0
        with contextlib.suppress(FileNotFoundError):
            self._read_bytes = source.stat().st_size
        # A lone surrogate out of JSON cannot be written as UTF-8 and must not end the measurement.
        self._file = path.open("w", newline="", encoding="utf-8", errors="backslashreplace")
        self._writer = csv.writer(self._file, lineterminator="\n")
        self._failure: OSError | None = None
        self.count = 0
        try:
            self._write(COLUMNS)
        except OSError:
            with contextlib.suppress(OSError):
                self._file.close()
            raise

    def poll(self) -> None:
        """Take the lines that came since the last call; a file that does not exist yet has none."""
        with contextlib.suppress(OSError), self._source.open("rb") as file:
            if os.fstat(file.fileno()).st_size < self._read_bytes:
                self._read_bytes = 0  # it was begun again
            file.seek(self._read_bytes)
            while piece := file.read(_MAX_BYTES):
                self._read_bytes += len(piece)
                self._add(self._lines.add(piece))

    def _add(self, lines: list[bytes]) -> None:
        """Write lines as marks, at once, for marks are few; empty lines are skipped."""
        now_unix_ns = time.time_ns()
        for line in lines:
            text = line.decode("utf-8", "replace").strip()
            if not text:
                continue
            try:
                self._write(parse_mark(text, now_unix_ns))
                self.count += 1
            except OSError as error:
                # Reported by `close`: the command must not notice a full disk.
                self._failure = error

    def _write(self, row: tuple[object, ...]) -> None:
        self._writer.writerow(row)
        self._file.flush()

    def close(self) -> None:
        """Take what is left, a last line without its end too, and close the file.

        Raises OSError if a mark could not be written.
        """
        self.poll()
        self._add([self._lines.rest])
        try:
            self._file.close()
        except OSError as error:
            self._failure = error
        if self._failure:
            raise self._failure
