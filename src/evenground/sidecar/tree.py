"""Finds the processes below this one and reads their CPU and memory, at little cost per reading."""

from __future__ import annotations

import contextlib
import errno
import resource
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from evenground.sidecar import linux
from evenground.sidecar.ledger import Ledger, Usage
from evenground.sidecar.procfile import KeptFile

RESERVED_FILES = 64
PROBE_AT_MOST = 128
_GONE = (errno.ENOENT, errno.ESRCH)


HIDDEN = "a process of the tree may not be looked at (another user's, and /proc hides it: hidepid)"


class TreeUsage(NamedTuple):
    """One reading of the whole tree; cpu_ns is None where the processes' clocks are not asked."""

    cpu_ns: int | None
    rss_bytes: int
    processes: int
    hidden: int
    """Processes of the tree that this user may not look at, in none of the others."""


class Process:
    """One process of the tree. Raises OSError (see `is_gone`) when it does not exist any more."""

    def __init__(self, pid: int, keep: bool, exact_clock: bool) -> None:
        self.pid, self.kept, self._exact = pid, keep, exact_clock
        self.usage = Usage(0, 0)
        self.ended = False
        """Whether it is a zombie: what it used still counts, memory it has none."""
        self._files: list[KeptFile] = []
        try:
            self._files += [KeptFile(f"/proc/{pid}/stat", keep)]
            self._files += [KeptFile(f"/proc/{pid}/statm", keep)]
            self._stat, self._memory = self._files
            self.key = (pid, linux.parse_stat(self._stat.read()).start)
        except (OSError, ValueError):
            self.close()
            raise

    def read(self) -> int:
        """Take `usage` anew and return resident bytes (0 for a zombie, which has no memory)."""
        stat = self.read_usage()
        self.ended = stat.ended
        if stat.ended:
            return 0
        return self._read_thread() if stat.first_ended else _resident_bytes(self._memory)

    def read_usage(self) -> linux.Stat:
        """Take `usage` anew."""
        # The clock goes by pid, which could be another's by now; stat, read after it, proves it was not.
        clock = linux.process_cpu_ns(self.pid) if self._exact else None
        stat = linux.parse_stat(self._stat.read())
        if stat.start != self.key[1]:
            raise ProcessLookupError(errno.ESRCH, "the process id was given to another process")
        self.usage = Usage(stat.own_ns if clock is None else clock, stat.waited_ns)
        return stat

    def read_clock(self) -> None:
        """Take `usage` anew where its memory has just been read: that this is the process is known then."""
        if self._exact:
            self.usage = Usage(linux.process_cpu_ns(self.pid), self.usage.waited_ns)
        else:
            self.read_usage()

    def read_between(self) -> int:
        """`read` while nothing was waited for since the last one: clock and memory alone.

        Needs kept files: reading memory through one proves that the clock was this process's.
        """
        clock = linux.process_cpu_ns(self.pid)
        resident = self.read_resident()
        self.usage = Usage(clock, self.usage.waited_ns)
        return resident

    def read_resident(self) -> int:
        """Resident bytes alone; OSError when gone, provided that the file is kept.

        OSError too when it has none any more: then it, or its first thread, has just ended.
        """
        resident = _resident_bytes(self._memory)
        if resident or self.ended:
            return resident
        raise ProcessLookupError(errno.ESRCH, "it has no memory any more")

    def _read_thread(self) -> int:
        """Resident bytes as a thread tells them: the first one has ended, and its file says 0."""
        with contextlib.suppress(OSError):  # that of the thread which told it before
            resident = _resident_bytes(self._memory)
            if resident:
                return resident
        for thread in Path(f"/proc/{self.pid}/task").iterdir():
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                file = KeptFile(f"{thread}/statm", self.kept)
                resident = _resident_bytes(file)
                if resident:
                    self._follow(file)
                    return resident
                file.close()
        return 0  # the last of them has just ended

    def _follow(self, file: KeptFile) -> None:
        self._memory.close()
        self._memory = file
        self._files[1] = file

    def close(self) -> None:
        """Give the descriptors back."""
        for file in self._files:
            file.close()


