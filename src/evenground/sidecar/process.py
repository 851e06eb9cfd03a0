"""Runs the command as it would run without a sidecar: its start, its signals and its end."""

from __future__ import annotations

import contextlib
import errno
import mmap
import os
import resource
import signal
import struct
import time
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from evenground.sidecar import linux
from evenground.sidecar.cgroup import Leaf
from evenground.sidecar.cpus import list_text
from evenground.sidecar.timing import Clocks, both_clocks

FORWARDED = (
    signal.SIGINT,
    signal.SIGTERM,
    signal.SIGHUP,
    signal.SIGQUIT,
    signal.SIGUSR1,
    signal.SIGUSR2,
)
# `si_code` of a signal that the kernel sent, as for Ctrl-C in a terminal (sigaction(2)).
SI_KERNEL = 0x80


class Exit(NamedTuple):
    """When and how the command ended: `code` is None if a signal ended it, else `signal` is."""

    at: Clocks
    code: int | None
    signal: int | None


class Launched(NamedTuple):
    """What the command's process noted, by its own clocks, just before it became the command."""

    unix_ns: int
    mono_ns: int
    cpu_ns: int
    """CPU that it had used before the cgroup counted."""
    in_leaf: bool
    """Whether the kernel let it into a cgroup."""


_LAUNCHED = struct.Struct("=qqq?")
_GO = b"."
# Sent instead of an errno by a process that does not get all CPUs that it should be bound to.
_NOT_BOUND = 0


class Surroundings:
    """What the sidecar changes about itself, and the command must not inherit."""

    def __init__(self) -> None:
        """Become subreaper, block signals until they are waited for, raise the descriptor limit."""
        ignored = {number for number in FORWARDED if signal.getsignal(number) is signal.SIG_IGN}
        self.waited_for = {signal.SIGCHLD, *FORWARDED} - ignored
        # An inherited "ignore" would make the kernel throw away the command's exit status.
        self._sigchld = signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        self._mask = signal.pthread_sigmask(signal.SIG_BLOCK, self.waited_for)
        self._limits = resource.getrlimit(resource.RLIMIT_NOFILE)
        hard_limit = self._limits[1]
        with contextlib.suppress(OSError, ValueError):  # then fewer /proc files are kept open
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard_limit, hard_limit))
        linux.prctl(linux.PR_SET_CHILD_SUBREAPER, 1)
        self._pid = os.getpid()

    def ending_signal(self, patience_s: float) -> int | None:
        """Wait so long for a signal that would end a command; its number, or None."""
        info = signal.sigtimedwait(self.waited_for - {signal.SIGCHLD}, patience_s)
        return info.si_signo if info else None

    def restore_in_child(self) -> None:
        """Undo the changes in the command's process, which from now on dies with the sidecar."""
        linux.prctl(linux.PR_SET_PDEATHSIG, signal.SIGKILL)
        # The sidecar may have died before the line above took effect.
        if os.getppid() != self._pid:
            os._exit(128 + signal.SIGKILL)
        resource.setrlimit(resource.RLIMIT_NOFILE, self._limits)
        signal.signal(signal.SIGCHLD, self._sigchld)
        # Python ignores these for itself.
        for number in (signal.SIGPIPE, signal.SIGXFSZ):
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, self._mask)


def callers_environment() -> dict[bytes, bytes]:
    """The environment with which this process was started."""
    # `os.environ` may have more: in the locale C Python sets LC_CTYPE for itself (PEP 538).
    try:
        entries = Path("/proc/self/environ").read_bytes().split(b"\0")
    except OSError:
        return dict(os.environb)
    return dict(entry.split(b"=", 1) for entry in entries if b"=" in entry)


