"""What the kernel says of every thread of the engine: for what it waits, and in which system call.

Any process can be looked at so, whatever language it is written in. /proc/PID/syscall is open to an
ordinary user for descendants only, where Yama's ptrace_scope is 1: the recorder must be an ancestor.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from evenground.explain.processes import command_name, engine_processes, program_name
from evenground.explain.syscalls import syscall_name
from evenground.files import read_json, write_json
from evenground.sidecar import linux

PERIOD_S = 0.05
# Moments with more use of the CPU cannot lie in an idle window, whose mean use is less than half of that.
BUSY_CORES = 0.5
RUNNING, HELD = "R", "t"
HIDDEN = "0"
NOT_PERMITTED = "not permitted"


@dataclass(frozen=True)
class Wait:
    """What one thread was seen to do: letter of its state (proc_pid_stat(5)), wait channel, system call.

    `channel` is "0" where the kernel hides it; `call` is empty where the thread was in none, and begins
    with NOT_PERMITTED where the kernel refused.
    """

    pid: int
    tid: int
    process: str
    thread: str
    state: str
    channel: str = HIDDEN
    call: str = ""


@dataclass(frozen=True)
class Stretch:
    """A wait that was seen at every tick from the one numbered `first` to that numbered `last`."""

    wait: Wait
    first: int
    last: int


@dataclass(frozen=True)
class Recording:
    """The monotonic moments at which the engine was looked at and not busy, and what its threads did."""

    ticks_ns: Sequence[int]
    stretches: Sequence[Stretch]

    def write(self, path: Path) -> None:
        """Write it as JSON; EvengroundError on a full disk."""
        rows = [
            {**vars(found.wait), "first": found.first, "last": found.last}
            for found in self.stretches
        ]
        write_json(path, {"schema": 1, "ticks_mono_ns": list(self.ticks_ns), "stretches": rows})


def read_recording(path: Path) -> Recording:
    """What `Recording.write` wrote; EvengroundError where it is missing or broken."""
    content = read_json(path)
    return Recording(content["ticks_mono_ns"], [_stretch(row) for row in content["stretches"]])


def _stretch(row: dict[str, Any]) -> Stretch:
    first, last = row.pop("first"), row.pop("last")
    return Stretch(Wait(**row), first, last)


class Recorder:
    """Looks at the engine below the process `above` until it is told to stop."""

    def __init__(self, above: int) -> None:
        """Begin at once, in a thread."""
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
        """End it; what it has seen."""
        self._ended.set()
        self._thread.join()
        return Recording(self._ticks_ns, [*self._closed, *self._open.values()])

    def _run(self) -> None:
        while not self._ended.wait(PERIOD_S):
            pids = engine_processes(self._above)
            if pids and not self._busy(pids):
                self.look(pids)

    def _busy(self, pids: Iterable[int]) -> bool:
        """Whether these processes have used much of the CPU since they were looked at last."""
        before_ns, since_ns = self._cpu_ns, self._looked_ns
        self._cpu_ns, self._looked_ns = _cpu_ns(pids), time.monotonic_ns()
        used_ns = sum(ns - before_ns.get(pid, ns) for pid, ns in self._cpu_ns.items())
        return used_ns > BUSY_CORES * (self._looked_ns - since_ns)

    def look(self, pids: Iterable[int]) -> None:
        """Note what every thread of `pids` does now."""
        tick = len(self._ticks_ns)
        self._ticks_ns.append(time.monotonic_ns())
        seen = {(wait.pid, wait.tid): wait for pid in pids for wait in waits_of(pid)}
        for key, wait in seen.items():
            before = self._open.get(key)
            if before and before.wait == wait and before.last == tick - 1:
                self._open[key] = replace(before, last=tick)
                continue
            if before:
                self._closed.append(before)
            self._open[key] = Stretch(wait, tick, tick)


def _cpu_ns(pids: Iterable[int]) -> dict[int, int]:
    used: dict[int, int] = {}
    for pid in pids:
        try:
            used[pid] = linux.process_cpu_ns(pid)
        except OSError:
            continue
    return used


def waits_of(pid: int) -> list[Wait]:
    """What the threads of a process do now; those that end meanwhile are left out."""
    try:
        tids = [int(path.name) for path in Path(f"/proc/{pid}/task").iterdir()]
    except OSError:
        return []
    process = program_name(pid)
    found = [_wait_of(Wait(pid, tid, process, command_name(pid, tid), "")) for tid in tids]
    return [wait for wait in found if wait]


def _wait_of(wait: Wait) -> Wait | None:
    """The wait with its state, of a thread that does not run with channel and call; None when it is gone."""
    folder = Path("/proc", str(wait.pid), "task", str(wait.tid))
    try:
        raw = (folder / "stat").read_bytes()
        state = raw[raw.rindex(b")") + 2 :][:1].decode()
        if state in "ZX":
            return None
        if state in (RUNNING, HELD):
            return replace(wait, state=state)
        channel = (folder / "wchan").read_text() or HIDDEN
        return replace(wait, state=state, channel=channel, call=_call_of(folder))
    except OSError:
        return None


def _call_of(folder: Path) -> str:
    """The name of the system call that a thread is in; empty where it is in none."""
    try:
        word = (folder / "syscall").read_text().split()[0]
    except PermissionError as error:
        return f"{NOT_PERMITTED}: /proc/PID/syscall: {error.strerror}"
    # `running`, or -1 for a thread that waits outside of any call, in a page fault as an example.
    return syscall_name(int(word)) if word.isdigit() else ""
