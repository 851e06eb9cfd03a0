"""A tiny process that ends the command's whole tree when the sidecar itself is killed."""

from __future__ import annotations

import contextlib
import fcntl
import mmap
import os
import signal
import struct
import time
from collections.abc import Iterable
from pathlib import Path

from evenground.sidecar import linux
from evenground.sidecar.cgroup import Leaf
from evenground.sidecar.process import send

_ENTRY = struct.Struct("=qq")
_ROOM = 64 * 1024
_ROUNDS, _PAUSE_S = 50, 0.02


class Guardian:
    """Sleeps on a pipe whose other end the sidecar holds; costs nothing until that end closes.

    What it must end, it learns from shared memory: the command's session, and every process of the
    tree with its start time, so that a process id given anew is never hit. Where the command has a
    cgroup of its own, everything in that is ended first, and the cgroup removed at the end, the pipe for
    marks with it.
    """

    def __init__(self, leaf: Leaf | None, fifo: Path | None) -> None:
        """Fork it; call while this process has one thread only, before the command is started.

        Where there is no room for one more process, `lacking` says why there is no guardian.
        """
        self._memory = mmap.mmap(-1, _ROOM)
        self.pid: int | None = None
        self.lacking: str | None = None
        reader, self._writer = os.pipe()
        try:
            self.pid = os.fork()
        except OSError as error:
            self.lacking = error.strerror
        if self.pid == 0:
            try:
                _guard(reader, self._memory, leaf, fifo)
            finally:
                os._exit(0)
        os.close(reader)

    def know(self, session: int, processes: Iterable[tuple[int, int]]) -> None:
        """Tell it the command's session id and the (pid, start time) of the tree as it is now."""
        entries = [(session, 0), *processes][: _ROOM // _ENTRY.size - 1]
        packed = b"".join(_ENTRY.pack(*entry) for entry in entries)
        self._memory[: len(packed) + _ENTRY.size] = packed + bytes(_ENTRY.size)

    def dismiss(self) -> int:
        """End it without harm to anybody, wait for it, and return the CPU nanoseconds it cost.

        0 where there is none (any more).
        """
        if self.pid is None:
            return 0
        before = linux.children_cpu_ns()
        # If somebody killed it, the pipe is broken and it has been reaped already.
        with contextlib.suppress(BrokenPipeError):
            os.write(self._writer, b".")
        os.close(self._writer)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self.pid, 0)
        self.pid = None
        return linux.children_cpu_ns() - before


def _guard(reader: int, memory: mmap.mmap, leaf: Leaf | None, fifo: Path | None) -> None:
    os.setsid()
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    linux.name_thread("sidecar-guard")
    # Every other descriptor goes: a kept one would hold the caller's pipes open.
    reader = fcntl.fcntl(reader, fcntl.F_DUPFD, 3)
    null = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(null, fd)
    os.closerange(3, reader)
    os.closerange(reader + 1, os.sysconf("SC_OPEN_MAX"))
    if os.read(reader, 1) == b"":
        if leaf:
            leaf.kill()
        _end_all(memory)
        if leaf:
            leaf.remove_folder()
        if fifo:
            fifo.unlink(missing_ok=True)


def _end_all(memory: mmap.mmap) -> None:
    session, known = _recall(memory)
    for _ in range(_ROUNDS):
        stats = linux.all_stats()
        alive = {pid: stat for pid, stat in stats.items() if not stat.ended}
        doomed = {
            pid
            for pid, stat in alive.items()
            if stat.session == session or known.get(pid) == stat.start
        }
        while more := {pid for pid, stat in alive.items() if stat.parent in doomed} - doomed:
            doomed |= more
        doomed -= {os.getpid()}
        if not doomed:
            return
        send(doomed, signal.SIGKILL)
        known |= {pid: alive[pid].start for pid in doomed}
        time.sleep(_PAUSE_S)


def _recall(memory: mmap.mmap) -> tuple[int, dict[int, int]]:
    entries = list(_ENTRY.iter_unpack(memory[:]))
    count = next(i for i, entry in enumerate(entries) if entry == (0, 0))
    session = entries[0][0] if count else -1
    return session, dict(entries[1:count])
