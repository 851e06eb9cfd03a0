"""One measurement's rows, marks and header: what launch and attach mode share."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
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
    Column,
    Missing,
)
from evenground.sidecar.gpu import Gpu, load_nvml
from evenground.sidecar.linux import MEMORY_BYTES
from evenground.sidecar.machine import reason
from evenground.sidecar.marks import Marks
from evenground.sidecar.output import (
    ABOUT_A_SECOND_NS,
    Cell,
    SampleFile,
    temporary,
    write_json,
)
from evenground.sidecar.pss import Pss
from evenground.sidecar.sampler import Sampler
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
    """Options that both modes share; docs/sidecar.md explains each."""

    samples: Path
    header: Path
    rate_hz: float
    gpu: bool
    pss: bool
    mark_file: Path | None
    mapped: Path | None
    card: str | None
    """UUID of the card or MIG instance that alone counts; None: all cards."""
    gpu_wait_s: float
    """How long to wait for the first answer of the NVIDIA driver before anything is measured."""

    def further(self, what: str) -> Path:
        """A further file of this measurement: samples.csv -> samples.WHAT.csv."""
        return self.samples.with_suffix(f".{what}{self.samples.suffix}")

    def fault(self) -> str | None:
        """Why these names cannot be; None if each file has one use, by whatever name or link."""
        paths = [self.samples, self.header, temporary(self.header), self.mark_file]
        paths += [self.further(what) for what in ("cards", "util", "marks")]
        if self.mapped:
            paths += [self.mapped, temporary(self.mapped)]
        real = [os.path.realpath(path) for path in paths if path]
        for path in real:
            if real.count(path) > 1:
                return f"two of the files are the same file, {path}: give one of them another name"
        return None


class Recording:
    """Opens the files, then takes a row at each deadline, then completes the header."""

    def __init__(self, settings: Settings, mode: str) -> None:
        """Create all output files; raises OSError if that fails."""
        self.settings = settings
        self.missing = Missing()
        # Entries of the header apart from columns and summary: scheduling, cpu_source ...
        self.about: dict[str, Any] = {"mode": mode, "gpu_baseline": None}
        # `lacks` of the header: what this user or this machine does not permit.
        self._restrictions: list[str] = []
        self._unseen: list[str] = []
        self._lost: dict[str, int] = {}
        self._period_ns = round(1e9 / settings.rate_hz)
        self.alarm = Alarm(self._period_ns)
        self._cpu: CpuAccount | None = None
        self._zero_ns: int | None = None
        self._turns = 0
        self._polled_ns = 0  # the first row is written at once
        self._gpu = self._new_gpu()
        self._pss = self._new_pss()
        self._mapped = self._new_mapped()
        self._file = SampleFile(settings.samples, COLUMNS)
        self._cards: SampleFile | None = None
        self._util: SampleFile | None = None
        if self._gpu:
            self._cards = SampleFile(settings.further("cards"), CARD_COLUMNS)
            self._util = SampleFile(settings.further("util"), UTIL_SAMPLE_COLUMNS)
        if self._mapped and settings.mapped:
            write_json(settings.mapped, self._mapped.unfinished())
        self._marks: Marks | None = None
        self.write_header(None)
        if settings.mark_file:
            self._marks = Marks(settings.mark_file, settings.further("marks"))

    def _new_gpu(self) -> Gpu | None:
        nvml = load_nvml() if self.settings.gpu else NO_GPU
        if isinstance(nvml, str):
            self._expect(GPU_COLUMNS, nvml)
            return None
        watched = self.about["mode"] == RUN and self.settings.gpu_wait_s > 0
        return Gpu(nvml, self._period_ns, uuid=self.settings.card, baseline=watched)

    def _new_pss(self) -> Pss | None:
        if self.settings.pss:
            return Pss()
        self._expect(["pss_bytes"], NO_PSS)
        return None

    def _new_mapped(self) -> Mapped | None:
        if not self.settings.mapped:
            return None
        # Imported here: a training without it need not pay for the import.
        from evenground.sidecar.mapped import Mapped

        return Mapped(self._period_ns)

    def _expect(self, columns: Sequence[str], why: str) -> None:
        for column in columns:
            self.missing.expect(column, why)

    def start(
        self, tree: Tree, leaf: Leaf | None, launched_mono_ns: int, before_leaf_ns: int = 0
    ) -> None:
        """Slot 0 is now; threads begin here (except the GPU's), after everything was forked."""
        self._tree = tree
        self._cpu = CpuAccount(tree, leaf, before_leaf_ns)
        self._zero_ns = time.monotonic_ns()
        self.slots = Slots(self._zero_ns, self.settings.rate_hz)
        self._start_threads(self._zero_ns)
        self.sampler = Sampler(
            tree=tree,
            cpu=self._cpu,
            pss=self._pss,
            gpu=self._gpu,
            missing=self.missing,
            launched_mono_ns=launched_mono_ns,
        )

    def open_gpu(self) -> None:
        """Begin to read the GPU before anything is measured; call after everything was forked."""
        if self._gpu:
            self._start_gpu(self._gpu.open)

    def awaits_gpu(self) -> bool:
        """Whether to wait for the GPU; raises NoSuchCard if the card that counts does not exist."""
        if self._gpu is None:
            return False
        if self._gpu.refused:
            raise self._gpu.refused
        return self._gpu.is_awaited(self.settings.gpu_wait_s)

    def end_gpu_baseline(self) -> None:
        """Note the GPU's baseline as it is now, for the command is about to be started."""
        if self._gpu and self.settings.gpu_wait_s:
            self.about["gpu_baseline"] = self._gpu.baseline()

    def _start_gpu(self, start: Callable[[], None]) -> None:
        why = _start(start)
        if why:
            self._gpu = None
            self._never_seen(GPU_COLUMNS, why)

    def _start_threads(self, zero_ns: int) -> None:
        """Start them; a thread that cannot be started costs its values, not the measurement."""
        if self._gpu:
            self._start_gpu(partial(self._gpu.start, zero_ns))
        if self._pss:
            why = _start(self._pss.start)
            if why:
                self._pss = None
                self._never_seen(["pss_bytes"], why)
        if self._mapped:
            why = _start(partial(self._mapped.start, zero_ns))
            if why:
                self._mapped.trouble.append(f"no thread to read them: {why}")

    def _never_seen(self, columns: Sequence[str], error: str) -> None:
        why = f"no thread to read it: {error}"
        self._expect(columns, why)
        self._unseen.append(f"{', '.join(columns)}: {why}")

    def say_how(self, scheduling: str, no_cgroup: str | None) -> None:
        """Record how rows are timed and CPU is counted, and print once what is not permitted here.

        `no_cgroup` is why the command has no cgroup; None if it has one, and in attach mode.
        """
        self.about["scheduling"] = scheduling
        self.about["no_cgroup"] = no_cgroup
        if scheduling != "fifo":
            self._restrictions.append(
                "rows may be late on a loaded machine "
                f"(no SCHED_FIFO for this user, {scheduling} instead)"
            )
        if no_cgroup and no_cgroup != NO_CGROUP:
            self._restrictions.append(
                f"CPU is added up from the processes (no cgroup of its own: {no_cgroup})"
            )
        if self._restrictions:
            say(f"note: {'; '.join(self._restrictions)}")

    def row_if_due(self, now_ns: int) -> list[Cell] | None:
        """Take a row if its deadline has come; None if it has not, or the row was lost."""
        skipped = self.slots.serve(now_ns)
        if skipped is None:
            return None
        return self._row(now_ns, skipped)

    def last_row(self, now_ns: int) -> list[Cell] | None:
        """Take a row apart from the deadlines, when everything has ended."""
        return self._row(now_ns, self.slots.serve(now_ns) or 0)

    def _row(self, now_ns: int, skipped: int) -> list[Cell] | None:
        try:
            cells = self.sampler.take(now_ns, skipped)
            self._file.waiting.append(cells)
            if self._pss:
                self._pss.row_done(now_ns)
            if self._mapped:
                self._mapped.row_done(now_ns)
            if now_ns - self._polled_ns >= ABOUT_A_SECOND_NS:
                self._polled_ns = now_ns
                self._once_a_second()
        except Exception as error:
            # No memory, a fault of this program: the command must not notice.
            why = f"{type(error).__name__}: {reason(error)}"
            self._lost[why] = self._lost.get(why, 0) + 1
            return None
        return cells

    def _check_account(self) -> None:
        """Before rows are written: empty their CPU if some of the tree's was used elsewhere."""
        rows = self._file.waiting
        if not self._cpu or not rows:
            return
        try:
            cpu_ns = self._cpu.check()
        except (OSError, ValueError):
            return  # each row meets the same trouble, and notes it
        if cpu_ns is None:
            return
        # The clocks were read right after the newest row.
        rows[-1][CPU_CELL] = cpu_ns / 1e9
        for cells in rows[:-1]:
            cells[CPU_CELL] = None
            self.missing.note("cpu_s", LEFT)

    def not_seen(self) -> list[str]:
        """Describe what was not measured as it should be."""
        texts = self._unseen.copy()
        for why, count in self._lost.items():
            texts.append(f"{count} rows could not be taken: {why}")
        left = self.left_cgroup()
        if left:
            texts.append(left)
        return texts + self.sampler.not_seen()

    def left_cgroup(self) -> str | None:
        """Why the cgroup's account is not the whole tree's; None if it is, or without a cgroup."""
        if self._cpu and self._cpu.left:
            return f"CPU is not the cgroup's alone: {self._cpu.left}"
        return None

    def tree_changed(self) -> None:
        """Pass the processes of the tree to the threads that read PSS and maps."""
        keys = self._tree.keys()
        if self._pss:
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
        if self._marks:
            self._marks.poll()
        if self._gpu and self._cards and self._util:
            self._cards.waiting += self._gpu.take_card_rows()
            self._util.waiting += self._gpu.take_util_samples()
            with contextlib.suppress(OSError):
                self._cards.flush()
                self._util.flush()

    def stop(self) -> None:
        """Stop the threads of the driver, of PSS and of maps, and take what they still have."""
        if self._gpu:
            self._gpu.stop()
        if self._pss:
            self._pss.stop()
        if self._mapped:
            self._mapped.stop()
            if self._tree.hid:
                self._mapped.trouble.append(HIDDEN)
        self._once_a_second()

    def close(self, summary: dict[str, Any]) -> None:
        """Close the files and complete the header; call when nothing more can be marked.

        Raises OSError if they are not complete.
        """
        for file in (self._marks, self._file, self._cards, self._util):
            if file:
                file.close()
        if self._mapped and self.settings.mapped:
            write_json(self.settings.mapped, self._mapped.content())
        self.write_header(summary)

    def write_header(self, summary: dict[str, Any] | None) -> None:
        """Write samples.json as of now; raises OSError."""
        cards = []
        card = None
        marks = self._marks.count if self._marks else None
        if self._gpu:
            cards = self._gpu.cards
            card = self._gpu.card
        content = {
            "schema": 2,
            "columns": _described(COLUMNS),
            "card_columns": _described(CARD_COLUMNS),
            "util_sample_columns": _described(UTIL_SAMPLE_COLUMNS),
            "missing": self.missing.reasons(),
            "rate_hz": self.settings.rate_hz,
            "slot_zero_mono_ns": self._zero_ns,
            "gpus": cards,
            "summary": summary,
            "gpu_card": card,
            "machine": {"cores": os.cpu_count(), "memory_bytes": MEMORY_BYTES},
            "marks": marks,
            "lacks": self._restrictions,
        }
        content |= self.about
        if self._cpu:
            content["cpu_source"] = self._cpu.source
        write_json(self.settings.header, content)


def _described(columns: Mapping[str, Column]) -> dict[str, Any]:
    return {name: column._asdict() for name, column in columns.items()}


def say(text: str) -> None:
    """Print one line on standard error; a failure to do so is ignored."""
    # Without a stream Python would print to standard output.
    if sys.stderr:
        with contextlib.suppress(OSError, ValueError):
            print(f"sidecar: {text}", file=sys.stderr, flush=True)


def printable(name: object) -> str:
    """The name of a file or of a command as text, whatever bytes it holds."""
    return os.fsencode(str(name)).decode("utf-8", "backslashreplace")


def _start(start: Callable[[], None]) -> str | None:
    """Start a thread; the reason if this user may not have one more, else None."""
    try:
        start()
    except (RuntimeError, OSError, MemoryError) as error:
        return str(error)
    return None
