"""System calls that Python has no function for, and where processes are found in /proc."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import resource
import struct
import time
from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple

# Numbers of prctl(2), from linux/prctl.h.
PR_SET_PDEATHSIG = 1
PR_SET_TIMERSLACK = 29
PR_SET_CHILD_SUBREAPER = 36
TICK_NS = 1_000_000_000 // os.sysconf("SC_CLK_TCK")
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
MEMORY_BYTES = PAGE_BYTES * os.sysconf("SC_PHYS_PAGES")
# A process that has ended, or that /proc hides.
_GONE = (FileNotFoundError, ProcessLookupError, PermissionError)

_libc = ctypes.CDLL(None, use_errno=True)
_libc.prctl.argtypes = [ctypes.c_int] + [ctypes.c_ulong] * 4


def prctl(option: int, value: int) -> None:
    """prctl(2) with one integer argument; raises OSError if the kernel refuses."""
    _check(_libc.prctl(option, value, 0, 0, 0), f"prctl({option})")


def _check(result: int, call: str) -> None:
    if result < 0:
        error = ctypes.get_errno()
        raise OSError(error, f"{call}: {os.strerror(error)}")


def process_cpu_ns(pid: int) -> int:
    """CPU time of all threads of `pid`, ended ones too, exact to the nanosecond; OSError when gone.

    It answers for zombies, and fails with EINVAL for a thread that does not lead its process.
    """
    # The clock id is that of clock_getcpuclockid(3): bits of the inverted pid, then CPUCLOCK_SCHED.
    return time.clock_gettime_ns((~pid << 3) | 2)


def bind(cpus: Collection[int]) -> bool:
    """Bind this process to exactly these CPUs; False if the kernel does not give it all of them."""
    try:
        os.sched_setaffinity(0, cpus)
    except OSError:
        return False
    # The kernel silently leaves out CPUs that it does not have.
    return os.sched_getaffinity(0) == set(cpus)


def children_cpu_ns() -> int:
    """CPU time of all children that this process has waited for, and of those they waited for."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return round(usage.ru_utime * 1e6) * 1000 + round(usage.ru_stime * 1e6) * 1000


class Stat(NamedTuple):
    """Fields of /proc/PID/stat; times in nanoseconds, cut to clock ticks by the kernel."""

    state: bytes
    parent: int
    session: int
    own_ns: int
    waited_ns: int
    threads: int
    start: int

    @property
    def first_ended(self) -> bool:
        """Whether its first thread has ended; others may go on with its memory and its CPU."""
        return self.state in b"ZX"

    @property
    def ended(self) -> bool:
        """Whether all threads have ended; the kernel counts the first until it is waited for."""
        return self.first_ended and self.threads <= 1


_STAT_FIELDS = 20


def parse_stat(raw: bytes) -> Stat:
    """Parse /proc/PID/stat, whatever blanks and brackets the process name in it holds.

    own_ns is utime + stime, waited_ns cutime + cstime, start the clock ticks since boot
    (proc_pid_stat(5)). Raises ValueError if the text is not as the kernel writes it.
    """
    # The name stands in brackets and may hold any byte: fields begin after the last bracket.
    fields = raw[raw.rindex(b")") + 2 :].split()
    if len(fields) < _STAT_FIELDS:
        raise ValueError("/proc/PID/stat is cut short")
    own_ticks = int(fields[11]) + int(fields[12])
    waited_ticks = int(fields[13]) + int(fields[14])
    return Stat(
        state=fields[0],
        parent=int(fields[1]),
        session=int(fields[3]),
        own_ns=own_ticks * TICK_NS,
        waited_ns=waited_ticks * TICK_NS,
        threads=int(fields[17]),
        start=int(fields[19]),
    )


def read_stat(pid: int) -> Stat | None:
    """`parse_stat` of a process, or None when it is gone.

    Raises PermissionError if /proc is mounted with `hidepid` and the process is another user's.
    """
    try:
        return parse_stat(Path(f"/proc/{pid}/stat").read_bytes())
    except (FileNotFoundError, ProcessLookupError):
        return None


