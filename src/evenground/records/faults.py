"""What is wrong with a recorded file, in one line."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from evenground.errors import EvengroundError
from evenground.validation import one_line

# Of an index's reasons.
MAX_REASON = 500
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
    return one_line(f"unreadable: {error.short}")[:MAX_REASON]
