"""Attach mode: processes that somebody else started, for a fixed time or until they end."""

from __future__ import annotations

import gc
import math
import os
import signal
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

from evenground.sidecar import linux
from evenground.sidecar.columns import COLUMNS
from evenground.sidecar.output import Cell
from evenground.sidecar.recording import Recording, Settings
from evenground.sidecar.show import Row
from evenground.sidecar.summary import AttachSummary
from evenground.sidecar.timing import hurry
from evenground.sidecar.tree import Tree

BLIND = (
    "attached, not launched: not seen are what was used before, a process that leaves its parents between "
    "two rows (an orphan), a child that nobody waits for and that ends between two rows, and what is used "
    "after the last row"
)
LOOK_S = 0.05
COMM_BYTES = 15
"""The kernel cuts the name of a process after these (TASK_COMM_LEN)."""
_STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class NoProcess(Exception):
    """There is nothing to attach to; the text says what was looked for."""


class AttachOptions(NamedTuple):
    """What `attach` is asked to do; docs/sidecar.md explains each."""

    settings: Settings
    pids: tuple[int, ...] = ()
    name: str | None = None
    duration_s: float = math.inf
    wait_s: float = 0.0


def find(name: str) -> list[int]:
    """Processes of that name: the kernel's (15 bytes), or that of the program as it was called.

    Left out are this process and children of others in the list, for these belong to their parents' tree.
    """
    found = {pid: stat for pid, stat in linux.all_stats().items() if pid != os.getpid()}
    named = {pid for pid, stat in found.items() if not stat.ended and _is_named(pid, name)}

    def has_named_parent(pid: int) -> bool:
        while (stat := found.get(pid)) and stat.parent in found:
            pid = stat.parent
            if pid in named:
                return True
        return False

    return sorted(pid for pid in named if not has_named_parent(pid))


