"""Takes one row: all values of samples.csv at one moment."""

from __future__ import annotations

import time
from typing import NamedTuple

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


class Sources(NamedTuple):
    """Where the values come from; a text is the reason why there is no such source."""

    tree: Tree
    cpu: CpuAccount
    pss: Pss | str
    gpu: Gpu | str


class Sampler:
    """Reads the sources in turn; one that fails leaves its cells empty and its reason in `missing`."""

    def __init__(self, sources: Sources, missing: Missing, launched_mono_ns: int) -> None:
        """`launched_mono_ns` is where interval_ns begins."""
        self._sources, self._missing = sources, missing
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
        """One row in the order of COLUMNS, for the moment `mono_ns`, which is now."""
        now = both_clocks()
        unix_ns = now.unix_ns - (now.mono_ns - mono_ns)
        of_tree = self._of_tree(mono_ns)
        of_machine = self._machine.read(mono_ns)
        of_gpu = self._of_gpu(mono_ns)
        read_ns = time.monotonic_ns() - mono_ns
        interval_ns, self._last_ns = mono_ns - self._last_ns, mono_ns
        self.rows += 1
        self.missed_slots += missed_slots
        return [
            unix_ns,
            mono_ns,
            interval_ns,
            read_ns,
            missed_slots,
            *of_tree,
            *of_machine,
            *of_gpu,
        ]

    def empty_cells(self) -> dict[str, int]:
        """Per column the rows in which a value was due and is missing."""
        cells = self._missing.cells
        if isinstance(self._sources.gpu, str):
            cells = cells | dict.fromkeys(GPU_COLUMNS, self.rows)
        return {column: cells[column] for column in COLUMNS if cells.get(column)}

    def not_seen(self) -> list[str]:
        """Which columns but those of the GPU have rows without a value that was due, and why, in words."""
        reasons = self._missing.reasons()
        return [
            f"{column}: no value in {count} of {self.rows} rows: {reasons.get(column, 'unknown')}"
            for column, count in self.empty_cells().items()
            if column not in GPU_COLUMNS
        ]

    def _of_tree(self, now_ns: int) -> list[Cell]:
        pss = self._pss()
        try:
            usage = self._sources.tree.read(now_ns)
        except (OSError, ValueError, LookupError) as error:
            for column in TREE_COLUMNS:
                self._missing.note(column, f"the process tree could not be read: {reason(error)}")
            return [None, None, pss, None]
        self.cpu_s = self._cpu_s(usage)
        self.processes = usage.processes + usage.hidden
        if usage.hidden:
            for column in ("rss_bytes", "processes"):
                self._missing.note(column, HIDDEN)
            return [self.cpu_s, None, pss, None]
        if usage.processes:
            self.max_rss_bytes = max(self.max_rss_bytes or 0, usage.rss_bytes)
        return [self.cpu_s, usage.rss_bytes, pss, usage.processes]

    def _cpu_s(self, usage: TreeUsage) -> float | None:
        try:
            cpu_ns = self._sources.cpu.cpu_ns(usage.cpu_ns)
        except (OSError, ValueError) as error:
            self._missing.note("cpu_s", f"{UNREADABLE}: {reason(error)}")
            return None
        if usage.hidden and usage.cpu_ns is not None:
            self._missing.note("cpu_s", HIDDEN)
            return None
        return None if cpu_ns is None else cpu_ns / 1e9

    def _pss(self) -> int | None:
        pss = self._sources.pss
        value = None if isinstance(pss, str) else pss.take()
        if isinstance(value, str):
            self._missing.note("pss_bytes", value)
            return None
        if value is not None:
            self.max_pss_bytes = max(self.max_pss_bytes or 0, value)
        return value

    def _of_gpu(self, now_ns: int) -> list[Cell]:
        gpu, tree = self._sources.gpu, self._sources.tree
        if isinstance(gpu, str):
            return self._no_gpu
        if gpu.tree_pids != tree.known.keys():
            gpu.tree_pids = frozenset(tree.known)
        values = gpu.read(now_ns)
        for column, value in values.items():
            if isinstance(value, str) and value is not ONCE:
                self._missing.note(column, value)
        return [None if isinstance(value, str) else value for value in values.values()]
