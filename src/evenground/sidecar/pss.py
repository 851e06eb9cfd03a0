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
BUDGET = 0.001
"""Most CPU seconds a second that reading may cost; above it, readings come less often."""
_PSS = re.compile(rb"^Pss:\s*(\d+) kB", re.M)


def pss_bytes(folder: Path) -> int:
    """Pss of smaps_rollup in /proc/PID or /proc/PID/task/TID in bytes; OSError when gone or not permitted.

    Reading it costs about 15 microseconds per MiB of the process. ValueError where it holds no Pss.
    """
    found = _PSS.search((folder / "smaps_rollup").read_bytes())
    if not found:
        raise ValueError("there is no Pss in smaps_rollup")
    return int(found[1]) * 1024


def tree_pss_bytes(processes: Processes) -> int:
    """Sum over (pid, start time); one that has ended, or whose pid is another's now, has none left.

    PermissionError where one has become another user's, and /proc hides it.
    """
    return sum(_of_process(pid, start) for pid, start in processes)


def _of_process(pid: int, start: int) -> int:
    folder = Path(f"/proc/{pid}")
    value = None
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        value = pss_bytes(folder)
    stat = linux.read_stat(pid)
    # `hidepid=2` says of a process that hides that it does not exist; its clock knows better.
    if stat is None and linux.leads_a_process(pid):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    if stat is None or stat.start != start or stat.ended:
        return 0
    return _of_a_thread(folder) if value is None else value


def _of_a_thread(folder: Path) -> int:
    """Pss as a thread tells it: the first one has ended, and the process's own file has nothing."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        for thread in (folder / "task").iterdir():
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                return pss_bytes(thread)
    return 0


class Pss(BetweenRows):
    """Reads in a thread of its own, at most once a second and within the budget; a row takes what is new."""

    def __init__(self) -> None:
        super().__init__(due_ns=time.monotonic_ns() + PERIOD_NS)
        self._new: int | str | None = None

    def start(self) -> None:
        """Begin; the first reading comes after a second."""
        threading.Thread(target=self._run, name="sidecar-pss", daemon=True).start()

    def take(self) -> int | str | None:
        """What was read since the last call: bytes, or the reason of a failure; None when nothing was."""
        new, self._new = self._new, None
        return new

    def _run(self) -> None:
        while self._wanted.wait() and not self._stopped:
            self._wanted.clear()
            began_ns, began_cpu_ns = time.monotonic_ns(), time.thread_time_ns()
            try:
                self._new = tree_pss_bytes(self._processes)
            except (OSError, ValueError) as error:
                self._new = f"smaps_rollup: {reason(error)}"
            cost_ns = time.thread_time_ns() - began_cpu_ns
            self._due_ns = began_ns + max(PERIOD_NS, round(cost_ns / BUDGET))
