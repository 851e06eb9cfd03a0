"""Takes one row: all values of samples.csv at one moment."""

from __future__ import annotations

import time

from evenground.sidecar.account import UNREADABLE, CpuAccount
from evenground.sidecar.columns import COLUMNS, GPU_COLUMNS, Missing
from evenground.sidecar.gpu import Gpu
from evenground.sidecar.gpu_latest import ONCE
from evenground.sidecar.machine import Machine, reason
from evenground.sidecar.output import Cell
from evenground.sidecar.pss import Pss
from evenground.sidecar.timing import both_clocks
from evenground.sidecar.tree import HIDDEN, Tree, TreeUsage

TREE_COLUMNS = ("cpu_s", "rss_bytes", "processes")


class Sampler:
    """Reads the sources in turn; one that fails leaves empty cells and its reason in `missing`."""

    def __init__(
        self,
        tree: Tree,
        cpu: CpuAccount,
        pss: Pss | None,
        gpu: Gpu | None,
        missing: Missing,
        launched_mono_ns: int,
    ) -> None:
        """`missing` has why a source is None; the first interval begins at `launched_mono_ns`."""
        self._tree = tree
        self._cpu = cpu
        self._pss = pss
        self._gpu = gpu
        self._missing = missing
        self._machine = Machine(missing)
        self._last_ns = launched_mono_ns
        self._no_gpu: list[Cell] = [None] * len(GPU_COLUMNS)
        self.rows = 0
        self.missed_slots = 0
        self.max_rss_bytes: int | None = None
        self.max_pss_bytes: int | None = None
        self.cpu_s: float | None = None
        self.processes: int | None = None

    def take(self, mono_ns: int, missed_slots: int) -> list[Cell]:
        """Take one row in the order of COLUMNS, for the moment `mono_ns`, which is now."""
        now = both_clocks()
        unix_ns = now.unix_ns - (now.mono_ns - mono_ns)
        tree = self._read_tree(mono_ns)
        machine = self._machine.read(mono_ns)
        gpu = self._read_gpu(mono_ns)
        read_ns = time.monotonic_ns() - mono_ns
        cells: list[Cell] = [unix_ns, mono_ns, mono_ns - self._last_ns, read_ns, missed_slots]
        cells += tree
        cells += machine
        cells += gpu
        self._last_ns = mono_ns
        self.rows += 1
        self.missed_slots += missed_slots
        return cells

    def empty_cells(self) -> dict[str, int]:
        """Per column the rows in which a value was due and is missing."""
        cells = self._missing.cells
        if self._gpu is None:
            cells = cells | dict.fromkeys(GPU_COLUMNS, self.rows)
        return {column: cells[column] for column in COLUMNS if cells.get(column)}

    def not_seen(self) -> list[str]:
        """Describe columns, except the GPU's, that have rows without a value that was due."""
        reasons = self._missing.reasons()
        texts = []
        for column, count in self.empty_cells().items():
            if column not in GPU_COLUMNS:
                why = reasons.get(column, "unknown")
                texts.append(f"{column}: no value in {count} of {self.rows} rows: {why}")
        return texts

    def _read_tree(self, now_ns: int) -> list[Cell]:
        """cpu_s, rss_bytes, pss_bytes and processes."""
        pss = self._take_pss()
        try:
            usage = self._tree.read(now_ns)
        except (OSError, ValueError, LookupError) as error:
            for column in TREE_COLUMNS:
                self._missing.note(column, f"the process tree could not be read: {reason(error)}")
            return [None, None, pss, None]
        self.cpu_s = self._read_cpu_s(usage)
        self.processes = usage.processes + usage.hidden
        if usage.hidden:
            self._missing.note("rss_bytes", HIDDEN)
            self._missing.note("processes", HIDDEN)
            return [self.cpu_s, None, pss, None]
        if usage.processes:
            self.max_rss_bytes = max(self.max_rss_bytes or 0, usage.rss_bytes)
        return [self.cpu_s, usage.rss_bytes, pss, usage.processes]

    def _read_cpu_s(self, usage: TreeUsage) -> float | None:
        try:
            cpu_ns = self._cpu.cpu_ns(usage.cpu_ns)
        except (OSError, ValueError) as error:
            self._missing.note("cpu_s", f"{UNREADABLE}: {reason(error)}")
            return None
        # The clock of a hidden process is not in the sum of the clocks.
        if usage.hidden and usage.cpu_ns is not None:
            self._missing.note("cpu_s", HIDDEN)
            return None
        if cpu_ns is None:
            return None
        return cpu_ns / 1e9

    def _take_pss(self) -> int | None:
        if self._pss is None:
            return None
        value = self._pss.take()
        if isinstance(value, str):
            self._missing.note("pss_bytes", value)
            return None
        if value is not None:
            self.max_pss_bytes = max(self.max_pss_bytes or 0, value)
        return value

    def _read_gpu(self, now_ns: int) -> list[Cell]:
        gpu = self._gpu
        if gpu is None:
            return self._no_gpu
        known = self._tree.known
        if gpu.tree_pids != known.keys():
            gpu.tree_pids = frozenset(known)
        cells: list[Cell] = []
        for column, value in gpu.read(now_ns).items():
            if isinstance(value, str):
                # A value that is only due later is no missing value.
                if value is not ONCE:
                    self._missing.note(column, value)
                cells.append(None)
            else:
                cells.append(value)
        return cells
