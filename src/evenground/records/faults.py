"""What is wrong with a recorded file, in one line."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from evenground.errors import EvengroundError
from evenground.validation import one_line

# The index allows no longer reason.
MAX_REASON = 500
SEE_LOG = "see train.log for what stopped the engine"
Reason = Literal["broken-events", "incomplete-events", "wrong-work", "clock-set", "broken-samples"]


class RecordError(EvengroundError):
    """A file of a run that cannot be used; `reason` becomes the outcome of the run.

    broken-events: a line is not an event, or its time lies outside the run. incomplete-events: an
    event is missing or out of place. wrong-work: other work than requested. clock-set: the
    machine's clock was set, and the times are ambiguous. broken-samples: the sampler's files cannot
    be read.
    """

    def __init__(
        self, reason: Reason, what: str, where: Path, fix: str, line: int | None = None
    ) -> None:
        place = str(where)
        if line:
            place += f", line {line}"
        super().__init__(what, place, fix)
        self.reason: Reason = reason
        self.line = line

    @property
    def short(self) -> str:
        """Reason, line and fault, without the path and the fix: tables and bundles name no path."""
        if self.line:
            return f"{self.reason}: line {self.line}: {self.what}"
        return f"{self.reason}: {self.what}"


def read_bytes(path: Path, reason: Reason) -> bytes:
    """The content of a file. Raises RecordError with this reason if it is missing."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise RecordError(reason, "the file is missing", path, SEE_LOG) from None


def unreadable(error: RecordError) -> str:
    """The reason that an index gives for a recorded run that cannot be read."""
    return one_line(f"unreadable: {error.short}")[:MAX_REASON]
