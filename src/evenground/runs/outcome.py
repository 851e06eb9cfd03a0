"""How a training ended, judged by what sidecar and engine left."""

from __future__ import annotations

from dataclasses import dataclass

from evenground.records.outcome import Reason
from evenground.sidecar import Summary


@dataclass(frozen=True)
class Outcome:
    """The end of one attempt; `reason` is None when it finished."""

    reason: Reason | None
    detail: str = ""


def process_outcome(summary: Summary, out_of_memory_kills: int) -> Outcome:
    """Judge the end of the process from the sidecar's summary (docs/sidecar.md)."""
    if summary.timed_out:
        return Outcome("time-limit", "it ran past time_limit_s")
    if summary.not_started:
        return Outcome("not-started", summary.not_started)
    # The kernel's out-of-memory killer ends a process by a signal.
    if summary.signal is not None:
        if out_of_memory_kills:
            return Outcome("out-of-memory", "the kernel killed it because memory ran out")
        return Outcome("killed-by-signal", f"signal {summary.signal}")
    if summary.exit_code != 0:
        return Outcome("crashed", f"exit code {summary.exit_code}")
    return Outcome(None)
