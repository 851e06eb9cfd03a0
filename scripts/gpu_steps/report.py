"""What a check found: rows of a table, one JSON file, nothing in them that says whose machine it was."""

from __future__ import annotations

import getpass
import json
import re
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import ParamSpec

OK, NO, SKIPPED = "ok", "NO", "skipped"
FIGURE_CHARACTERS = 300
UUID = re.compile(r"\b((?:GPU|MIG)-[0-9a-f]{8})-[0-9a-f-]{10,}", re.IGNORECASE)
MIN_NAME = 3
Given = ParamSpec("Given")
TITLES = ("step", "asked", "figure", "expected", "verdict", "s")


class Failed(Exception):
    """Something failed; the text is the line that says how."""


class Skip(Exception):
    """A step cannot be done here; the text says why."""


@dataclass(frozen=True)
class Row:
    """One question, what came out, and what should have; without an expectation any figure is `ok`."""

    step: str
    asked: str
    figure: str
    expected: str
    verdict: str
    seconds: float


class Report:
    """Appends the rows of one step to a file, each at once: what a step that hangs has found is kept."""

    def __init__(self, file: Path, step: str) -> None:
        self._file, self._step = file, step
        self._since_s = time.monotonic()

    def row(self, asked: str, figure: object, expected: str = "", good: bool = True) -> None:
        """What a question gave; `good` says whether it is as expected."""
        self._add(asked, str(figure), expected, OK if good else NO)

    def skip(self, asked: str, why: object) -> None:
        """A question that cannot be put here."""
        self._add(asked, str(why) or "no reason was given", "", SKIPPED)

    def attempt(
        self, asked: str, work: Callable[Given, None], *given: Given.args, **named: Given.kwargs
    ) -> None:
        """Do some work that adds rows itself; what goes wrong becomes one that says `NO`."""
        try:
            work(*given, **named)
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
        with self._file.open("a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(row)) + "\n")


def read_rows(file: Path) -> list[Row]:
    """The rows that a step wrote, as far as it came."""
    if not file.is_file():
        return []
    whole = file.read_text(encoding="utf-8").split("\n")[:-1]
    return [Row(**json.loads(line)) for line in whole]


def scrubbed(text: str) -> str:
    """One line without host, user, home folder and the ends of UUIDs."""
    line = UUID.sub(r"\1", " ".join(text.split()))
    line = line.replace(str(Path.home()), "~") if str(Path.home()) != "/" else line
    for name, instead in ((socket.gethostname(), "HOST"), (_user(), "USER")):
        if len(name) >= MIN_NAME and name != "root":
            line = re.sub(rf"\b{re.escape(name)}\b", instead, line)
    return line if len(line) <= FIGURE_CHARACTERS else line[: FIGURE_CHARACTERS - 2] + " …"


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return ""


def table(rows: Sequence[Row]) -> str:
    """The rows as Markdown, which is readable as it is."""
    lines = [f"| {' | '.join(TITLES)} |", "|---" * len(TITLES) + "|"]
    for row in rows:
        cells = (row.step, row.asked, row.figure, row.expected, row.verdict, f"{row.seconds:.1f}")
        lines.append(f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |")
    return "\n".join(lines)
