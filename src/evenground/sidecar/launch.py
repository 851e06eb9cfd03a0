"""Launch mode: one command from its start to its end, with a row at every deadline."""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import time
from collections.abc import Collection
from typing import NamedTuple

from evenground.sidecar import linux
from evenground.sidecar.cgroup import Leaf, make_leaf
from evenground.sidecar.ending import Ending, end_survivors
from evenground.sidecar.gpu_reader import NoSuchCard
from evenground.sidecar.guardian import Guardian
from evenground.sidecar.process import Command, Surroundings, callers_environment, send
from evenground.sidecar.recording import NO_CGROUP, RUN, Recording, Settings, printable
from evenground.sidecar.summary import NOT_EXECUTABLE, NOT_FOUND, Summary
from evenground.sidecar.timing import both_clocks, hurry
from evenground.sidecar.tree import Tree

LOOK_S = 0.02


class Options(NamedTuple):
    """Options of `run`; docs/sidecar.md explains each."""

    command: list[str]
    settings: Settings
    time_limit_s: float
    grace_s: float
    end_with_parent: bool
    cgroup: bool
    cpus: frozenset[int] | None


class Launch:
    """One measured command, in a process of its own: it becomes subreaper and reaps any child."""

    def __init__(self, options: Options) -> None:
        """Create the output files; raises OSError if that fails, before anything is started."""
        self._options = options
        self._parent = os.getppid()
        self._recording = Recording(options.settings, RUN)
        self._surroundings = Surroundings()
        self._leaf: Leaf | None = None
        self._no_cgroup: str | None = NO_CGROUP
        self._guardian_cpu_s = 0.0

    def run(self) -> Summary:
        """Run the command to its end and write all files; raises OSError if they are not complete.

        Raises NoSuchCard if the GPU that alone counts does not exist; nothing was started then.
        """
        if self._options.cgroup:
            self._make_leaf()
        leaf = self._leaf
        try:
            summary = self._run_guarded()
        finally:
            if leaf:
                # Empty unless the measuring itself failed: then the command must not go on.
                leaf.kill()
                leaf.remove()
        summary = summary._replace(sidecar_cpu_s=self._guardian_cpu_s + time.process_time())
        self._recording.close(summary._asdict())
        return summary

    def _make_leaf(self) -> None:
        leaf = make_leaf()
        if isinstance(leaf, str):
            self._no_cgroup = leaf
        else:
            self._leaf = leaf
            self._no_cgroup = None

    def _run_guarded(self) -> Summary:
        self._guardian = Guardian(self._leaf)
        self._tree = Tree([os.getpid()], exclude=frozenset({self._guardian.pid}))
        try:
            return self._measure()
        finally:
            with contextlib.suppress(OSError):
                send(self._tree.pids(), signal.SIGKILL)
            self._guardian_cpu_s = self._guardian.dismiss() / 1e9

    def _measure(self) -> Summary:
        began_cpu_ns = time.process_time_ns()
        children_ns = linux.children_cpu_ns()
        newest = self._tree.newest_pid()
        name = printable(self._options.command[0])
        try:
            command = self._fork_command()
            self._tree.newest_pid_tells = self._tree.newest_pid() != newest
            number = self._wait_for_gpu(command)
            if number:
                why = f"ended by {signal.Signals(number).name} before the command was started"
                return never_started(why, number=number)
            command.launch()
        except FileNotFoundError:
            return never_started(f"{name}: command not found", exit_code=NOT_FOUND)
        except OSError as error:
            return never_started(f"{name}: {error.strerror or error}", exit_code=NOT_EXECUTABLE)
        if self._leaf and not command.launched.in_leaf:
            self._leaf = None
            self._no_cgroup = "the kernel does not let the command into it"
        self._recording.say_how(hurry(), self._no_cgroup)
        ending = self._sample(command)
        sampling_cpu_ns = time.process_time_ns() - began_cpu_ns
        summary = self._summary(command, ending)
        return summary._replace(
            cpu_s=(linux.children_cpu_ns() - children_ns) / 1e9,
            sidecar_sampling_cpu_s=sampling_cpu_ns / 1e9,
        )

    def _summary(self, command: Command, ending: Ending) -> Summary:
        """End what outlived the command, and sum up."""
        launched = command.launched
        exited = command.exit
        assert exited is not None
        survivors, left = end_survivors(self._tree, command, self._options.grace_s)
        sampler = self._recording.sampler
        unreached = out_of_reach(ending.forbidden, left)
        summary = Summary(
            launched_unix_ns=launched.unix_ns,
            launched_mono_ns=launched.mono_ns,
            exited_unix_ns=exited.at.unix_ns,
            exited_mono_ns=exited.at.mono_ns,
            exit_code=exited.code,
            signal=exited.signal,
            timed_out=ending.timed_out,
            rows=sampler.rows,
            missed_slots=sampler.missed_slots,
            max_rss_bytes=sampler.max_rss_bytes,
            max_pss_bytes=sampler.max_pss_bytes,
            peak_process_rss_bytes=linux.children_peak_bytes(),
            survivors=survivors,
            not_ended=len(left),
            not_seen=self._recording.not_seen() + unreached,
            empty_cells=sampler.empty_cells(),
        )
        # The account of a cgroup that the tree has left is incomplete.
        if self._leaf is None or self._recording.left_cgroup():
            return summary
        return summary._replace(
            cgroup_cpu_s=_cpu_s(self._leaf, launched.cpu_ns),
            cgroup_peak_bytes=self._leaf.peak_bytes(),
        )

    def _fork_command(self) -> Command:
        """The command before its launch; raises OSError if there is no room for another process."""
        options = self._options
        return Command(
            argv=options.command,
            surroundings=self._surroundings,
            leaf=self._leaf,
            env=callers_environment(),
            cpus=options.cpus,
        )

    def _wait_for_gpu(self, command: Command) -> int | None:
        """Let the GPU's baseline be measured before the command is started.

        Returns the signal that ends the sidecar meanwhile, or None. Raises NoSuchCard. In both
        cases the command is dropped.
        """
        number = None
        try:
            self._recording.open_gpu()
            while self._recording.awaits_gpu() and number is None:
                number = self._surroundings.ending_signal(LOOK_S)
                if self._is_orphaned():
                    number = signal.SIGTERM
        except NoSuchCard:
            command.drop()
            raise
        if number is None:
            self._recording.end_gpu_baseline()
        else:
            command.drop()
        return number

    def _is_orphaned(self) -> bool:
        """Whether the caller has died, and the command is to end with it."""
        return self._options.end_with_parent and os.getppid() != self._parent

    def _sample(self, command: Command) -> Ending:
        """Take rows from now to the command's end; the last follows it and holds its exact CPU.

        Returns the state of the time limit.
        """
        recording = self._recording
        tree = self._tree
        launched = command.launched
        recording.start(tree, self._leaf, launched.mono_ns, launched.cpu_ns)
        now_ns = time.monotonic_ns()
        limit_ns = now_ns + self._options.time_limit_s * 1e9
        ending = Ending(tree, command, limit_ns, self._options.grace_s)
        gc.freeze()  # what exists now stays, so a garbage collection need not look at it again
        while command.exit is None:
            if recording.row_if_due(now_ns) and tree.take_change():
                self._guardian.know(command.pid, tree.keys())
                recording.tree_changed()
            now_ns = self._sleep(command, ending)
            if self._is_orphaned():
                ending.begin(now_ns)
            ending.check(now_ns)
        recording.last_row(time.monotonic_ns())
        recording.stop()
        return ending

    def _sleep(self, command: Command, ending: Ending) -> int:
        """Sleep until a row or a step of an ending is due, or the command ends; the time then."""
        deadline_ns = self._recording.slots.deadline_ns()
        alarm = self._recording.alarm
        wake_ns = alarm.set_for(deadline_ns)
        if ending.next_ns() < wake_ns:
            command.wait_until(ending.next_ns())
        elif command.wait_until(wake_ns):
            return alarm.woke(deadline_ns)
        return time.monotonic_ns()


def _cpu_s(leaf: Leaf, before_ns: int) -> float | None:
    """The cgroup's total, and what the command used before; None if it cannot be read any more."""
    try:
        return (leaf.cpu_ns() + before_ns) / 1e9
    except (OSError, ValueError):
        return None


def out_of_reach(forbidden: Collection[int], left: Collection[int]) -> list[str]:
    """Describe processes that could not be signalled, or not be ended."""
    texts = []
    if forbidden:
        texts.append(f"processes of another user, which could not be signalled: {len(forbidden)}")
    if left:
        pids = ", ".join(map(str, sorted(left)))
        texts.append(f"processes that outlived the command and could not be ended: {pids}")
    return texts


def never_started(why: str, exit_code: int | None = None, number: int | None = None) -> Summary:
    """The summary of a command that never ran; `number` is the signal that prevented it."""
    now = both_clocks()
    return Summary(
        launched_unix_ns=now.unix_ns,
        launched_mono_ns=now.mono_ns,
        exited_unix_ns=now.unix_ns,
        exited_mono_ns=now.mono_ns,
        exit_code=exit_code,
        signal=number,
        not_started=why,
    )
