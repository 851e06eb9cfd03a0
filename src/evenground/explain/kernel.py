"""What the kernel reports about every thread of the engine: its state and its system call.

This works for any language. Where Yama's ptrace_scope is 1, an ordinary user may read
/proc/PID/syscall of descendants only: the recorder must be an ancestor.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

from evenground.explain.processes import command_name, engine_processes, program_name
from evenground.explain.syscalls import syscall_name
from evenground.records.base import Record
from evenground.sidecar import linux

PERIOD_S = 0.05
# The mean use in an idle window is less than half of this, so no moment with more use is in one.
BUSY_CORES = 0.5
# States of proc_pid_stat(5): running, and stopped by a tracer.
RUNNING, HELD = "R", "t"
# What the kernel writes in place of a wait channel that it hides.
HIDDEN = "0"
NOT_PERMITTED = "not permitted"


@dataclass(frozen=True)
class Wait:
    """What one thread did at a moment."""

    pid: int
    tid: int
    process: str
    thread: str
    state: str
    """Letter of proc_pid_stat(5)."""
    channel: str = HIDDEN
    """Function of the kernel in which it waits."""
    call: str = ""
    """System call; empty if it is in none, and begins with NOT_PERMITTED if the kernel refused."""

    @property
    def is_refused(self) -> bool:
        """Whether the kernel does not let this user see the system call."""
        return self.call.startswith(NOT_PERMITTED)


@dataclass(frozen=True)
class Stretch:
    """A wait that was seen at every tick from number `first` to number `last`."""

    wait: Wait
    first: int
    last: int


class Recording(Record):
    """The monotonic moments at which the engine was not busy, and what its threads did at them."""

    WHAT: ClassVar[str] = "kernel's report"

    ticks_ns: list[int]
    stretches: list[Stretch]


class Recorder:
    """Looks at the engine below the process `above` until it is stopped."""

    def __init__(self, above: int) -> None:
        """Start at once, in a thread."""
        self._above = above
        self._ticks_ns: list[int] = []
        self._open: dict[tuple[int, int], Stretch] = {}
        self._closed: list[Stretch] = []
        self._cpu_ns: dict[int, int] = {}
        self._looked_ns = time.monotonic_ns()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="explain-kernel", daemon=True)
        self._thread.start()

    def stop(self) -> Recording:
        """Stop looking and return what was seen."""
        self._ended.set()
        self._thread.join()
        stretches = self._closed + list(self._open.values())
        return Recording(ticks_ns=self._ticks_ns, stretches=stretches)

    def _run(self) -> None:
        while not self._ended.wait(PERIOD_S):
            pids = engine_processes(self._above)
            if pids and not self._is_busy(pids):
                self.look(pids)

    def _is_busy(self, pids: Iterable[int]) -> bool:
        """Whether these processes used much of the CPU since the last look."""
        before_ns, since_ns = self._cpu_ns, self._looked_ns
        self._cpu_ns, self._looked_ns = _cpu_ns(pids), time.monotonic_ns()
        # A process that is new has no use yet.
        used_ns = sum(ns - before_ns.get(pid, ns) for pid, ns in self._cpu_ns.items())
        return used_ns > BUSY_CORES * (self._looked_ns - since_ns)

    def look(self, pids: Iterable[int]) -> None:
        """Record what every thread of `pids` does now."""
        tick = len(self._ticks_ns)
        self._ticks_ns.append(time.monotonic_ns())
        for pid in pids:
            for wait in waits_of(pid):
                self._add(wait, tick)

    def _add(self, wait: Wait, tick: int) -> None:
        key = (wait.pid, wait.tid)
        before = self._open.get(key)
        # The stretch goes on only if the thread was seen at the tick before.
        if before and before.wait == wait and before.last == tick - 1:
            self._open[key] = replace(before, last=tick)
            return
        if before:
            self._closed.append(before)
        self._open[key] = Stretch(wait=wait, first=tick, last=tick)


def _cpu_ns(pids: Iterable[int]) -> dict[int, int]:
    used_ns: dict[int, int] = {}
    for pid in pids:
        try:
            used_ns[pid] = linux.process_cpu_ns(pid)
        except OSError:
            continue
    return used_ns


def waits_of(pid: int) -> list[Wait]:
    """Return what the threads of a process do now, without those that end meanwhile."""
    try:
        tids = [int(path.name) for path in Path(f"/proc/{pid}/task").iterdir()]
    except OSError:
        return []
    process = program_name(pid)
    waits = []
    for tid in tids:
        try:
            wait = _wait_of(pid, tid, process)
        except OSError:
            continue
        # A thread that has ended is listed until it was waited for.
        if wait.state not in "ZX":
            waits.append(wait)
    return waits


def _wait_of(pid: int, tid: int, process: str) -> Wait:
    """Return the state of a thread; raises OSError if it has ended."""
    folder = Path(f"/proc/{pid}/task/{tid}")
    raw = (folder / "stat").read_bytes()
    # The state follows the name in brackets, which may hold brackets itself.
    state = raw[raw.rindex(b")") + 2 :][:1].decode()
    thread = command_name(pid, tid)
    wait = Wait(pid=pid, tid=tid, process=process, thread=thread, state=state)
    if state in (RUNNING, HELD, "Z", "X"):
        return wait
    channel = (folder / "wchan").read_text() or HIDDEN
    return replace(wait, channel=channel, call=_call_of(folder))


def _call_of(folder: Path) -> str:
    """Return the name of the system call that a thread is in; empty if it is in none."""
    try:
        number = (folder / "syscall").read_text().split()[0]
    except PermissionError as error:
        return f"{NOT_PERMITTED}: /proc/PID/syscall: {error.strerror}"
    # `running`, or -1 for a thread that waits outside of any call, e.g. in a page fault.
    return syscall_name(number) if number.isdigit() else ""
