"""What is wrong with a recorded file, in one line."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from evenground.errors import EvengroundError

# Of an index's reasons.
MAX_REASON = 500
# A record from anybody may have any key.
MAX_KEY = 100
Reason = Literal["broken-events", "incomplete-events", "wrong-work", "clock-set", "broken-samples"]


class RecordError(EvengroundError):
    """A file of a run that does not count; `reason` is the outcome of a run that left it.

    broken-events: a line is no event, or its time is not one of the run. incomplete-events: an event is
    missing or not in its place. wrong-work: other work than asked for. clock-set: the machine's clock was
    set, and the times cannot be told. broken-samples: the sampler's files cannot be read.
    """

    def __init__(
        self, reason: Reason, what: str, where: Path, fix: str, line: int | None = None
    ) -> None:
        super().__init__(what, f"{where}, line {line}" if line else str(where), fix)
        self.reason: Reason = reason
        self.line = line

    @property
    def short(self) -> str:
        """Reason, line and fault, without the path and the fix: it may stand in a table that travels."""
        line = f"line {self.line}: " if self.line else ""
        return f"{self.reason}: {line}{self.what}"


def unreadable(error: RecordError) -> str:
    """The reason that an index gives for a recorded run that cannot be read."""
    return _one_line(f"unreadable: {error.short}")[:MAX_REASON]


def first_fault(error: ValidationError) -> str:
    """The first fault pydantic found, as `KEY: MESSAGE`."""
    fault = error.errors()[0]
    key = ".".join(_shown(str(part)) for part in fault["loc"])
    # What our own checks raise is told as they say it.
    message = fault["msg"].removeprefix("Value error, ")
    return f"{key or 'content'}: {message}"


def _shown(key: str) -> str:
    line = _one_line(key[:MAX_KEY])
    return line if len(key) <= MAX_KEY else f"{line}…"


def _one_line(text: str) -> str:
    return "".join(sign if sign.isprintable() else " " for sign in text)
