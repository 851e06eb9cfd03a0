"""How a measured command went: the `summary` of samples.json."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

# Exit statuses as timeout(1) and shells have them.
TIMED_OUT = 124
FAILED = 125
NOT_EXECUTABLE = 126
NOT_FOUND = 127


class Summary(NamedTuple):
    """Result of one run. Times in nanoseconds of both clocks, CPU in seconds, memory in bytes.

    exit_code is None when a signal ended the command, signal is None when it ended by itself;
    not_started holds the reason when it never ran. cpu_s is the kernel's total of all waited-for
    processes of the tree; cgroup_cpu_s and cgroup_peak_bytes are its cgroup's account, None without
    one or without its memory controller. max_rss_bytes and max_pss_bytes are the largest sampled
    sums over the tree (None without a sample), peak_process_rss_bytes is the kernel's high-water
    mark of the largest single process. survivors counts processes that outlived the command and
    were ended, not_ended those that could not be, as they are another user's; empty_cells, per
    column, the rows in which a value was due and is missing. not_seen describes what was not
    measured as it should be. sidecar_cpu_s is the sidecar's own cost, interpreter start included,
    sidecar_sampling_cpu_s its share from the command's start to its end.
    """

    launched_unix_ns: int
    launched_mono_ns: int
    exited_unix_ns: int
    exited_mono_ns: int
    exit_code: int | None = None
    signal: int | None = None
    timed_out: bool = False
    not_started: str | None = None
    rows: int = 0
    missed_slots: int = 0
    cpu_s: float = 0.0
    cgroup_cpu_s: float | None = None
    cgroup_peak_bytes: int | None = None
    max_rss_bytes: int | None = None
    max_pss_bytes: int | None = None
    peak_process_rss_bytes: int | None = None
    survivors: int = 0
    not_ended: int = 0
    not_seen: Sequence[str] = ()
    # One dict for all summaries without rows; it is never changed.
    empty_cells: Mapping[str, int] = {}
    sidecar_cpu_s: float = 0.0
    sidecar_sampling_cpu_s: float = 0.0

    def status(self) -> int:
        """Exit status as a shell shows it; 124 for a command ended at its time limit."""
        if self.timed_out:
            return TIMED_OUT
        if self.signal is not None:
            return 128 + self.signal
        return self.exit_code or 0


class AttachSummary(NamedTuple):
    """How it went; cpu_s counts from the first row to the last.

    `ended`: exited, duration, signal, or unread (the reader of its output has gone).
    """

    pids: Sequence[int]
    started_unix_ns: int
    ended_unix_ns: int
    ended: str
    rows: int
    missed_slots: int
    cpu_s: float | None
    max_rss_bytes: int | None
    max_pss_bytes: int | None
    empty_cells: Mapping[str, int]
    sidecar_cpu_s: float
    not_seen: Sequence[str]
