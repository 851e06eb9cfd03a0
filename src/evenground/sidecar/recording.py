"""One measurement's rows, marks and header: what launch and attach mode share."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from evenground.sidecar.account import LEFT, CpuAccount
from evenground.sidecar.cgroup import Leaf
from evenground.sidecar.columns import (
    CARD_COLUMNS,
    COLUMNS,
    GPU_COLUMNS,
    UTIL_SAMPLE_COLUMNS,
    Missing,
)
from evenground.sidecar.gpu import Gpu, load_nvml
from evenground.sidecar.machine import reason
from evenground.sidecar.marks import MarkFifo, MarkFile, Marks
from evenground.sidecar.output import (
    ABOUT_A_SECOND_NS,
    Cell,
    SampleFile,
    being_written,
    header,
    write_json,
)
from evenground.sidecar.pss import Pss
from evenground.sidecar.sampler import Sampler, Sources
from evenground.sidecar.timing import Alarm, Slots
from evenground.sidecar.tree import HIDDEN, Tree

if TYPE_CHECKING:
    from evenground.sidecar.mapped import Mapped

RUN = "run"
NO_GPU = "switched off with --no-gpu"
NO_PSS = "switched off with --no-pss"
NO_CGROUP = "switched off with --no-cgroup"
CPU_CELL = list(COLUMNS).index("cpu_s")


class Settings(NamedTuple):
    """What both modes can be asked to do; docs/sidecar.md explains each."""

    samples: Path
    header: Path
    rate_hz: float = 10.0
    gpu: bool = True
    pss: bool = True
    mark_fifo: Path | None = None
    mark_file: Path | None = None
    mapped: Path | None = None
    card: str | None = None
    """UUID of the card or MIG instance that alone counts; None: all cards."""
    gpu_wait_s: float = 0.0
    """How long to wait for the first answer of the NVIDIA driver before anything is measured."""

    def beside(self, what: str) -> Path:
        """A further file of this measurement: samples.csv -> samples.WHAT.csv."""
        return self.samples.with_suffix(f".{what}{self.samples.suffix}")

    def files(self) -> dict[str, Path | None]:
        """Every file that is written, or read meanwhile, by what it is."""
        return {
            "--samples": self.samples,
            "--header": self.header,
            "the header while it is written": being_written(self.header),
            "the cards' rows": self.beside("cards"),
            "the driver's samples": self.beside("util"),
            "the marks' rows": self.beside("marks"),
            "--mark-fifo": self.mark_fifo,
            "--mark-file": self.mark_file,
            "--mapped": self.mapped,
            "the file of --mapped while it is written": being_written(self.mapped)
            if self.mapped
            else None,
        }

    def fault(self) -> str | None:
        """Why these names cannot be; None when they can. A file has one meaning, by whatever name or link."""
        seen: dict[str, str] = {}
        for what, path in self.files().items():
            if path is None:
                continue
            real = os.path.realpath(path)
            if real in seen:
                return f"{seen[real]} and {what} are the same file: give one of them another name"
            seen[real] = what
        return None


class Recording:
    """Opens the files, then a row at each deadline, then the header with its summary."""

    def __init__(self, settings: Settings, mode: str) -> None:
        """Create all output files; OSError when that is impossible."""
        self.settings = settings
        self.missing = Missing()
        self.about: dict[str, Any] = {"mode": mode, "gpu_baseline": None}
        """What the header says beside columns and summary: scheduling, cpu_source ..."""
        self._marks: Marks | None = None
        self._fifo: MarkFifo | None = None
        self._mark_file: MarkFile | None = None
        self.alarm = Alarm(Slots(0, settings.rate_hz).period_ns)
        self._gpu = self._find_gpu()
        self._pss: Pss | str = Pss() if settings.pss else NO_PSS
        if isinstance(self._pss, str):
            self.missing.expect("pss_bytes", self._pss)
        self._mapped = self._new_mapped()
        self.lacks: list[str] = []
        self._unseen: list[str] = []
        self._lost: dict[str, int] = {}
        self._cpu: CpuAccount | None = None
        self._zero_ns: int | None = None
        self._turns = 0
        self._file = SampleFile(settings.samples, COLUMNS)
        self._cards = self._util = None
        if isinstance(self._gpu, Gpu):
            self._cards = SampleFile(settings.beside("cards"), CARD_COLUMNS)
            self._util = SampleFile(settings.beside("util"), UTIL_SAMPLE_COLUMNS)
        if self._mapped and settings.mapped:
            write_json(settings.mapped, self._mapped.unfinished())
        self.write_header(None)
        self._open_marks()

    def _open_marks(self) -> None:
        given = self.settings
        if given.mark_fifo or given.mark_file:
            self._marks = Marks(given.beside("marks"))
        if given.mark_file and self._marks:
            self._mark_file = MarkFile(given.mark_file, self._marks)
        if given.mark_fifo and self._marks:
            self._fifo = MarkFifo(given.mark_fifo, self._marks)

    def _new_mapped(self) -> Mapped | None:
        if not self.settings.mapped:
            return None
        # Imported here: who does not want it need not pay for it beside every training.
        from evenground.sidecar.mapped import Mapped

        return Mapped(Slots(0, self.settings.rate_hz).period_ns)

    def _find_gpu(self) -> Gpu | str:
        nvml = load_nvml() if self.settings.gpu else NO_GPU
        if not isinstance(nvml, str):
            given = self.settings
            period_ns = Slots(0, given.rate_hz).period_ns
            watched = self.about["mode"] == RUN and given.gpu_wait_s > 0
            return Gpu(nvml, period_ns, given.card, watched)
        for column in GPU_COLUMNS:
            self.missing.expect(column, nvml)
        return nvml

    def start(
        self, tree: Tree, leaf: Leaf | None, launched_mono_ns: int, before_leaf_ns: int = 0
    ) -> None:
        """Slot 0 is now; threads begin here, but that of the GPU, after everything was forked."""
        self._tree = tree
        self._cpu = CpuAccount(tree, leaf, before_leaf_ns)
        self._zero_ns = time.monotonic_ns()
        self._slots = Slots(self._zero_ns, self.settings.rate_hz)
        self._polled_ns = 0  # the first row is written at once
        self._start_threads(self._zero_ns)
        self.sampler = Sampler(
            Sources(tree, self._cpu, self._pss, self._gpu), self.missing, launched_mono_ns
        )

    def open_gpu(self) -> None:
        """Begin to read the GPU before anything is measured; call after everything was forked."""
        if isinstance(self._gpu, Gpu) and (why := _refused(self._gpu.open)):
            self._no_thread_for_gpu(why)

    def awaits_gpu(self) -> bool:
        """Whether the start should wait for the GPU; NoSuchCard where the card that counts is not there."""
        if not isinstance(self._gpu, Gpu):
            return False
        if self._gpu.refused:
            raise self._gpu.refused
        return self._gpu.is_awaited(self.settings.gpu_wait_s)

    def end_gpu_baseline(self) -> None:
        """The command is about to be started: what is known of the GPU by now stands."""
        if isinstance(self._gpu, Gpu) and self.settings.gpu_wait_s:
            self.about["gpu_baseline"] = self._gpu.baseline()

    def _no_thread_for_gpu(self, why: str) -> None:
        self._gpu = f"no thread to read it: {why}"
        self._never_seen(GPU_COLUMNS, self._gpu)

    def _start_threads(self, zero_ns: int) -> None:
        """A thread that cannot be had costs its values, not the measurement."""
        if isinstance(self._gpu, Gpu) and (why := _refused(partial(self._gpu.start, zero_ns))):
            self._no_thread_for_gpu(why)
        if isinstance(self._pss, Pss) and (why := _refused(self._pss.start)):
            self._pss = f"no thread to read it: {why}"
            self._never_seen(("pss_bytes",), self._pss)
        if self._fifo and (why := _refused(self._fifo.start)):
            self.lack(f"marks are read once a second (no thread for them: {why})")
        if self._mapped and (why := _refused(partial(self._mapped.start, zero_ns))):
            self._mapped.trouble.append(f"no thread to read them: {why}")

    def _never_seen(self, columns: Sequence[str], why: str) -> None:
        for column in columns:
            self.missing.expect(column, why)
        self._unseen.append(f"{', '.join(columns)}: {why}")

    def lack(self, what: str) -> None:
        """Say in the header what this user, or this machine, does not let the sidecar do."""
        self.lacks.append(what)

    def say_how(self, scheduling: str, leaf: Leaf | str | None) -> None:
        """Record how rows are timed and CPU is counted, and tell the user once what is not permitted here.

        `leaf` is the reason where there is none, None in attach mode, which makes none.
        """
        self.about["scheduling"] = scheduling
        self.about["no_cgroup"] = leaf if isinstance(leaf, str) else None
        if scheduling != "fifo":
            self.lack(
                f"rows may be late on a loaded machine (no SCHED_FIFO for this user, {scheduling} instead)"
            )
        if isinstance(leaf, str) and leaf != NO_CGROUP:
            self.lack(f"CPU is added up from the processes (no cgroup of its own: {leaf})")
        if self.lacks:
            say(f"note: {'; '.join(self.lacks)}")

    def deadline_ns(self) -> int:
        """When the next row is due."""
        return self._slots.deadline_ns()

    def row_if_due(self, now_ns: int) -> list[Cell] | None:
        """Take a row when its deadline has come; its cells, or None, too where it could not be taken."""
        skipped = self._slots.serve(now_ns)
        return None if skipped is None else self._row(now_ns, skipped)

    def last_row(self, now_ns: int) -> list[Cell] | None:
        """A row that no deadline asked for: what was when everything had ended."""
        return self._row(now_ns, self._slots.serve(now_ns) or 0)

    def _row(self, now_ns: int, skipped: int) -> list[Cell] | None:
        try:
            cells = self.sampler.take(now_ns, skipped)
            self._file.add(cells)
            if isinstance(self._pss, Pss):
                self._pss.row_done(now_ns)
            if self._mapped:
                self._mapped.row_done(now_ns)
            if now_ns - self._polled_ns >= ABOUT_A_SECOND_NS:
                self._polled_ns = now_ns
                self._once_a_second()
        except Exception as error:
            # Whatever it is (no memory, a fault of this program): the command must not notice.
            self._lose_row(error)
            return None
        return cells

    def _check_account(self) -> None:
        """Before rows are written: whether the CPU in them is the whole tree's; the newest is made right."""
        rows = self._file.waiting()
        try:
            cpu_ns = self._cpu.check() if self._cpu and rows else None
        except (OSError, ValueError):
            return  # each row meets the same trouble, and says so
        if cpu_ns is None:
            return
        *wrong, newest = rows
        newest[CPU_CELL] = cpu_ns / 1e9
        for cells in wrong:
            cells[CPU_CELL] = None
            self.missing.note("cpu_s", LEFT)

    def _lose_row(self, error: Exception) -> None:
        why = f"{type(error).__name__}: {reason(error)}"
        self._lost[why] = self._lost.get(why, 0) + 1

    def not_seen(self) -> list[str]:
        """What was not measured as it should be, in words."""
        lost = [f"{count} rows could not be taken: {why}" for why, count in self._lost.items()]
        left = self.left_cgroup()
        return [*self._unseen, *lost, *([left] if left else []), *self.sampler.not_seen()]

    def left_cgroup(self) -> str | None:
        """Why the cgroup's account is not that of the whole tree; None where it is, or there is no cgroup."""
        left = self._cpu.left if self._cpu else None
        return f"CPU is not the cgroup's alone: {left}" if left else None

    def tree_changed(self) -> None:
        """Tell the threads that read PSS and maps which processes the tree has now."""
        keys = [process.key for process in self._tree.known.values()]
        if isinstance(self._pss, Pss):
            self._pss.know(keys)
        if self._mapped:
            self._mapped.know(keys)

    def _once_a_second(self) -> None:
        self._check_account()
        # While the disk is full rows wait in memory; closing the file reports those that never fit.
        with contextlib.suppress(OSError):
            self._file.flush()
        self._turns += 1
        if self._turns == 2:
            with contextlib.suppress(OSError):
                self.write_header(None)  # with what is known only since the start
        for marks in (self._mark_file, self._fifo):
            if marks:
                marks.poll()
        if isinstance(self._gpu, Gpu) and self._cards and self._util:
            with contextlib.suppress(OSError):
                self._cards.add_all(self._gpu.take_card_rows())
                self._util.add_all(self._gpu.take_util_samples())

    def stop(self) -> None:
        """Stop the threads of the driver, of PSS and of maps, and take what they still have."""
        if isinstance(self._gpu, Gpu):
            self._gpu.stop()
        if isinstance(self._pss, Pss):
            self._pss.stop()
        if self._mapped:
            self._mapped.stop()
            self._mapped.trouble += [HIDDEN] if self._tree.hid else []
        self._once_a_second()

    def made_fifo(self) -> Path | None:
        """The pipe for marks if the sidecar made it, so that it goes with it; else None."""
        return self._fifo.path if self._fifo and self._fifo.made else None

    def end_marks(self) -> None:
        """Take the last marks and remove the pipe: call when nothing is left that could write to it."""
        if self._fifo:
            self._fifo.stop()
        if self._mark_file:
            self._mark_file.stop()

    def close(self, summary: dict[str, Any]) -> None:
        """Close the files and complete the header; OSError when they are not complete."""
        for file in (self._marks, self._file, self._cards, self._util):
            if file:
                file.close()
        if self._mapped and self.settings.mapped:
            write_json(self.settings.mapped, self._mapped.content())
        self.write_header(summary)

    def write_header(self, summary: dict[str, Any] | None) -> None:
        """samples.json as it stands now."""
        cards = self._gpu.cards if isinstance(self._gpu, Gpu) else []
        card = self._gpu.card if isinstance(self._gpu, Gpu) else None
        content = header(self.settings.rate_hz, self.missing, self._zero_ns, cards)
        machine = {
            "cores": os.cpu_count(),
            "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        }
        marks = self._marks.count if self._marks else None
        about = {
            "gpu_card": card,
            "machine": machine,
            "marks": marks,
            "lacks": self.lacks,
            **self.about,
        }
        if self._cpu:
            about["cpu_source"] = self._cpu.source
        write_json(self.settings.header, content | about | {"summary": summary})


def say(text: str) -> None:
    """One line on standard error, if somebody listens: what is said must not end what it is about."""
    # Without a stream Python would print to standard output.
    if sys.stderr:
        with contextlib.suppress(OSError, ValueError):
            print(f"sidecar: {text}", file=sys.stderr, flush=True)


def printable(name: object) -> str:
    """The name of a file or of a command as text, whatever bytes it holds."""
    return os.fsencode(str(name)).decode("utf-8", "backslashreplace")


def _refused(start: Callable[[], None]) -> str | None:
    """Start a thread; why there is none for this user, None when it runs."""
    try:
        start()
    except (RuntimeError, OSError, MemoryError) as error:
        return str(error)
    return None
