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
from typing import NamedTuple, NoReturn

from evenground.sidecar import linux
from evenground.sidecar.cgroup import Leaf
from evenground.sidecar.cpus import list_text
from evenground.sidecar.timing import both_clocks

FORWARDED = (
    signal.SIGINT,
    signal.SIGTERM,
    signal.SIGHUP,
    signal.SIGQUIT,
    signal.SIGUSR1,
    signal.SIGUSR2,
)
SI_KERNEL = 0x80
_MAX_SHOWN = 60


class Exit(NamedTuple):
    """When the command ended, and how: with an exit code or by a signal; the other is None."""

    unix_ns: int
    mono_ns: int
    code: int | None
    signal: int | None


class Launched(NamedTuple):
    """The last thing that the command's process did before it became the command, by its own clocks.

    cpu_ns is what it had used before the cgroup counted; in_leaf, whether the kernel let it into one;
    unbound, whether the kernel kept it from the CPUs it should have: then it has not become the command.
    """

    unix_ns: int
    mono_ns: int
    cpu_ns: int
    in_leaf: bool
    unbound: bool


_LAUNCHED = struct.Struct("=qqq??")
_GO = b"."
PYTHONS_OWN = (signal.SIGPIPE, signal.SIGXFSZ)
"""What Python ignores for itself."""


class NotBound(OSError):
    """The kernel does not give the command all CPUs that it was to be bound to."""

    def __init__(self, cpus: Collection[int]) -> None:
        shown = list_text(cpus)
        if len(shown) > _MAX_SHOWN:
            shown = f"{shown[:_MAX_SHOWN]}..."
        super().__init__(
            errno.EINVAL,
            f"cannot be bound to CPUs {shown}: not all are this process's to use, give others",
        )


class Surroundings:
    """What the sidecar changes about itself, and what of it the command must not inherit."""

    def __init__(self) -> None:
        """Become subreaper, hold signals back until they are waited for, raise the limit of descriptors."""
        ignored = {number for number in FORWARDED if signal.getsignal(number) is signal.SIG_IGN}
        self.waited_for = {signal.SIGCHLD, *FORWARDED} - ignored
        # An inherited "ignore" would make the kernel throw away the command's exit status.
        self._sigchld = signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        self._mask = signal.pthread_sigmask(signal.SIG_BLOCK, self.waited_for)
        self._limits = resource.getrlimit(resource.RLIMIT_NOFILE)
        with contextlib.suppress(OSError, ValueError):  # then fewer /proc files are kept open
            resource.setrlimit(resource.RLIMIT_NOFILE, (self._limits[1], self._limits[1]))
        linux.prctl(linux.PR_SET_CHILD_SUBREAPER, 1)
        self._pid = os.getpid()

    def told_to_end(self, patience_s: float) -> int | None:
        """Wait so long for a signal that would end a command; its number, None where none came."""
        info = signal.sigtimedwait(self.waited_for - {signal.SIGCHLD}, patience_s)
        return info.si_signo if info else None

    def restore_in_child(self) -> None:
        """Called in the command's process before it becomes the command: dies with the sidecar."""
        linux.prctl(linux.PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != self._pid:
            os._exit(128 + signal.SIGKILL)
        resource.setrlimit(resource.RLIMIT_NOFILE, self._limits)
        signal.signal(signal.SIGCHLD, self._sigchld)
        for number in PYTHONS_OWN:
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, self._mask)


def callers_environment() -> dict[bytes, bytes]:
    """The environment with which this process was started.

    In the locale C Python sets LC_CTYPE for itself (PEP 538), which `os.environ` then has, too.
    """
    try:
        entries = Path("/proc/self/environ").read_bytes().split(b"\0")
    except OSError:
        return dict(os.environb)
    pairs = (entry.partition(b"=") for entry in entries if b"=" in entry)
    return {name: value for name, _, value in pairs}


