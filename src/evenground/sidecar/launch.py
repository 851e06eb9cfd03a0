"""Launch mode: one command from its start to its end, with a row at every deadline."""

from __future__ import annotations

import contextlib
import gc
import math
import os
import signal
import time
from collections.abc import Collection
from typing import NamedTuple

from evenground.sidecar import linux
from evenground.sidecar.cgroup import Leaf, make_leaf
from evenground.sidecar.ending import Ending, end_survivors
from evenground.sidecar.gpu_counted import NoSuchCard
from evenground.sidecar.guardian import Guardian
from evenground.sidecar.marks import VARIABLE
from evenground.sidecar.process import Command, Surroundings, callers_environment, send
from evenground.sidecar.recording import NO_CGROUP, RUN, Recording, Settings, printable
from evenground.sidecar.summary import NOT_EXECUTABLE, NOT_FOUND, Summary
from evenground.sidecar.timing import Clocks, both_clocks, hurry
from evenground.sidecar.tree import Tree

LOOK_S = 0.02


class Options(NamedTuple):
    """What `run` is asked to do; docs/sidecar.md explains each."""

    command: list[str]
    settings: Settings
    time_limit_s: float | None = None
    grace_s: float = 5.0
    end_with_parent: bool = False
    cgroup: bool = True
    cpus: frozenset[int] | None = None


class Launch:
    """One measured command. Needs a process of its own: it becomes subreaper and waits for any child."""

    def __init__(self, options: Options) -> None:
        """Create the output files; OSError when that is impossible, and nothing was started then."""
        self._options = options
        self._parent = os.getppid()
        self._recording = Recording(options.settings, RUN)
        self._no_cgroup: str | None = None

    def run(self) -> Summary:
        """Run the command to its end and write everything; OSError when the files are not complete."""
        surroundings = Surroundings()
        made = make_leaf() if self._options.cgroup else NO_CGROUP
        self._no_cgroup, leaf = (made, None) if isinstance(made, str) else (None, made)
        try:
            summary = self._run(surroundings, leaf)
        finally:
            if leaf:
                leaf.kill()  # empty unless the measuring itself failed: then the command must not go on
                leaf.remove()
            self._recording.end_marks()
        summary = summary._replace(sidecar_cpu_s=summary.sidecar_cpu_s + time.process_time())
        self._recording.close(summary.as_json())
        return summary

    def _run(self, surroundings: Surroundings, leaf: Leaf | None) -> Summary:
        guardian = Guardian(leaf, self._recording.made_fifo())
        if guardian.lacking:
            self._recording.lack(
                f"nobody ends the command when the sidecar is killed ({guardian.lacking})"
            )
        tree = Tree([os.getpid()], frozenset({guardian.pid} if guardian.pid else ()))
        try:
            summary = self._measure(surroundings, guardian, tree, leaf)
        finally:
            with contextlib.suppress(OSError):
                send(tree.pids(), signal.SIGKILL)
            guardian_cpu_ns = guardian.dismiss()
        return summary._replace(sidecar_cpu_s=summary.sidecar_cpu_s + guardian_cpu_ns / 1e9)

    def _measure(
        self, surroundings: Surroundings, guardian: Guardian, tree: Tree, leaf: Leaf | None
    ) -> Summary:
        own_ns, children_ns, newest = (
            time.process_time_ns(),
            linux.children_cpu_ns(),
            tree.newest_pid(),
        )
        try:
            command = self._held(surroundings, guardian, leaf)
            tree.newest_pid_tells = tree.newest_pid() != newest
            if ended := self._wait_for_gpu(command, surroundings):
                return ended_early(ended, both_clocks())
            command.launch()
        except OSError as error:
            return not_started(self._options.command[0], error, both_clocks())
        if leaf and not command.launched.in_leaf:
            self._no_cgroup, leaf = "the kernel does not let the command into it", None
        self._recording.say_how(hurry(), self._no_cgroup)
        ending = self._sample(command, guardian, tree, leaf)
        assert command.exit is not None
        own_ns = time.process_time_ns() - own_ns
        survivors = end_survivors(tree, command, self._options.grace_s)
        not_seen = self._recording.not_seen() + told(ending.forbidden, survivors.left)
        # What a cgroup knows that the tree has left is a part, which nobody asked for.
        if self._recording.left_cgroup():
            leaf = None
        sampler = self._recording.sampler
        return Summary(
            launched_unix_ns=command.launched.unix_ns,
            launched_mono_ns=command.launched.mono_ns,
            exited_unix_ns=command.exit.unix_ns,
            exited_mono_ns=command.exit.mono_ns,
            exit_code=command.exit.code,
            signal=command.exit.signal,
            timed_out=ending.timed_out,
            rows=sampler.rows,
            missed_slots=sampler.missed_slots,
            cpu_s=(linux.children_cpu_ns() - children_ns) / 1e9,
            cgroup_cpu_s=leaf_cpu_s(leaf, command.launched.cpu_ns),
            cgroup_peak_bytes=leaf.peak_bytes() if leaf else None,
            max_rss_bytes=sampler.max_rss_bytes,
            max_pss_bytes=sampler.max_pss_bytes,
            peak_process_rss_bytes=linux.children_peak_bytes(),
            survivors=survivors.told,
            not_ended=len(survivors.left),
            not_seen=tuple(not_seen),
            empty_cells=sampler.empty_cells(),
            sidecar_sampling_cpu_s=own_ns / 1e9,
        )

    def _held(self, surroundings: Surroundings, guardian: Guardian, leaf: Leaf | None) -> Command:
        """The command before its launch, in its caller's environment; OSError when there is no room."""
        env = callers_environment()
        if self._options.settings.mark_fifo:
            env[os.fsencode(VARIABLE)] = bytes(self._options.settings.mark_fifo.absolute())
        words, cpus = self._options.command, self._options.cpus
        try:
            return Command(words, surroundings, leaf, env, cpus)
        except BlockingIOError as error:
            # This user may have no further process: then the guardian's place is the command's.
            guardian.dismiss()
            command = Command(words, surroundings, leaf, env, cpus)
            self._recording.lack(
                f"nobody ends the command when the sidecar is killed ({error.strerror})"
            )
            return command

    def _wait_for_gpu(self, command: Command, surroundings: Surroundings) -> int | None:
        """Let the GPU's baseline be taken before the command is started.

        Returns the signal that ends the sidecar meanwhile; the command is dropped then, and so it is where
        NoSuchCard is raised.
        """
        ended = None
        try:
            self._recording.open_gpu()
            while self._recording.awaits_gpu() and ended is None:
                ended = surroundings.told_to_end(LOOK_S)
                if self._options.end_with_parent and os.getppid() != self._parent:
                    ended = signal.SIGTERM
        except NoSuchCard:
            command.drop()
            raise
        if ended is None:
            self._recording.end_gpu_baseline()
        else:
            command.drop()
        return ended

    def _sample(
        self, command: Command, guardian: Guardian, tree: Tree, leaf: Leaf | None
    ) -> Ending:
        """Rows from now to the command's end; the last follows it and holds its exact CPU.

        Returns what is known of a time limit that was hit.
        """
        recording, launched = self._recording, command.launched
        recording.start(tree, leaf, launched.mono_ns, launched.cpu_ns)
        now_ns = time.monotonic_ns()
        limit_ns = now_ns + (self._options.time_limit_s or math.inf) * 1e9
        ending = Ending(tree, command, limit_ns, self._options.grace_s)
        gc.freeze()  # what is there now stays: a collection need not look at it again
        while command.exit is None:
            if recording.row_if_due(now_ns) and tree.take_change():
                guardian.know(command.pid, [process.key for process in tree.known.values()])
                recording.tree_changed()
            now_ns = self._sleep(command, ending)
            if self._options.end_with_parent and os.getppid() != self._parent:
                ending.begin(now_ns)
            ending.check(now_ns)
        recording.last_row(time.monotonic_ns())
        recording.stop()
        return ending

    def _sleep(self, command: Command, ending: Ending) -> int:
        """Until the next row, the next step of an ending or the command's end; the time then."""
        deadline_ns, alarm = self._recording.deadline_ns(), self._recording.alarm
        wake_ns = alarm.set_for(deadline_ns)
        if ending.next_ns() < wake_ns:
            command.wait_until(ending.next_ns())
        elif command.wait_until(wake_ns):
            return alarm.woke(deadline_ns)
        return time.monotonic_ns()


