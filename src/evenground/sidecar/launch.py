"""Launch mode: one command from its start to its end, with a row at every deadline."""

from __future__ import annotations

import contextlib
import math
import os
import signal
import time
from pathlib import Path
from typing import NamedTuple

from evenground.sidecar import linux
from evenground.sidecar.columns import GPU_COLUMNS, Missing
from evenground.sidecar.ending import Ending, end_survivors
from evenground.sidecar.gpu import Gpu, load_nvml
from evenground.sidecar.guardian import Guardian
from evenground.sidecar.output import SampleFile, header, write_json
from evenground.sidecar.process import Command, Surroundings, send
from evenground.sidecar.sampler import Sampler
from evenground.sidecar.summary import NOT_EXECUTABLE, NOT_FOUND, Summary
from evenground.sidecar.timing import Slots
from evenground.sidecar.tree import Tree

NO_GPU = "switched off with --no-gpu"


class Options(NamedTuple):
    """What `run` is asked to do; docs/sidecar.md explains each."""

    command: list[str]
    samples: Path
    header: Path
    rate_hz: float = 10.0
    time_limit_s: float | None = None
    grace_s: float = 5.0
    gpu: bool = True
    end_with_parent: bool = False


class Launch:
    """One measured command. Needs a process of its own: it becomes subreaper and waits for any child."""

    def __init__(self, options: Options) -> None:
        """Create both output files; OSError when that is impossible, and nothing was started then."""
        self._options = options
        self._parent = os.getppid()
        self._missing = Missing()
        self._gpu = self._find_gpu()
        self._zero_ns: int | None = None
        self._file = SampleFile(options.samples)
        self._write_header(None)

    def run(self) -> Summary:
        """Run the command to its end and write everything; OSError when the files are not complete."""
        surroundings = Surroundings()
        guardian = Guardian()
        tree = Tree(os.getpid(), frozenset({guardian.pid}))
        try:
            summary = self._measure(surroundings, guardian, tree)
        finally:
            # Nothing is left here unless the measuring itself failed: then the command must not go on.
            send(tree.pids(), signal.SIGKILL)
            guardian_cpu_ns = guardian.dismiss()
        own_cpu_s = (time.process_time_ns() + guardian_cpu_ns) / 1e9
        return self._finish(summary._replace(sidecar_cpu_s=own_cpu_s))

    def _find_gpu(self) -> Gpu | str:
        nvml = load_nvml() if self._options.gpu else NO_GPU
        if not isinstance(nvml, str):
            return Gpu(nvml, Slots(0, self._options.rate_hz).period_ns)
        for column in GPU_COLUMNS:
            self._missing.expect(column, nvml)
        return nvml

    def _measure(self, surroundings: Surroundings, guardian: Guardian, tree: Tree) -> Summary:
        own_ns, children_ns, newest = time.process_time_ns(), linux.children_cpu_ns(), tree.newest_pid()
        launched_unix_ns, launched_mono_ns = time.time_ns(), time.monotonic_ns()
        try:
            command = Command(self._options.command, surroundings)
        except OSError as error:
            return not_started(self._options.command[0], error, launched_unix_ns)
        tree.newest_pid_tells = tree.newest_pid() != newest
        linux.prctl(linux.PR_SET_TIMERSLACK, 1)
        sampler = Sampler(tree, self._gpu, self._missing, launched_mono_ns)
        timed_out = self._sample(command, sampler, guardian, tree)
        assert command.exit is not None
        own_ns = time.process_time_ns() - own_ns
        survivors = end_survivors(tree, command, self._options.grace_s)
        return Summary(
            launched_unix_ns=launched_unix_ns,
            exited_unix_ns=command.exit.unix_ns,
            exit_code=command.exit.code,
            signal=command.exit.signal,
            timed_out=timed_out,
            rows=sampler.rows,
            missed_slots=sampler.missed_slots,
            cpu_s=(linux.children_cpu_ns() - children_ns) / 1e9,
            max_rss_bytes=sampler.max_rss_bytes,
            peak_process_rss_bytes=linux.children_peak_bytes(),
            survivors=survivors,
            empty_cells=dict(self._missing.cells),
            sidecar_sampling_cpu_s=own_ns / 1e9,
        )

    def _sample(self, command: Command, sampler: Sampler, guardian: Guardian, tree: Tree) -> bool:
        """Rows from now to the command's end; the last follows it and holds its exact CPU.

        Returns whether the time limit was hit.
        """
        zero_ns = self._zero_ns = time.monotonic_ns()
        slots = Slots(zero_ns, self._options.rate_hz)
        ending = Ending(tree, zero_ns + (self._options.time_limit_s or math.inf) * 1e9, self._options.grace_s)
        if isinstance(self._gpu, Gpu):
            self._gpu.start(zero_ns)
        now_ns = zero_ns
        while command.exit is None:
            skipped = slots.serve(now_ns)
            if skipped is not None:
                self._row(sampler, skipped)
                if tree.take_change():
                    guardian.know(command.pid, [process.key for process in tree.known.values()])
            command.wait_until(min(slots.deadline_ns(), ending.next_ns()))
            now_ns = time.monotonic_ns()
            if self._options.end_with_parent and os.getppid() != self._parent:
                ending.begin(now_ns)
            ending.check(now_ns)
        self._row(sampler, slots.serve(now_ns) or 0)
        if isinstance(self._gpu, Gpu):
            self._gpu.stop()
        return ending.timed_out

    def _row(self, sampler: Sampler, skipped: int) -> None:
        cells = sampler.take(skipped)
        # While the disk is full rows wait in memory; closing the file reports those that never fit.
        with contextlib.suppress(OSError):
            self._file.add(cells, time.monotonic_ns())

    def _finish(self, summary: Summary) -> Summary:
        self._file.close()
        self._write_header(summary)
        return summary

    def _write_header(self, summary: Summary | None) -> None:
        cards = self._gpu.cards if isinstance(self._gpu, Gpu) else []
        content = header(self._options.rate_hz, self._missing, self._zero_ns, cards)
        write_json(self._options.header, content | {"summary": summary and summary.as_json()})


def not_started(name: str, error: OSError, unix_ns: int) -> Summary:
    """The summary of a command that never ran: 127 when it was not found, else 126, as a shell says."""
    found = not isinstance(error, FileNotFoundError)
    return Summary(
        launched_unix_ns=unix_ns,
        exited_unix_ns=unix_ns,
        exit_code=NOT_EXECUTABLE if found else NOT_FOUND,
        not_started=f"{name}: {os.strerror(error.errno or 0)}" if found else f"{name}: command not found",
    )
