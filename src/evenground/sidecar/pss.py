"""Proportional set size of the tree, read rarely, for the kernel walks every page table."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import threading
import time
from pathlib import Path

from evenground.sidecar import linux
from evenground.sidecar.between import BetweenRows, Processes
from evenground.sidecar.machine import reason

PERIOD_NS = 1_000_000_000
# Most CPU seconds a second that reading may cost; above it, readings come less often.
BUDGET = 0.001
_PSS = re.compile(rb"^Pss:\s*(\d+) kB", re.M)


def pss_bytes(folder: Path) -> int:
    """Pss in bytes from smaps_rollup of /proc/PID or /proc/PID/task/TID.

    Reading it costs about 15 microseconds per MiB of the process. Raises OSError if the process is
    gone or may not be read, ValueError if the file holds no Pss.
    """
    match = _PSS.search((folder / "smaps_rollup").read_bytes())
    if not match:
        raise ValueError("there is no Pss in smaps_rollup")
    return int(match[1]) * 1024


def tree_pss_bytes(processes: Processes) -> int:
    """Sum over (pid, start time); 0 for one that has ended, or whose pid is another's now.

    Raises PermissionError for one that has become another user's, if /proc hides it.
    """
    return sum(_process_bytes(pid, start) for pid, start in processes)


def _process_bytes(pid: int, start: int) -> int:
    folder = Path(f"/proc/{pid}")
    value = None
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        value = pss_bytes(folder)
    # Read after the memory: if it is still the same process now, the memory was its own.
    stat = linux.read_stat(pid)
    # With `hidepid=2` a hidden process looks as if it did not exist; its clock still answers.
    if stat is None and linux.leads_a_process(pid):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    if stat is None or stat.start != start or stat.ended:
        return 0
    if value is None:
        return _thread_bytes(folder)
    return value


def _thread_bytes(folder: Path) -> int:
    """Pss as a thread has it: once the first has ended, the process's own file holds nothing."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        for thread in (folder / "task").iterdir():
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                return pss_bytes(thread)
    return 0


class Pss(BetweenRows):
    """Reads in a thread, at most once a second and within the budget; a row takes the new value."""

    def __init__(self) -> None:
        super().__init__(due_ns=time.monotonic_ns() + PERIOD_NS)
        self._new: int | str | None = None

    def start(self) -> None:
        """Begin; the first reading comes after a second."""
        threading.Thread(target=self._run, name="sidecar-pss", daemon=True).start()

    def take(self) -> int | str | None:
        """Bytes read since the last call, or why that failed; None if nothing was read."""
        new, self._new = self._new, None
        return new

    def _run(self) -> None:
        while self._wanted.wait() and not self._stopped:
            self._wanted.clear()
            began_ns = time.monotonic_ns()
            began_cpu_ns = time.thread_time_ns()
            try:
                self._new = tree_pss_bytes(self._processes)
            except (OSError, ValueError) as error:
                self._new = f"smaps_rollup: {reason(error)}"
            cost_ns = time.thread_time_ns() - began_cpu_ns
            self._due_ns = began_ns + max(PERIOD_NS, round(cost_ns / BUDGET))
