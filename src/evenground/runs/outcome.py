"""How a training ended: a reason from a closed list, judged by what sidecar and engine left."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from evenground.sidecar import Summary

Reason = Literal[
    "crashed",  # the engine's process ended with a non-zero exit code
    "killed-by-signal",  # something ended it with a signal
    "out-of-memory",  # the kernel's out-of-memory killer, or the scheduler, ended it
    "gpu-out-of-memory",  # the engine itself reports that the card has no memory left
    "time-limit",  # it ran longer than time_limit_s, or than the scheduler allowed, and was ended
    "broken-events",  # a line of its events file is not an event, or its time is not one of the run
    "incomplete-events",  # events are missing or out of order
    "wrong-work",  # its events report other work than it was started for
    "clock-set",  # the machine's clock was set meanwhile, so its times are unknown
    "broken-samples",  # what the sampler wrote cannot be read
    "not-started",  # its command could not be started
    "interrupted",  # the sidecar beside it was ended before it
    "cancelled",  # the scheduler's job was cancelled, or made way for another
    "node-failed",  # the node went down
    "data-not-seen",  # its data cannot be read from where it runs
    "other-machine",  # it came to a machine of another class
    "lost",  # it began, and nothing is known of its end
]


@dataclass(frozen=True)
class Outcome:
    """The end of one attempt; `reason` is None when it finished."""

    reason: Reason | None
    detail: str = ""

    @property
    def status(self) -> str:
        """`finished` or `failed`."""
        return "failed" if self.reason else "finished"


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