def _resident_bytes(statm: KeptFile) -> int:
    return int(statm.read(128).split(None, 2)[1]) * linux.PAGE_BYTES


def is_gone(error: OSError) -> bool:
    """Whether an error means that the process has ended (EINVAL: its clock is that of a thread now)."""
    return error.errno in (*_GONE, errno.EINVAL)


class Tree:
    """All processes below one or several roots.

    In launch mode the root is this process, their subreaper, which is no member itself; in attach mode
    the roots are processes of others and belong to the tree. A full walk through the lists of children
    costs a read per thread, so it is done at least every `walk_every_ns` and when in doubt only. In
    between, the kernel's newest pid in /proc/loadavg tells which pids were given since, and only these
    are looked at; where it does not tell (`newest_pid_tells`), every reading walks.
    """

    def __init__(
        self,
        roots: Sequence[int],
        exclude: frozenset[int] = frozenset(),
        *,
        members: bool = False,
        walk_every_ns: int = 3_000_000_000,
    ) -> None:
        """`members`: the roots belong to the tree (attach mode); else they are this process alone."""
        self.known: dict[int, Process] = {}
        self.clocks = True
        """Whether CPU is read from the processes; the launcher has another source where it has a cgroup."""
        self._changed = True
        self.newest_pid_tells = False  # until somebody has seen it move
        self._roots, self._members, self._exclude = tuple(roots), members, exclude
        self._to_open = self._roots if members else ()
        self._subreaper = None if members else self._roots[0]
        self._walk_every_ns = walk_every_ns
        self._ledger = Ledger()
        self._loadavg: KeptFile | None = None
        self._before_ns: int | None = None
        self._reaped_base_ns = linux.children_cpu_ns()
        self._exact = all(map(linux.leads_a_process, roots))
        self._children: Callable[[int], list[int]] = (
            linux.children if linux.has_children_files() else linux.children_by_scan
        )
        self._hidden: set[int] = set()
        self.hid = False
        """Whether a process of it was ever one that this user may not look at."""
        # The newest pid one and two readings ago: a fork under way may show its pid before its process.
        self._newest = self._newest_before = self.newest_pid()
        self._walked_ns, self._unsure = 0, True
        self._free_files = _file_limit() - RESERVED_FILES
        self._all_kept = True

    def newest_pid(self) -> int | None:
        """The pid the kernel gave last in this PID namespace, to a process or a thread; None: not told."""
        try:
            self._loadavg = self._loadavg or KeptFile("/proc/loadavg", keep=True)
            return int(self._loadavg.read(128).rsplit(None, 1)[-1])
        except (OSError, ValueError, IndexError):
            return None

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
        return still and newest is not None and self._may_probe() and not self._must_walk(now_ns)

    def _must_walk(self, now_ns: int) -> bool:
        """Whether it is time to, or a process hides: nothing else tells when that one ends."""
        return self._unsure or bool(self._hidden) or now_ns - self._walked_ns >= self._walk_every_ns

    def _read_between(self) -> TreeUsage | None:
        """A cheap reading while no process came; None when one has gone, so that all must be read.

        Nobody can have waited for a child that was not born, nor for one that is still there: what a
        process inherited from its children is what it was at the last reading.
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
        reaped = self._reaped_ns()
        resident: list[int] = []
        for process in list(self.known.values()):
            self._read_one(process, resident)
        for process in self._new_processes(newest, now_ns):
            self._read_one(process, resident)
        return self._usage(resident, reaped)

    def _usage(self, resident: list[int], reaped_ns: int) -> TreeUsage:
        cpu_ns = self._account(reaped_ns) if self.clocks else None
        return TreeUsage(cpu_ns, sum(resident), len(resident), len(self._hidden))

    def _account(self, reaped_ns: int) -> int:
        """Take the processes' usages into the ledger; CPU since the start (attached: since the first row)."""
        reading = {process.key: process.usage for process in self.known.values()}
        total_ns = self._ledger.update(reading, reaped_ns)
        if self._before_ns is None:
            self._before_ns = total_ns if self._members else 0
        return total_ns - self._before_ns

    def read_cpu_ns(self) -> int:
        """CPU by the clocks of the known processes, asked right after a row was read; never too much."""
        reaped_ns = self._reaped_ns()
        for process in self.known.values():
            with contextlib.suppress(OSError):  # it has just ended; the next row sees to it
                process.read_clock()
        return self._account(reaped_ns)

    def _reaped_ns(self) -> int:
        return 0 if self._members else linux.children_cpu_ns() - self._reaped_base_ns

    def _new_processes(self, newest: int | None, now_ns: int) -> list[Process]:
        since, self._newest_before, self._newest = self._newest_before, self._newest, newest
        if newest is None or since is None or not self._may_probe() or self._must_walk(now_ns):
            return self._walk(now_ns)
        if not 0 <= newest - since <= PROBE_AT_MOST:
            return self._walk(now_ns)
        return self._probe(range(since + 1, newest + 1))

    def _may_probe(self) -> bool:
        return self.newest_pid_tells and self._exact

    def _probe(self, pids: range) -> list[Process]:
        """Those of `pids` that are new processes of the tree; a parent's pid is lower than its child's."""
        found: list[Process] = []
        for pid in pids:
            if pid in self.known or pid in self._exclude or not linux.leads_a_process(pid):
                continue
            # One that hides is most likely a stranger's; the next walk comes to it if it is not.
            with contextlib.suppress(PermissionError):
                stat = linux.read_stat(pid)
                if stat and (stat.parent in self.known or stat.parent == self._subreaper):
                    found += filter(None, [self._open(pid)])
        return found

    def _read_one(self, process: Process, resident: list[int]) -> None:
        try:
            rss_bytes = process.read()
        except PermissionError:  # it has become another user's, and /proc hides it from now on
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
        self._walked_ns, self._unsure = now_ns, False
        self._hidden.clear()
        found: list[Process] = []
        queue = list(self._roots)
        if self._members:
            found += filter(None, map(self._open, self._to_open))
            # A root that has ended is not looked for again, its number may be another's; known ones that were
            # orphaned are roots themselves.
            self._to_open, queue = (), list(self.known)
        seen = set(queue)
        for parent in queue:
            for pid in self._children_of(parent):
                if pid in seen or pid in self._exclude:
                    continue
                seen.add(pid)
                queue.append(pid)
                if pid not in self.known and (process := self._open(pid)):
                    found.append(process)
        return found

    def _children_of(self, pid: int) -> list[int]:
        # The children of one that hides do not hide themselves where they are this user's again.
        return linux.children_by_scan(pid) if pid in self._hidden else self._children(pid)

    def _open(self, pid: int) -> Process | None:
        """One more process of the tree; None where it is gone or hides."""
        try:
            process = Process(pid, keep=self._free_files >= 2, exact_clock=self._exact)
        except OSError as error:
            self._not_opened(pid, error)
            return None
        self._free_files -= 2 * process.kept
        self._all_kept = self._all_kept and process.kept
        self.known[pid] = process
        self._changed = True
        return process

    def _not_opened(self, pid: int, error: OSError) -> None:
        if not isinstance(error, PermissionError) and not is_gone(error):
            raise error
        # `hidepid=2` says of a process that hides that it does not exist; its clock knows better.
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
        self._all_kept = all(one.kept for one in self.known.values())
        self._changed = True

    def take_change(self) -> bool:
        """Whether processes came or went since this was asked last."""
        changed, self._changed = self._changed, False
        return changed

    def pids(self) -> list[int]:
        """The processes below the root now, zombies left out, those that hide among them."""
        queue = list(self._roots)
        seen = {*queue, *self._exclude}
        for parent in queue:
            children = set(self._children_of(parent)) - seen
            seen |= children
            queue += sorted(children)
        return [pid for pid in queue if pid not in self._roots and _is_alive(pid)]

    def close(self) -> None:
        """Give all descriptors back."""
        for process in list(self.known.values()):
            self._forget(process)
        if self._loadavg:
            self._loadavg.close()


def _is_alive(pid: int) -> bool:
    try:
        stat = linux.read_stat(pid)
    except PermissionError:
        return True
    return linux.leads_a_process(pid) if stat is None else not stat.ended


def _file_limit() -> int:
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return 1 << 20 if limit == resource.RLIM_INFINITY else limit
