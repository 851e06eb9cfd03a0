"""Finds the processes below this one and reads their CPU and memory, at little cost per reading."""

from __future__ import annotations

import contextlib
import errno
import resource
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from evenground.sidecar import linux
from evenground.sidecar.ledger import Ledger, Usage
from evenground.sidecar.procfile import KeptFile

# Descriptors that are left for everything else.
RESERVED_FILES = 64
# If more pids than this were given since the last reading, a walk is cheaper than looking at each.
MAX_PROBES = 128
# A process that has ended. EINVAL: its pid is now a thread's, which has no process clock.
_GONE = (errno.ENOENT, errno.ESRCH, errno.EINVAL)
HIDDEN = "a process of the tree may not be looked at (another user's, and /proc hides it: hidepid)"


class TreeUsage(NamedTuple):
    """One reading of the whole tree; cpu_ns is None if the processes' clocks were not read."""

    cpu_ns: int | None
    rss_bytes: int
    processes: int
    hidden: int
    """Processes of the tree that this user may not look at, not counted in the others."""


class Process:
    """One process of the tree. Its methods raise OSError (see `is_gone`) once it does not exist."""

    def __init__(self, pid: int, keep: bool, exact_clock: bool) -> None:
        """Open its files; raises OSError or ValueError if that fails.

        `keep`: its files stay open between readings. `exact_clock`: CPU comes from its clock, to
        the nanosecond, else from /proc/PID/stat in clock ticks.
        """
        self.pid = pid
        self.kept = keep
        self._exact = exact_clock
        self.usage = Usage(0, 0)
        # A zombie: what it used still counts, but it has no memory.
        self.ended = False
        self._stat = KeptFile(f"/proc/{pid}/stat", keep)
        self._memory = self._stat  # until its own file is open: `close` may come before
        try:
            self._memory = KeptFile(f"/proc/{pid}/statm", keep)
            self.key = (pid, linux.parse_stat(self._stat.read()).start)
        except (OSError, ValueError):
            self.close()
            raise

    def read(self) -> int:
        """Update `usage` and return resident bytes (0 for a zombie)."""
        stat = self.read_usage()
        self.ended = stat.ended
        if stat.ended:
            return 0
        if stat.first_ended:
            return self._read_thread()
        return _resident_bytes(self._memory)

    def read_usage(self) -> linux.Stat:
        """Update `usage`; raises OSError if the process is gone."""
        # The clock goes by pid, which could be another's by now; stat, read after it, proves it was
        # not.
        own_ns = linux.process_cpu_ns(self.pid) if self._exact else None
        stat = linux.parse_stat(self._stat.read())
        if stat.start != self.key[1]:
            raise ProcessLookupError(errno.ESRCH, "the process id was given to another process")
        if own_ns is None:
            own_ns = stat.own_ns
        self.usage = Usage(own_ns, stat.waited_ns)
        return stat

    def read_clock(self) -> None:
        """Update `usage` right after its memory was read, which proves that the pid is its own."""
        if self._exact:
            self.usage = Usage(linux.process_cpu_ns(self.pid), self.usage.waited_ns)
        else:
            self.read_usage()

    def read_between(self) -> int:
        """`read` while nothing was waited for since the last one: clock and memory alone.

        Needs kept files: reading memory through one proves that the clock was this process's.
        """
        own_ns = linux.process_cpu_ns(self.pid)
        resident = self.read_resident()
        self.usage = Usage(own_ns, self.usage.waited_ns)
        return resident

    def read_resident(self) -> int:
        """Resident bytes alone; needs kept files.

        Raises OSError if it is gone, or has no memory any more: then it, or its first thread, has
        just ended.
        """
        resident = _resident_bytes(self._memory)
        if resident or self.ended:
            return resident
        raise ProcessLookupError(errno.ESRCH, "it has no memory any more")

    def _read_thread(self) -> int:
        """Resident bytes by another thread: the first has ended, and the process's file says 0."""
        with contextlib.suppress(
            OSError
        ):  # the thread that had them at the last reading may have ended
            resident = _resident_bytes(self._memory)
            if resident:
                return resident
        for thread in Path(f"/proc/{self.pid}/task").iterdir():
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                file = KeptFile(f"{thread}/statm", self.kept)
                resident = _resident_bytes(file)
                if resident:
                    self._memory.close()
                    self._memory = file
                    return resident
                file.close()
        return 0  # the last of them has just ended

    def close(self) -> None:
        """Close its files."""
        self._stat.close()
        self._memory.close()


def _resident_bytes(statm: KeptFile) -> int:
    return int(statm.read(128).split(None, 2)[1]) * linux.PAGE_BYTES


def is_gone(error: OSError) -> bool:
    """Whether an error means that the process has ended."""
    return error.errno in _GONE