def all_stats() -> dict[int, Stat]:
    """`read_stat` of every process of this PID namespace that this user may look at, by pid."""
    stats: dict[int, Stat] = {}
    for entry in os.scandir("/proc"):
        if not entry.name.isdigit():
            continue
        pid = int(entry.name)
        with contextlib.suppress(PermissionError):
            stat = read_stat(pid)
            if stat:
                stats[pid] = stat
    return stats


def leads_a_process(pid: int) -> bool:
    """Whether `pid` is a process, not a thread of one, also if `hidepid` hides it."""
    # The process clock answers this in one cheap call.
    try:
        process_cpu_ns(pid)
    except OSError:
        return False
    return True


def children(pid: int) -> list[int]:
    """Children of all threads of `pid`; empty when it is gone, or hidden from this user.

    One unlucky read may leave out a child while a sibling ends (proc_pid_task(5)): read again
    later.
    """
    found: list[int] = []
    with contextlib.suppress(*_GONE):
        for task in os.scandir(f"/proc/{pid}/task"):
            with contextlib.suppress(*_GONE):
                found += map(int, Path(task.path, "children").read_bytes().split())
    return found


def children_by_scan(pid: int) -> list[int]:
    """`children` for kernels without /proc/PID/task/TID/children: looks at every process."""
    return [child for child, stat in all_stats().items() if stat.parent == pid]


def has_children_files() -> bool:
    """Whether this kernel lists children in /proc (CONFIG_PROC_CHILDREN)."""
    return Path(f"/proc/self/task/{os.getpid()}/children").exists()


def other_numbers() -> str | None:
    """Why pids of this process's children mean nothing in /proc; None if they do.

    A process in a PID namespace of its own that still sees the machine's /proc would look at
    strangers.
    """
    try:
        shown = Path("/proc/self").readlink().name
    except OSError:
        return (
            "there is no /proc here, from which everything is read: "
            "mount it (mount -t proc proc /proc)"
        )
    if shown == str(os.getpid()):
        return None
    return (
        "/proc shows the processes of another PID namespace than this one's: "
        "mount it anew in this one (mount -t proc proc /proc; unshare --mount-proc)"
    )


def children_peak_bytes() -> int:
    """Largest resident size that any single waited-for child, or child of one, ever had.

    The kernel counts the moment between fork and exec too: never below this process's own size.
    """
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024


# sched_setattr(2) and sched_getattr(2), which libc does not export: numbers of both calls by
# processor.
_SCHED_CALLS = {"x86_64": (314, 315), "aarch64": (274, 275)}
# struct sched_attr: size, policy, flags, nice, priority, runtime, deadline, period, util_min,
# util_max.
_SCHED_ATTR = struct.Struct("=IIQiIQQQII")
_RESET_ON_FORK = 1


def set_slice(slice_ns: int) -> None:
    """Request a short time slice from the fair scheduler for this thread: it is then served sooner.

    Raises OSError on kernels before 6.12, which accept it and forget it, and on other processors.
    """
    calls = _SCHED_CALLS.get(os.uname().machine)
    if calls is None:
        raise OSError(errno.ENOSYS, "sched_setattr: not known on this processor")
    size = _SCHED_ATTR.size
    attributes = ctypes.create_string_buffer(size)
    attributes.raw = _SCHED_ATTR.pack(
        size, os.SCHED_OTHER, _RESET_ON_FORK, 0, 0, slice_ns, 0, 0, 0, 0
    )
    _check(_libc.syscall(calls[0], 0, attributes, 0), "sched_setattr")
    _check(_libc.syscall(calls[1], 0, attributes, size, 0), "sched_getattr")
    if _SCHED_ATTR.unpack(attributes.raw)[5] != slice_ns:
        raise OSError(errno.ENOSYS, "sched_setattr: this kernel has no time slices of one's own")
