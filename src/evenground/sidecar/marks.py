"""Phase marks: lines that any language writes while the command runs, with the time of each."""

from __future__ import annotations

import contextlib
import csv
import json
import os
import select
import threading
import time
from pathlib import Path

# Environment variable of the command that holds the FIFO's path.
VARIABLE = "SIDECAR_MARKS"
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


class Marks:
    """Writes one row per mark to a CSV file, at once, for marks are few."""

    def __init__(self, path: Path) -> None:
        """Create or empty the file; raises OSError if that fails."""
        # A lone surrogate out of JSON cannot be written as UTF-8 and must not end the measurement.
        self._file = path.open("w", newline="", encoding="utf-8", errors="backslashreplace")
        self._writer = csv.writer(self._file, lineterminator="\n")
        self._lock = threading.Lock()
        self._failure: OSError | None = None
        self.count = 0
        try:
            self._write(COLUMNS)
        except OSError:
            with contextlib.suppress(OSError):
                self._file.close()
            raise

    def add(self, lines: list[bytes], now_unix_ns: int) -> None:
        """Write lines as marks; empty lines are skipped, and all lines after `close`."""
        with self._lock:
            for line in lines:
                text = line.decode("utf-8", "replace").strip()
                if text and not self._file.closed:
                    self._add(text, now_unix_ns)

    def _add(self, text: str, now_unix_ns: int) -> None:
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
        """Close the file; raises OSError if a mark could not be written."""
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

    def add(self, piece: bytes) -> list[bytes]:
        """The lines that are complete now."""
        lines = (self._rest + piece).split(b"\n")
        if len(lines[-1]) > _MAX_BYTES:
            lines.append(b"")
        self._rest = lines.pop()
        return lines

    def last(self) -> list[bytes]:
        """What is left when nothing more comes: a last line without its end, or an empty one."""
        rest, self._rest = self._rest, b""
        return [rest]


class MarkFifo:
    """A named pipe for marks, read by a thread that sleeps until a line comes."""

    def __init__(self, path: Path, marks: Marks) -> None:
        """Make the pipe, or use an existing one; raises OSError if something else is at `path`."""
        # The pipe if it was made here; an existing one is left at the end.
        self.made: Path | None = None
        if not path.is_fifo():
            os.mkfifo(path)
            self.made = path
        self._marks = marks
        self._lines = Lines()
        # Opened for writing too: a writer that closes is then not the end, and no writer has to
        # wait.
        self._fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        self._ended, self._end = os.pipe()
        self._thread = threading.Thread(target=self._run, name="sidecar-marks", daemon=True)

    def start(self) -> None:
        """Begin to read; raises RuntimeError if no thread can be started, then `poll` reads."""
        self._thread.start()

    def _run(self) -> None:
        while self._wait(None):
            self._read()
        self._finish()

    def _wait(self, patience_s: float | None) -> bool:
        """Whether a line has come; False at the end, or when the patience is over."""
        ready, _, _ = select.select([self._fd, self._ended], [], [], patience_s)
        return self._fd in ready

    def _read(self) -> None:
        now_unix_ns = time.time_ns()
        self._marks.add(self._lines.add(os.read(self._fd, _MAX_BYTES)), now_unix_ns)

    def poll(self) -> None:
        """Read what has come if no thread does, so that a writer never waits for long."""
        while not self._thread.is_alive() and self._wait(0):
            self._read()

    def _finish(self) -> None:
        self._marks.add(self._lines.last(), time.time_ns())

    def stop(self) -> None:
        """Read what is left, end the thread and remove the pipe."""
        if self.made:
            self.made.unlink(missing_ok=True)
        if self._thread.is_alive():
            os.write(self._end, b".")
            self._thread.join(1.0)
        else:
            self.poll()
            self._finish()


class MarkFile:
    """A file to which the command appends lines, e.g. events; older lines do not count."""

    def __init__(self, path: Path, marks: Marks) -> None:
        self._path = path
        self._marks = marks
        self._lines = Lines()
        self._read_bytes = 0
        with contextlib.suppress(FileNotFoundError):
            self._read_bytes = path.stat().st_size

    def poll(self) -> None:
        """Take the lines that came since the last call; a file that does not exist yet has none."""
        with contextlib.suppress(OSError), self._path.open("rb") as file:
            if os.fstat(file.fileno()).st_size < self._read_bytes:
                self._read_bytes = 0  # it was begun again
            file.seek(self._read_bytes)
            while piece := file.read(_MAX_BYTES):
                self._read_bytes += len(piece)
                self._marks.add(self._lines.add(piece), time.time_ns())

    def stop(self) -> None:
        """Take what is left, a last line without its end too."""
        self.poll()
        self._marks.add(self._lines.last(), time.time_ns())