class Command:
    """The command, from the process that will become it to the moment it is reaped."""

    def __init__(
        self,
        argv: Sequence[str],
        surroundings: Surroundings,
        leaf: Leaf | None,
        env: dict[bytes, bytes],
        cpus: Collection[int] | None,
    ) -> None:
        """Fork its process, in a session of its own; it waits there until `launch`.

        Forked early, while the sidecar has a single thread and has not opened the NVIDIA driver.
        `leaf` and `cpus` are where it will run. It inherits standard streams and other descriptors
        from the caller; `pid` is also its group and its session. Raises OSError if there is no room
        for another process.
        """
        self._surroundings = surroundings
        self._cpus = cpus
        self._launched = mmap.mmap(-1, _LAUNCHED.size)
        self.launched: Launched
        self.exit: Exit | None = None
        go, self._go = os.pipe()
        self._fault, fault = os.pipe()
        try:
            self.pid = os.fork()
        except OSError:
            for descriptor in (go, self._go, self._fault, fault):
                os.close(descriptor)
            raise
        if self.pid == 0:
            os.close(self._go)  # else the end of the sidecar would not be seen
            os.close(self._fault)
            self._become(argv, leaf, env, go, fault)
        os.close(go)
        os.close(fault)

    def launch(self) -> None:
        """Let it become the command, and note when; raises OSError if it cannot."""
        now = both_clocks()
        with contextlib.suppress(BrokenPipeError):  # it was killed meanwhile, as its exit will show
            os.write(self._go, _GO)
        os.close(self._go)
        # The pipe ends when the command is executed, for Python's descriptors close then.
        with os.fdopen(self._fault, "rb") as file:
            fault = file.read()
        unix_ns, mono_ns, cpu_ns, in_leaf = _LAUNCHED.unpack(self._launched[:])
        self.launched = Launched(
            unix_ns=unix_ns or now.unix_ns,
            mono_ns=mono_ns or now.mono_ns,
            cpu_ns=cpu_ns,
            in_leaf=in_leaf,
        )
        if not fault:
            return
        os.waitpid(self.pid, 0)
        number = int(fault)
        text = os.strerror(number)
        if number == _NOT_BOUND:
            cpus = list_text(self._cpus or ())
            text = f"cannot be bound to CPUs {cpus}: not all are this process's to use, give others"
        raise OSError(number, text)

    def drop(self) -> None:
        """End the waiting process; nothing was executed."""
        os.close(self._go)
        os.close(self._fault)
        os.waitpid(self.pid, 0)

    def _become(
        self,
        argv: Sequence[str],
        leaf: Leaf | None,
        env: dict[bytes, bytes],
        go: int,
        fault: int,
    ) -> None:
        """In the command's process: wait for `launch`, set everything up, execute the command."""
        number = errno.EINVAL
        try:
            os.setsid()
            if os.read(go, 1) != _GO:
                os._exit(0)
            in_leaf = leaf is not None and leaf.enter()
            before_ns = time.process_time_ns()
            # Bound only now: entering a cgroup that has CPUs of its own would bind it again.
            if self._cpus is not None and not linux.bind(self._cpus):
                number = _NOT_BOUND
                return
            self._surroundings.restore_in_child()
            now = both_clocks()
            self._launched[:] = _LAUNCHED.pack(now.unix_ns, now.mono_ns, before_ns, in_leaf)
            os.execvpe(argv[0], list(argv), env)
        except OSError as error:
            number = error.errno or number
        finally:
            os.write(fault, str(number).encode())
            os._exit(1)

    def wait_until(self, wake_ns: float) -> bool:
        """Sleep until monotonic `wake_ns` or the command's end, pass signals on, reap orphans.

        Returns True if `wake_ns` was reached.
        """
        while self.exit is None:
            left_ns = max(0, wake_ns - time.monotonic_ns())
            info = signal.sigtimedwait(self._surroundings.waited_for, left_ns / 1e9)
            if info is None:
                return True
            if info.si_signo == signal.SIGCHLD:
                self.reap()
            else:
                self._forward(info.si_signo, from_terminal=info.si_code == SI_KERNEL)
        return False

    def reap(self) -> None:
        """Wait for every ended child, orphans of the command too, and note the command's end."""
        while info := _ended_child():
            if info.si_pid != self.pid:
                continue
            if info.si_code == os.CLD_EXITED:
                self.exit = Exit(at=both_clocks(), code=info.si_status, signal=None)
            else:
                self.exit = Exit(at=both_clocks(), code=None, signal=info.si_status)

    def _forward(self, number: int, from_terminal: bool) -> None:
        # A terminal signals a whole group; a signal sent to one process stays with one.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if from_terminal:
                os.killpg(self.pid, number)
            else:
                os.kill(self.pid, number)


def _ended_child() -> os.waitid_result | None:
    try:
        return os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG)
    except ChildProcessError:
        return None


def send(pids: Iterable[int], number: int) -> set[int]:
    """Send a signal to each; returns the pids that this user may not signal (as of sudo)."""
    forbidden: set[int] = set()
    for pid in pids:
        try:
            os.kill(pid, number)
            # A stopped process takes note of SIGTERM only when it continues.
            if number == signal.SIGTERM:
                os.kill(pid, signal.SIGCONT)
        except ProcessLookupError:
            continue  # it has ended meanwhile
        except PermissionError:
            forbidden.add(pid)
    return forbidden