def _is_named(pid: int, name: str) -> bool:
    """Whether a process has that name. Where the kernel's may be cut, the whole one decides."""
    folder, wanted = Path(f"/proc/{pid}"), os.fsencode(name)
    try:
        kernels = (folder / "comm").read_bytes().removesuffix(b"\n")
        words = (folder / "cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    called, *arguments = map(_last_part, words)
    if called == wanted:
        return True
    if len(kernels) < COMM_BYTES:
        return kernels == wanted
    if not wanted.startswith(kernels):
        return False
    whole = _whole_name(kernels, [called, _last_part(_program(folder)), *arguments])
    return wanted == (whole or kernels)


def _whole_name(cut: bytes, names: list[bytes]) -> bytes | None:
    """The first of `names` that the kernel could have cut so; a script's is its interpreter's argument."""
    return next((name for name in names if name.startswith(cut)), None)


def _last_part(path: bytes) -> bytes:
    return path.rpartition(b"/")[2]


def _program(folder: Path) -> bytes:
    """Path of the program that a process runs; empty where this user may not know it."""
    try:
        return bytes((folder / "exe").readlink())
    except OSError:
        return b""


def find_roots(options: AttachOptions) -> list[int]:
    """The processes to attach to, waiting for one of that name; NoProcess when there is none in time."""
    until = time.monotonic() + options.wait_s
    while True:
        if options.name is None:
            roots, what = _by_number(options.pids)
        else:
            roots = find(options.name)
            what = "" if roots else f"no process is named '{options.name}'"
        if not what:
            return roots
        if time.monotonic() >= until:
            raise NoProcess(what)
        time.sleep(LOOK_S)


def _by_number(pids: Iterable[int]) -> tuple[list[int], str]:
    """Those to measure, parents before their children, as a tree is read; what is wrong with the others."""
    starts: list[tuple[int, int]] = []
    faults: list[str] = []
    for pid in sorted(set(pids)):
        try:
            stat = linux.read_stat(pid)
        except PermissionError as error:
            faults.append(f"process {pid} may not be looked at ({error.strerror}: hidepid)")
            continue
        if stat:
            starts.append((stat.start, pid))
        else:
            faults.append(f"no process with the id {pid}")
    return [pid for _, pid in sorted(starts)], "; ".join(faults)


class Attach:
    """One measurement of running processes and what they start."""

    def __init__(self, options: AttachOptions) -> None:
        """Find the processes and create the files; NoProcess, OSError."""
        self._options = options
        self.roots = find_roots(options)
        self.unprinted: str | None = None
        """Why rows could not be printed; that nobody reads them any more is no fault."""
        self._recording = Recording(options.settings, "attach")
        self._recording.about["not_seen"] = BLIND
        # A signal that the caller ignores (nohup) would come all the same once it is waited for.
        self._stops = {
            number for number in _STOPS if signal.getsignal(number) is not signal.SIG_IGN
        }

    def run(self, show: Callable[[Row], None] = lambda row: None) -> AttachSummary:
        """Measure to the end, giving every row to `show`; OSError when the files are not complete.

        NoSuchCard, before anything is measured, where the card that alone counts is not there.
        """
        signal.pthread_sigmask(signal.SIG_BLOCK, self._stops)
        tree = Tree(self.roots, frozenset({os.getpid()}), members=True)
        tree.newest_pid_tells = _newest_pid_tells(tree)
        recording = self._recording
        recording.say_how(hurry(), None)
        self._wait_for_card()
        started_ns = time.time_ns()
        recording.start(tree, None, time.monotonic_ns())
        gc.freeze()
        ended = self._sample(tree, show)
        last = recording.last_row(time.monotonic_ns())
        if last:
            self._show(show, last)
        recording.stop()
        recording.end_marks()
        sampler = recording.sampler
        summary = AttachSummary(
            pids=tuple(self.roots),
            started_unix_ns=started_ns,
            ended_unix_ns=time.time_ns(),
            ended=ended,
            rows=sampler.rows,
            missed_slots=sampler.missed_slots,
            cpu_s=sampler.cpu_s,
            max_rss_bytes=sampler.max_rss_bytes,
            max_pss_bytes=sampler.max_pss_bytes,
            empty_cells=sampler.empty_cells(),
            sidecar_cpu_s=time.process_time(),
            not_seen=(BLIND, *recording.not_seen()),
        )
        recording.close(summary._asdict())
        return summary

    def _wait_for_card(self) -> None:
        """Until it is known whether the card that alone counts is there, or something ends this."""
        if self._options.settings.card is None:
            return
        self._recording.open_gpu()
        while self._recording.awaits_gpu() and not signal.sigpending() & self._stops:
            time.sleep(LOOK_S)

    def _show(self, show: Callable[[Row], None], cells: list[Cell]) -> bool:
        """Give a row to the caller; whether what is printed can still be read by somebody."""
        try:
            show(dict(zip(COLUMNS, cells, strict=True)))
        except BrokenPipeError:
            return False
        except OSError as error:
            self.unprinted = error.strerror
            return False
        return True

    def _sample(self, tree: Tree, show: Callable[[Row], None]) -> str:
        """Rows until something ends it; says what."""
        recording, now_ns = self._recording, time.monotonic_ns()
        until_ns = now_ns + self._options.duration_s * 1e9
        while now_ns < until_ns:
            cells = recording.row_if_due(now_ns)
            if cells:
                if not self._show(show, cells):
                    return "unread"
                if tree.take_change():
                    recording.tree_changed()
            if recording.sampler.processes == 0:
                return "exited"
            deadline_ns = recording.deadline_ns()
            wake_ns = min(recording.alarm.set_for(deadline_ns), until_ns)
            left_ns = max(0, wake_ns - time.monotonic_ns())
            if signal.sigtimedwait(self._stops, left_ns / 1e9):
                return "signal"
            now_ns = (
                recording.alarm.woke(deadline_ns) if wake_ns < until_ns else time.monotonic_ns()
            )
        return "duration"


def _newest_pid_tells(tree: Tree) -> bool:
    """Whether the newest pid moves when a process is made here: not across PID namespaces."""
    before = tree.newest_pid()
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    return tree.newest_pid() != before
