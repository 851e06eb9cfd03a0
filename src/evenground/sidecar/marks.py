"""Phase marks: lines that any language writes while the command runs, with the time of each."""

from __future__ import annotations

import contextlib
import csv
import json
import os
import select
import threading
import time
from io import StringIO
from pathlib import Path

VARIABLE = "SIDECAR_MARKS"
"""Environment variable of the command that holds the FIFO's path."""
COLUMNS = ("t_unix_ns", "mark")
_LONGEST = 64 * 1024


def parse_mark(line: str, now_unix_ns: int) -> tuple[int, str]:
    """Time and text of one line.

    A JSON object may bring its own time as `t_unix_ns` and its text as `event` or `mark` (an engine's events
    do); anything else is the text itself, and its time is the reader's.
    """
    try:
        fields = json.loads(line)
    except (ValueError, RecursionError):
        fields = None
    if not isinstance(fields, dict):
        return now_unix_ns, line
    t_unix_ns = fields.get("t_unix_ns")
    text = fields.get("event", fields.get("mark"))
    if not isinstance(t_unix_ns, int) or isinstance(t_unix_ns, bool):
        t_unix_ns = now_unix_ns
    return t_unix_ns, text if isinstance(text, str) else line


class Marks:
    """Writes one row per mark to a CSV file, at once, for marks are few."""

    def __init__(self, path: Path) -> None:
        """Create or empty the file; OSError when that fails."""
        # What is no text in UTF-8 (a lone surrogate out of JSON) must not end the measurement.
        self._file = path.open("w", newline="", encoding="utf-8", errors="backslashreplace")
        self._lock = threading.Lock()
        self._failure: OSError | None = None
        self.count = 0
        try:
            self._write(COLUMNS)
        except OSError:
            with contextlib.suppress(OSError):
                self._file.close()
            raise

    def add(self, line: bytes, now_unix_ns: int) -> None:
        """Write one line as a mark; empty lines are none, and none is taken after `close`."""
        text = line.decode("utf-8", "replace").strip()
        with self._lock:
            if not text or self._file.closed:
                return
            try:
                self._write(parse_mark(text, now_unix_ns))
                self.count += 1
            except OSError as error:
                self._failure = error

    def _write(self, row: tuple[object, ...]) -> None:
        text = StringIO()
        csv.writer(text, lineterminator="\n").writerow(row)
        self._file.write(text.getvalue())
        self._file.flush()

    def close(self) -> None:
        """Close the file; OSError when a mark could not be written."""
        with self._lock:
            try:
                self._file.close()
            except OSError as error:
                self._failure = error
        if self._failure:
            raise self._failure


class Lines:
    """Cuts what arrives in pieces into lines; an endless one is cut at 64 KiB."""

    def __init__(self) -> None:
        self._rest = b""

    def add(self, part: bytes) -> list[bytes]:
        """The lines that are complete now."""
        *lines, self._rest = (self._rest + part).split(b"\n")
        if len(self._rest) > _LONGEST:
            lines, self._rest = [*lines, self._rest], b""
        return lines

    def last(self) -> list[bytes]:
        """A last line without its end, once."""
        rest, self._rest = self._rest, b""
        return [rest] if rest else []


class MarkFifo:
    """A named pipe for marks, read by a thread that sleeps until a line comes."""

    def __init__(self, path: Path, marks: Marks) -> None:
        """Make the pipe, or take one that is there; OSError where something else stands at `path`."""
        self.made = not path.is_fifo()
        if self.made:
            os.mkfifo(path)
        self.path, self._marks = path, marks
        self._lines = Lines()
        # Open for writing too: then a writer that closes is not the end, and none waits for the reader.
        self._fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        self._ended, self._end = os.pipe()
        self._thread = threading.Thread(target=self._run, name="sidecar-marks", daemon=True)

    def start(self) -> None:
        """Begin to read; RuntimeError where there is no thread for it, then `poll` does."""
        self._thread.start()

    def _run(self) -> None:
        while self._wait(None):
            self._read()
        self._take(self._lines.last(), time.time_ns())

    def _wait(self, patience_s: float | None) -> bool:
        """Whether a line has come; False at the end, or when the patience is over."""
        ready, _, _ = select.select([self._fd, self._ended], [], [], patience_s)
        return self._fd in ready

    def _read(self) -> None:
        now_unix_ns = time.time_ns()
        self._take(self._lines.add(os.read(self._fd, _LONGEST)), now_unix_ns)

    def poll(self) -> None:
        """Read what has come where no thread does, so that nobody who writes has to wait for long."""
        while not self._thread.is_alive() and self._wait(0):
            self._read()

    def _take(self, lines: list[bytes], now_unix_ns: int) -> None:
        for line in lines:
            self._marks.add(line, now_unix_ns)

    def stop(self) -> None:
        """Read what is left, end the thread and remove the pipe."""
        if self.made:
            self.path.unlink(missing_ok=True)
        if self._thread.is_alive():
            os.write(self._end, b".")
            self._thread.join(1.0)
        else:
            self.poll()
            self._take(self._lines.last(), time.time_ns())


class MarkFile:
    """A file to which the command appends lines, such as an engine's events; older lines are none of its."""

    def __init__(self, path: Path, marks: Marks) -> None:
        self._path, self._marks, self._lines = path, marks, Lines()
        self._at = path.stat().st_size if path.exists() else 0

    def poll(self) -> None:
        """Take the lines that came since the last call; a file that is not there (yet) has none."""
        with contextlib.suppress(OSError), self._path.open("rb") as file:
            if os.fstat(file.fileno()).st_size < self._at:
                self._at = 0  # it was begun anew
            file.seek(self._at)
            while part := file.read(_LONGEST):
                self._at += len(part)
                self._add(self._lines.add(part))

    def _add(self, lines: list[bytes]) -> None:
        for line in lines:
            self._marks.add(line, time.time_ns())

    def stop(self) -> None:
        """Take what is left, a last line without its end too."""
        self.poll()
        self._add(self._lines.last())