def leaf_cpu_s(leaf: Leaf | None, before_ns: int) -> float | None:
    """The cgroup's total with what the command used before it was in; None where there is no account."""
    try:
        return (leaf.cpu_ns() + before_ns) / 1e9 if leaf else None
    except (OSError, ValueError):
        return None


def told(forbidden: Collection[int], left: Collection[int]) -> list[str]:
    """What to say of processes that could not be signalled, or ended, in words."""
    said = []
    if forbidden:
        said.append(f"processes of another user, which could not be signalled: {len(forbidden)}")
    if left:
        numbers = ", ".join(map(str, sorted(left)))
        said.append(f"processes that outlived the command and could not be ended: {numbers}")
    return said


def ended_early(number: int, now: Clocks) -> Summary:
    """The summary of a command that was still to be started when a signal ended the sidecar."""
    return Summary(
        launched_unix_ns=now.unix_ns,
        launched_mono_ns=now.mono_ns,
        exited_unix_ns=now.unix_ns,
        exited_mono_ns=now.mono_ns,
        signal=number,
        not_started=f"ended by {signal.Signals(number).name} before the command was started",
    )


def not_started(name: str, error: OSError, asked: Clocks) -> Summary:
    """The summary of a command that never ran: 127 when it was not found, else 126, as a shell says."""
    found = not isinstance(error, FileNotFoundError)
    name = printable(name)
    return Summary(
        launched_unix_ns=asked.unix_ns,
        launched_mono_ns=asked.mono_ns,
        exited_unix_ns=asked.unix_ns,
        exited_mono_ns=asked.mono_ns,
        exit_code=NOT_EXECUTABLE if found else NOT_FOUND,
        not_started=f"{name}: {error.strerror or error}" if found else f"{name}: command not found",
    )
