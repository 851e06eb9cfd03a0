"""A small process that ends the command's whole tree if the sidecar itself is killed."""

from __future__ import annotations

import contextlib
import fcntl
import mmap
import os
import signal
import struct
import time
from collections.abc import Iterable

from evenground.sidecar import linux
from evenground.sidecar.cgroup import Leaf
from evenground.sidecar.process import send

# One entry of the shared memory: pid and start time.
_ENTRY = struct.Struct("=qq")
_MEMORY_BYTES = 64 * 1024
_MAX_ENTRIES = _MEMORY_BYTES // _ENTRY.size - 1
_ROUNDS = 50
_PAUSE_S = 0.02


class Guardian:
    """Sleeps on a pipe whose other end the sidecar holds; costs nothing until that end closes.

    It learns what to end from shared memory: the command's session, and every process of the tree
    with its start time, so that a reused pid is never hit. If the command has a cgroup, everything
    in it is ended first, and at the end the cgroup is removed.
    """

    def __init__(self, leaf: Leaf | None) -> None:
        """Fork it; call while this process has a single thread, before the command is started.

        Raises OSError if there is no room for another process.
        """
        self._memory = mmap.mmap(-1, _MEMORY_BYTES)
        reader, self._writer = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            try:
                _guard(reader, self._memory, leaf)
            finally:
                os._exit(0)
        os.close(reader)

    def know(self, session: int, processes: Iterable[tuple[int, int]]) -> None:
        """Share the command's session id and the (pid, start time) of the tree as it is now."""
        entries = [(session, 0)]
        entries.extend(processes)
        packed = [_ENTRY.pack(pid, start) for pid, start in entries[:_MAX_ENTRIES]]
        packed.append(bytes(_ENTRY.size))  # marks the end
        content = b"".join(packed)
        self._memory[: len(content)] = content

    def dismiss(self) -> int:
        """End it without harm to any process, and return the CPU nanoseconds it cost."""
        before_ns = linux.children_cpu_ns()
        # If it was killed, the pipe is broken and it has been reaped already.
        with contextlib.suppress(BrokenPipeError):
            os.write(self._writer, b".")
        os.close(self._writer)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self.pid, 0)
        return linux.children_cpu_ns() - before_ns


def _guard(reader: int, memory: mmap.mmap, leaf: Leaf | None) -> None:
    # A signal to the sidecar's group, e.g. Ctrl-C in its terminal, must not reach the guardian.
    os.setsid()
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    # All other descriptors are closed: an inherited one would hold the caller's pipes open.
    reader = fcntl.fcntl(reader, fcntl.F_DUPFD, 3)
    null = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(null, fd)
    os.closerange(3, reader)
    os.closerange(reader + 1, os.sysconf("SC_OPEN_MAX"))
    if os.read(reader, 1):
        return  # dismissed
    if leaf:
        leaf.kill()
    _end_all(memory)
    if leaf:
        leaf.remove()


def _end_all(memory: mmap.mmap) -> None:
    """Kill in rounds until nothing is left: processes may be forked while others are killed."""
    session, known = _recall(memory)
    for _ in range(_ROUNDS):
        doomed: dict[int, int] = {}
        stats = linux.all_stats()
        # Parents come before their children: pid after pid, they started in this order.
        for pid in sorted(stats, key=lambda pid: (stats[pid].start, pid)):
            stat = stats[pid]
            is_known = stat.session == session or known.get(pid) == stat.start
            if not stat.ended and (is_known or stat.parent in doomed):
                doomed[pid] = stat.start
        if not doomed:
            return
        send(doomed, signal.SIGKILL)
        known |= doomed
        time.sleep(_PAUSE_S)


def _recall(memory: mmap.mmap) -> tuple[int, dict[int, int]]:
    """The command's session, and known processes: pid to start time."""
    entries = _ENTRY.iter_unpack(memory[:])
    session, _ = next(entries)
    known: dict[int, int] = {}
    for pid, start in entries:
        if pid == 0:
            break
        known[pid] = start
    # Before the first row nothing is known; session 0 would be that of the kernel's threads.
    return session or -1, known