class Tree:
    """All processes below one or several roots.

    In launch mode the root is this process, their subreaper, which is no member itself; in attach
    mode the roots are other processes and belong to the tree. A full walk through the lists of
    children costs a read per thread, so it is done at least every `walk_every_ns` and when in doubt
    only. In between, the kernel's newest pid in /proc/loadavg tells which pids were given since,
    and only these are looked at; without it (see `newest_pid_tells`), every reading walks.
    """

    def __init__(
        self,
        roots: Sequence[int],
        exclude: frozenset[int] = frozenset(),
        *,
        members: bool = False,
        walk_every_ns: int = 3_000_000_000,
    ) -> None:
        """`members`: the roots belong to the tree (attach mode); else the root is this process."""
        self.known: dict[int, Process] = {}
        # Whether CPU is read from the processes; the launcher has another source if it has a
        # cgroup.
        self.clocks = True
        self.newest_pid_tells = False  # until it was seen to move
        # Whether a process of it was ever one that this user may not look at.
        self.hid = False
        self._changed = True
        self._roots = roots
        self._members = members
        self._exclude = exclude
        self._walk_every_ns = walk_every_ns
        self._walked_ns = 0
        self._unsure = True
        self._hidden: set[int] = set()
        self._to_open: Sequence[int] = roots if members else ()
        self._ledger = Ledger()
        self._before_ns: int | None = None
        self._reaped_base_ns = linux.children_cpu_ns()
        self._exact = all(map(linux.leads_a_process, roots))
        self._children = linux.children_by_scan
        if linux.has_children_files():
            self._children = linux.children
        self._loadavg: KeptFile | None = None
        # The newest pid one and two readings ago: a fork under way may show its pid before its
        # process.
        self._newest = self._newest_before = self.newest_pid()
        self._free_files = _file_limit() - RESERVED_FILES
        self._all_kept = True

    def newest_pid(self) -> int | None:
        """The pid that the kernel gave last here, to a process or a thread; None: unknown."""
        try:
            self._loadavg = self._loadavg or KeptFile("/proc/loadavg", keep=True)
            return int(self._loadavg.read(128).rsplit(None, 1)[-1])
        except (OSError, ValueError, IndexError):
            return None

    def keys(self) -> list[tuple[int, int]]:
        """(pid, start time) of the known processes."""
        return [process.key for process in self.known.values()]

    def read(self, now_ns: int) -> TreeUsage:
        """Read every process, parents before their children (see Ledger); `now_ns` is monotonic."""
        newest = self.newest_pid()
        if self._nothing_new(newest, now_ns):
            usage = self._read_between()
            if usage is not None:
                return usage
        return self._read_all(newest, now_ns)

    def _nothing_new(self, newest: int | None, now_ns: int) -> bool:
        """Whether no process was made since the reading before last, and no walk is due."""
        still = newest == self._newest == self._newest_before and self._all_kept
        return still and newest is not None and not self._must_walk(now_ns)

    def _must_walk(self, now_ns: int) -> bool:
        """Whether only a walk finds what is new, or it is time for one."""
        if self._unsure or self._hidden or not self.newest_pid_tells or not self._exact:
            return True
        return now_ns - self._walked_ns >= self._walk_every_ns

    def _read_between(self) -> TreeUsage | None:
        """A cheap reading while no process came; None if one has gone, so that all must be read.

        No process can have waited for a child that was not born, nor for one that is still there:
        what a process inherited from its children is what it was at the last reading.
        """
        try:
            if self.clocks:
                resident = [process.read_between() for process in self.known.values()]
            else:
                resident = [process.read_resident() for process in self.known.values()]
        except OSError as error:
            if not is_gone(error):
                raise
            return None
        return self._usage([size for size in resident if size], self._ledger.reaped_ns)

    def _read_all(self, newest: int | None, now_ns: int) -> TreeUsage:
        reaped_ns = self._reaped_ns()
        resident: list[int] = []
        for process in list(self.known.values()):
            self._read_one(process, resident)
        for process in self._new_processes(newest, now_ns):
            self._read_one(process, resident)
        return self._usage(resident, reaped_ns)

    def _usage(self, resident: list[int], reaped_ns: int) -> TreeUsage:
        return TreeUsage(
            cpu_ns=self._account(reaped_ns) if self.clocks else None,
            rss_bytes=sum(resident),
            processes=len(resident),
            hidden=len(self._hidden),
        )

    def _account(self, reaped_ns: int) -> int:
        """Add the usages to the ledger; CPU since the start (attach mode: since the first row)."""
        reading = {process.key: process.usage for process in self.known.values()}
        total_ns = self._ledger.update(reading, reaped_ns)
        if self._before_ns is None:
            self._before_ns = total_ns if self._members else 0
        return total_ns - self._before_ns

    def read_cpu_ns(self) -> int:
        """CPU by the clocks of the known processes, read right after a row; never too much."""
        reaped_ns = self._reaped_ns()
        for process in self.known.values():
            with contextlib.suppress(OSError):  # it has just ended; the next row sees to it
                process.read_clock()
        return self._account(reaped_ns)

    def _reaped_ns(self) -> int:
        if self._members:
            return 0  # others wait for these processes
        return linux.children_cpu_ns() - self._reaped_base_ns

    def _new_processes(self, newest: int | None, now_ns: int) -> list[Process]:
        since = self._newest_before
        self._newest_before = self._newest
        self._newest = newest
        if newest is None or since is None or self._must_walk(now_ns):
            return self._walk(now_ns)
        # Many new pids, or numbers that began again at the lowest.
        if not 0 <= newest - since <= MAX_PROBES:
            return self._walk(now_ns)
        return self._probe(range(since + 1, newest + 1))

    def _probe(self, pids: Iterable[int]) -> list[Process]:
        """Those of `pids` that are new processes of the tree; parents have lower pids."""
        new: list[Process] = []
        for pid in pids:
            if pid in self.known or pid in self._exclude or not linux.leads_a_process(pid):
                continue
            # A hidden one is most likely a stranger's; otherwise the next walk comes to it.
            with contextlib.suppress(PermissionError):
                stat = linux.read_stat(pid)
                if stat and self._is_parent(stat.parent):
                    self._open(pid, new)
        return new

    def _is_parent(self, pid: int) -> bool:
        """Whether children of `pid` belong to the tree."""
        return pid in self.known or (not self._members and pid == self._roots[0])

    def _read_one(self, process: Process, resident: list[int]) -> None:
        try:
            rss_bytes = process.read()
        except PermissionError:
            # It has become another user's, and /proc hides it from now on.
            self._forget(process)
            self._unsure = True
            return
        except OSError as error:
            if not is_gone(error):
                raise
            self._forget(process)
            return
        # One without memory is a zombie, or just ends.
        if rss_bytes:
            resident.append(rss_bytes)

    def _walk(self, now_ns: int) -> list[Process]:
        """Find processes that are new; parents come before their children in the result."""
        self._walked_ns = now_ns
        self._unsure = False
        self._hidden.clear()
        new: list[Process] = []
        queue = list(self._roots)
        if self._members:
            for pid in self._to_open:
                self._open(pid, new)
            # A root that has ended is not looked for again, its number may be another's; known ones
            # that were orphaned are roots themselves.
            self._to_open = ()
            queue = list(self.known)
        seen = set(queue)
        for parent in queue:
            for pid in self._children_of(parent):
                if pid in seen or pid in self._exclude:
                    continue
                seen.add(pid)
                queue.append(pid)
                if pid not in self.known:
                    self._open(pid, new)
        return new

    def _children_of(self, pid: int) -> list[int]:
        # A hidden process's list of children is hidden, too, but the children themselves may not
        # be.
        if pid in self._hidden:
            return linux.children_by_scan(pid)
        return self._children(pid)

    def _open(self, pid: int, new: list[Process]) -> None:
        """Add one more process of the tree to `new`, unless it is gone or hidden."""
        try:
            process = Process(pid, keep=self._free_files >= 2, exact_clock=self._exact)
        except OSError as error:
            self._not_opened(pid, error)
            return
        self._free_files -= 2 * process.kept
        self._all_kept = self._all_kept and process.kept
        self._changed = True
        self.known[pid] = process
        new.append(process)

    def _not_opened(self, pid: int, error: OSError) -> None:
        if not isinstance(error, PermissionError) and not is_gone(error):
            raise error
        # With `hidepid=2` a hidden process looks as if it did not exist; its clock still answers.
        if linux.leads_a_process(pid):
            self._hidden.add(pid)
            self.hid = True
        else:
            # It ended during the walk; children it had may have moved to a parent already passed.
            self._unsure = True

    def _forget(self, process: Process) -> None:
        process.close()
        self._free_files += 2 * process.kept
        del self.known[process.pid]
        self._all_kept = all(other.kept for other in self.known.values())
        self._changed = True

    def take_change(self) -> bool:
        """Whether processes came or went since the last call."""
        changed, self._changed = self._changed, False
        return changed

    def pids(self) -> list[int]:
        """The living processes below the root now, hidden ones included."""
        queue = list(self._roots)
        seen = set(queue) | self._exclude
        for parent in queue:
            children = set(self._children_of(parent)) - seen
            seen |= children
            queue.extend(sorted(children))
        return [pid for pid in queue if pid not in self._roots and _is_alive(pid)]


def _is_alive(pid: int) -> bool:
    try:
        stat = linux.read_stat(pid)
    except PermissionError:
        return True
    if stat is None:
        return linux.leads_a_process(pid)
    return not stat.ended


def _file_limit() -> int:
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limit == resource.RLIM_INFINITY:
        return 1 << 20
    return limit
