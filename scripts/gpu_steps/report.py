"""The results of a GPU check: rows of a table and a JSON file that do not identify the machine."""

from __future__ import annotations

import getpass
import json
import re
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

OK, NO, SKIPPED = "ok", "NO", "skipped"
MAX_FIGURE_CHARACTERS = 300
UUID = re.compile(r"\b((?:GPU|MIG)-[0-9a-f]{8})-[0-9a-f-]{10,}", re.IGNORECASE)
# Shorter names of hosts and users are found in too many words.
MIN_NAME = 3
TITLES = ("step", "asked", "figure", "expected", "verdict", "s")


class Failed(Exception):
    """Something failed; the text says how."""


class Skip(Exception):
    """A step cannot be done here; the text says why."""


@dataclass(frozen=True)
class Row:
    """One question with its result; without `expected`, any figure is `ok`."""

    step: str
    asked: str
    figure: str
    expected: str
    verdict: str
    seconds: float


class Report:
    """Appends the rows of one step to a file."""

    def __init__(self, file: Path, step: str) -> None:
        self._file = file
        self._step = step
        self._since_s = time.monotonic()

    def row(self, asked: str, figure: object, expected: str = "", good: bool = True) -> None:
        """Add the result of a question; `good` is whether it is as expected."""
        verdict = OK if good else NO
        self._add(asked, str(figure), expected, verdict)

    def skip(self, asked: str, why: object) -> None:
        """Add a question that cannot be answered here."""
        self._add(asked, str(why) or "no reason was given", "", SKIPPED)

    def attempt(self, asked: str, work: Callable[..., None], *args: Any) -> None:
        """Call `work`, which adds rows itself; an exception becomes a row, skipped or `NO`."""
        try:
            work(*args)
        except Skip as reason:
            self.skip(asked, reason)
        except Failed as error:
            self.row(asked, error, good=False)
        except Exception as error:
            self.row(asked, f"{type(error).__name__}: {error}", good=False)

    def _add(self, asked: str, figure: str, expected: str, verdict: str) -> None:
        now_s = time.monotonic()
        row = Row(
            step=self._step,
            asked=scrubbed(asked),
            figure=scrubbed(figure),
            expected=expected,
            verdict=verdict,
            seconds=round(now_s - self._since_s, 2),
        )
        self._since_s = now_s
        # Each row at once: a step that hangs keeps those before.
        with self._file.open("a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(row)) + "\n")


def read_rows(file: Path) -> list[Row]:
    """The rows that a step wrote before it ended or was ended."""
    if not file.is_file():
        return []
    # A last line without its end was cut off.
    complete = file.read_text(encoding="utf-8").split("\n")[:-1]
    return [Row(**json.loads(line)) for line in complete]


def scrubbed(text: str) -> str:
    """One line without host, user, home folder and the ends of UUIDs."""
    line = UUID.sub(r"\1", " ".join(text.split()))
    home = str(Path.home())
    if home != "/":
        line = line.replace(home, "~")
    for name, instead in {socket.gethostname(): "HOST", _user(): "USER"}.items():
        if len(name) >= MIN_NAME and name != "root":
            line = re.sub(rf"\b{re.escape(name)}\b", instead, line)
    if len(line) > MAX_FIGURE_CHARACTERS:
        return line[: MAX_FIGURE_CHARACTERS - 2] + " …"
    return line


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return ""


def table(rows: Sequence[Row]) -> str:
    """The rows as a Markdown table."""
    lines = [f"| {' | '.join(TITLES)} |", "|---" * len(TITLES) + "|"]
    for row in rows:
        cells = (row.step, row.asked, row.figure, row.expected, row.verdict, f"{row.seconds:.1f}")
        escaped = [cell.replace("|", "/") for cell in cells]
        lines.append(f"| {' | '.join(escaped)} |")
    return "\n".join(lines)
