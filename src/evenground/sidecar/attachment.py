"""Attach mode: processes that are already running, for a fixed time or until they end."""

from __future__ import annotations

import gc
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

from evenground.sidecar import linux
from evenground.sidecar.columns import COLUMNS
from evenground.sidecar.output import Cell
from evenground.sidecar.recording import Recording, Settings
from evenground.sidecar.summary import AttachSummary
from evenground.sidecar.timing import hurry
from evenground.sidecar.tree import Tree
from evenground.sidecar.unixstats import Row

BLIND = (
    "attached, not launched: not seen are what was used before, a process that leaves its parents "
    "between two rows (an orphan), a child that nobody waits for and that ends between two rows, "
    "and what is used after the last row"
)
LOOK_S = 0.05
# The kernel cuts the name of a process after these (TASK_COMM_LEN).
COMM_BYTES = 15
_STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class NoProcess(Exception):
    """There is nothing to attach to; the text says what was looked for."""


def find(name: str) -> list[int]:
    """Processes of that name, parents before their children; this process is left out.

    The name is the kernel's (15 bytes), or that of the program as it was called.
    """
    starts = []
    for pid, stat in linux.all_stats().items():
        if pid != os.getpid() and not stat.ended and _is_named(pid, name):
            starts.append((stat.start, pid))
    return [pid for _, pid in sorted(starts)]


def _is_named(pid: int, name: str) -> bool:
    """Whether a process has that name; if the kernel may have cut it, the full name decides."""
    folder = Path(f"/proc/{pid}")
    wanted = os.fsencode(name)
    try:
        comm = (folder / "comm").read_bytes().removesuffix(b"\n")
        words = (folder / "cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    names = [_last_part(word) for word in words]
    if names[0] == wanted:
        return True
    if len(comm) < COMM_BYTES:
        return comm == wanted
    if not wanted.startswith(comm):
        return False
    # The program decides before arguments; a script's name is an argument of its interpreter.
    names.insert(1, _last_part(_program(folder)))
    for full_name in names:
        if full_name.startswith(comm):
            return full_name == wanted
    return comm == wanted


def _last_part(path: bytes) -> bytes:
    return path.rpartition(b"/")[2]


def _program(folder: Path) -> bytes:
    """Path of the program that a process runs; empty if this user may not read it."""
    try:
        return bytes((folder / "exe").readlink())
    except OSError:
        return b""


def find_roots(pids: list[int] | None, name: str | None, wait_s: float) -> list[int]:
    """Processes to attach to, by `pids` or by `name`; raises NoProcess if none appear in time."""
    until = time.monotonic() + wait_s
    while True:
        try:
            if pids:
                return _by_number(pids)
            return _by_name(name or "")
        except NoProcess:
            if time.monotonic() >= until:
                raise
        time.sleep(LOOK_S)


def _by_name(name: str) -> list[int]:
    pids = find(name)
    if not pids:
        raise NoProcess(f"no process is named '{name}'")
    return pids


def _by_number(pids: list[int]) -> list[int]:
    """These processes, parents before their children; NoProcess if one is missing."""
    starts = []
    for pid in set(pids):
        try:
            stat = linux.read_stat(pid)
        except PermissionError as error:
            why = f"process {pid} may not be looked at ({error.strerror}: hidepid)"
            raise NoProcess(why) from None
        if stat is None:
            raise NoProcess(f"no process with the id {pid}")
        starts.append((stat.start, pid))
    return [pid for _, pid in sorted(starts)]


class Attach:
    """One measurement of running processes and what they start."""

    def __init__(
        self,
        settings: Settings,
        roots: list[int],
        duration_s: float,
        show: Callable[[Row], None] | None,
    ) -> None:
        """Create the files; raises OSError. `show` prints a row; None: rows are not printed."""
        self.roots = roots
        self._duration_s = duration_s
        self._show = show
        # Why rows could not be printed; that their reader has gone is no fault.
        self.unprinted: str | None = None
        self._recording = Recording(settings, "attach")
        self._recording.about["not_seen"] = BLIND
        # A signal that the caller ignores (nohup) would come all the same once it is waited for.
        self._stops = {
            number for number in _STOPS if signal.getsignal(number) is not signal.SIG_IGN
        }

    def run(self) -> AttachSummary:
        """Measure to the end; raises OSError if the files are not complete.

        Raises NoSuchCard, before anything is measured, if the card that alone counts does not
        exist.
        """
        signal.pthread_sigmask(signal.SIG_BLOCK, self._stops)
        tree = Tree(self.roots, frozenset({os.getpid()}), members=True)
        tree.newest_pid_tells = _newest_pid_tells(tree)
        recording = self._recording
        recording.say_how(hurry(), None)
        self._wait_for_card()
        started_ns = time.time_ns()
        recording.start(tree, None, time.monotonic_ns())
        gc.freeze()  # what exists now stays, so a garbage collection need not look at it again
        ended = self._sample(tree)
        last = recording.last_row(time.monotonic_ns())
        if last:
            self._print(last)
        recording.stop()
        sampler = recording.sampler
        summary = AttachSummary(
            pids=self.roots,
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
            not_seen=[BLIND] + recording.not_seen(),
        )
        recording.close(summary._asdict())
        return summary

    def _wait_for_card(self) -> None:
        """Wait until it is known whether the card of `--gpu` exists, or a signal ends this."""
        if self._recording.settings.card is None:
            return
        self._recording.open_gpu()
        while self._recording.awaits_gpu() and not signal.sigpending() & self._stops:
            time.sleep(LOOK_S)

    def _print(self, cells: list[Cell]) -> bool:
        """Print a row, if that is wanted; False if the output cannot be written any more."""
        if self._show is None:
            return True
        try:
            self._show(dict(zip(COLUMNS, cells, strict=True)))
        except BrokenPipeError:
            return False
        except OSError as error:
            self.unprinted = error.strerror
            return False
        return True

    def _sample(self, tree: Tree) -> str:
        """Take rows until something ends the measurement; returns `ended` of the summary."""
        recording = self._recording
        now_ns = time.monotonic_ns()
        until_ns = now_ns + self._duration_s * 1e9
        while now_ns < until_ns:
            cells = recording.row_if_due(now_ns)
            if cells:
                if not self._print(cells):
                    return "unread"
                if tree.take_change():
                    recording.tree_changed()
            if recording.sampler.processes == 0:
                return "exited"
            deadline_ns = recording.slots.deadline_ns()
            wake_ns = recording.alarm.set_for(deadline_ns)
            left_ns = max(0, min(wake_ns, until_ns) - time.monotonic_ns())
            if signal.sigtimedwait(self._stops, left_ns / 1e9):
                return "signal"
            now_ns = time.monotonic_ns()
            if wake_ns < until_ns:
                now_ns = recording.alarm.woke(deadline_ns)
        return "duration"


def _newest_pid_tells(tree: Tree) -> bool:
    """Whether the newest pid moves when a process is made here: not across PID namespaces."""
    before = tree.newest_pid()
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    return tree.newest_pid() != before