class Command:
    """The command, from the process that will become it to the moment it is reaped."""

    def __init__(
        self,
        argv: Sequence[str],
        surroundings: Surroundings,
        leaf: Leaf | None,
        env: dict[bytes, bytes],
        cpus: Collection[int] | None = None,
    ) -> None:
        """Make its process, in a session of its own; there it waits, until `launch` makes it the command.

        So it is forked while there is one thread, and before the NVIDIA driver is opened, whatever is waited
        for then. `leaf` and `cpus` are where it will run. Standard streams and other inherited descriptors
        are the caller's; `pid` is also its group and its session. OSError when there is no room for it.
        """
        self._signals = surroundings.waited_for
        self._cpus = cpus
        self._told = mmap.mmap(-1, _LAUNCHED.size)
        self.launched: Launched
        self.exit: Exit | None = None
        word, self._word = os.pipe()
        self._fault, fault = os.pipe()
        try:
            self.pid = os.fork()
        except OSError:
            for descriptor in (word, self._word, self._fault, fault):
                os.close(descriptor)
            raise
        if self.pid == 0:
            os.close(self._word)  # else the end of the sidecar would not be seen
            os.close(self._fault)
            self._become(argv, surroundings, leaf, env, word, fault)
        os.close(word)
        os.close(fault)

    def launch(self) -> None:
        """Let it become the command, and note when; OSError when it cannot."""
        now = both_clocks()
        with contextlib.suppress(BrokenPipeError):  # it was killed meanwhile: how it ended tells so
            os.write(self._word, _GO)
        os.close(self._word)
        with os.fdopen(self._fault, "rb") as file:
            fault = file.read()
        launched = Launched(*_LAUNCHED.unpack(self._told[:]))
        self.launched = launched if launched.unix_ns else Launched(*now, 0, False, False)
        if not fault:
            return
        os.waitpid(self.pid, 0)
        if self._cpus is not None and launched.unbound:
            raise NotBound(self._cpus)
        raise OSError(int(fault), os.strerror(int(fault)))

    def drop(self) -> None:
        """End the process that waits; nothing was executed."""
        os.close(self._word)
        os.close(self._fault)
        os.waitpid(self.pid, 0)

    def _become(
        self,
        argv: Sequence[str],
        surroundings: Surroundings,
        leaf: Leaf | None,
        env: dict[bytes, bytes],
        word: int,
        fault: int,
    ) -> NoReturn:
        """In the command's process: wait for the word, be set up, be executed. Never comes back."""
        number = errno.EINVAL
        try:
            os.setsid()
            if os.read(word, 1) != _GO:
                os._exit(0)
            entered = leaf is not None and leaf.enter()
            before_ns = time.process_time_ns()
            # Only now: entering a cgroup that has CPUs of its own sets them anew.
            unbound = self._cpus is not None and not linux.bind(self._cpus)
            surroundings.restore_in_child()
            self._told[:] = _LAUNCHED.pack(*both_clocks(), before_ns, entered, unbound)
            if not unbound:
                os.execvpe(argv[0], list(argv), env)
        except OSError as error:
            number = error.errno or number
        finally:
            os.write(fault, str(number).encode())
            os._exit(1)

    def wait_until(self, wake_ns: float) -> bool:
        """Sleep until monotonic `wake_ns` or the command's end, pass signals on, reap orphans.

        Returns whether it slept to the end.
        """
        while self.exit is None:
            left_ns = max(0, wake_ns - time.monotonic_ns())
            info = signal.sigtimedwait(self._signals, left_ns / 1e9)
            if info is None:
                return True
            if info.si_signo == signal.SIGCHLD:
                self.reap()
            else:
                self._forward(info.si_signo, from_terminal=info.si_code == SI_KERNEL)
        return False

    def reap(self) -> None:
        """Wait for every child that has ended, orphans of the command too, and note the command's end."""
        while info := _ended_child():
            if info.si_pid == self.pid:
                by_itself = info.si_code == os.CLD_EXITED
                code, number = (info.si_status, None) if by_itself else (None, info.si_status)
                unix_ns, mono_ns = both_clocks()
                self.exit = Exit(unix_ns, mono_ns, code, number)

    def _forward(self, number: int, from_terminal: bool) -> None:
        """A terminal signals a whole group, and so does this; a signal sent to one process goes to one."""
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
    """Send a signal to each; returns those that this user may not signal (another user's, as of sudo).

    A process that has ended meanwhile needs none.
    """
    forbidden: set[int] = set()
    for pid in pids:
        try:
            os.kill(pid, number)
            if number == signal.SIGTERM:
                os.kill(pid, signal.SIGCONT)
        except ProcessLookupError:
            continue
        except PermissionError:
            forbidden.add(pid)
    return forbidden
