"""Takes one row: all values of samples.csv at one moment."""

from __future__ import annotations

import time

from evenground.sidecar.columns import GPU_COLUMNS, Missing
from evenground.sidecar.gpu import Gpu
from evenground.sidecar.machine import Machine, reason
from evenground.sidecar.output import Cell
from evenground.sidecar.tree import Tree


class Sampler:
    """Reads the sources in turn; one that fails leaves its cells empty and its reason in `missing`."""

    def __init__(self, tree: Tree, gpu: Gpu | str, missing: Missing, launched_mono_ns: int) -> None:
        """`gpu` is the text of a reason where there is none; the launch is where interval_ns begins."""
        self._tree, self._gpu, self._missing = tree, gpu, missing
        self._machine = Machine(missing)
        self._last_ns = launched_mono_ns
        self.rows = 0
        self.missed_slots = 0
        self.max_rss_bytes: int | None = None

    def take(self, missed_slots: int) -> list[Cell]:
        """One row in the order of COLUMNS."""
        unix_ns, mono_ns = time.time_ns(), time.monotonic_ns()
        of_tree = self._of_tree(mono_ns)
        of_machine = [self._machine.cpu_since_boot_pct(), self._machine.machine_used_bytes()]
        of_gpu = self._of_gpu(mono_ns)
        read_ns = time.monotonic_ns() - mono_ns
        interval_ns, self._last_ns = mono_ns - self._last_ns, mono_ns
        self.rows += 1
        self.missed_slots += missed_slots
        return [unix_ns, mono_ns, interval_ns, read_ns, missed_slots, *of_tree, *of_machine, *of_gpu]

    def _of_tree(self, now_ns: int) -> list[Cell]:
        try:
            usage = self._tree.read(now_ns)
        except (OSError, ValueError) as error:
            for column in ("cpu_s", "rss_bytes", "processes"):
                self._missing.note(column, f"the process tree could not be read: {reason(error)}")
            return [None, None, None]
        self.max_rss_bytes = max(self.max_rss_bytes or 0, usage.rss_bytes)
        return [usage.cpu_ns / 1e9, usage.rss_bytes, usage.processes]

    def _of_gpu(self, now_ns: int) -> list[Cell]:
        if isinstance(self._gpu, str):
            values: dict[str, float | str] = dict.fromkeys(GPU_COLUMNS, self._gpu)
        else:
            values = self._gpu.read(now_ns)
        for column, value in values.items():
            if isinstance(value, str):
                self._missing.note(column, value)
        return [None if isinstance(value, str) else value for value in values.values()]
