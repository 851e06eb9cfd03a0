"""Rows for a person, and rows as UnixStats, the instrument of the 2022 thesis, wrote them."""

from __future__ import annotations

import os
from collections.abc import Callable

from evenground.sidecar.output import Cell

Row = dict[str, Cell]
UNIXSTATS_HEADER = "time(s);cpu;ram;gpu;graphic ram"
UNIXSTATS_VRAM_BYTES = 7981 * 2**20
"""What UnixStats took for the size of every card's memory."""
KEPT_S = 2.5
"""Memory of the processes comes once a second; so long its value stands."""


class Show:
    """Turns rows into lines; times count from the first row."""

    def __init__(self, memory_bytes: int) -> None:
        """Size of the machine's memory."""
        self._memory_bytes = memory_bytes
        self._vram: tuple[float, Cell] | None = None
        self._first_ns: int | None = None
        self._before: tuple[float, float] | None = None

    def unixstats(self, row: Row) -> str | None:
        """`time(s);cpu;ram;gpu;graphic ram` with UnixStats's estimators, in percent, with decimal comma.

        cpu is the machine's mean since boot, ram `free`'s used over total, gpu the whole card, graphic ram
        the processes' memory on the card over 7981 MiB, whatever the card has. Unlike there, the time is
        when the row was read and a missing value is empty, not 0. None for a row between two readings of the
        machine (above ten rows a second).
        """
        if row["cpu_since_boot_pct"] is None:
            return None
        values = (
            self._time_s(row),
            row["cpu_since_boot_pct"],
            _percent(row["free_used_bytes"], self._memory_bytes),
            row["gpu_util_pct"],
            _percent(self._tree_vram_bytes(row), UNIXSTATS_VRAM_BYTES),
        )
        return ";".join(
            "" if value is None else f"{value:.6g}".replace(".", ",") for value in values
        )

    def pretty(self, row: Row) -> str:
        """CPU in percent of one core and resident memory of the processes, the card's use and memory."""
        parts = (
            f"Elapsed Time: {self._time_s(row):.1f} s",
            f"CPU: {_said(self._cpu_pct(row), '%', 1)}",
            f"RAM: {_said(row['rss_bytes'], 'MiB', 2**20)}",
            f"GPU: {_said(row['gpu_util_pct'], '%', 1)}",
            f"Graphic RAM: {_said(row['vram_used_bytes'], 'MiB', 2**20)}",
        )
        return "    ".join(parts)

    def _tree_vram_bytes(self, row: Row) -> Cell:
        """The newest value, unless it is too old."""
        now_s = self._time_s(row)
        if row["vram_tree_bytes"] is not None:
            self._vram = now_s, row["vram_tree_bytes"]
        return self._vram[1] if self._vram and now_s - self._vram[0] <= KEPT_S else None

    def _time_s(self, row: Row) -> float:
        now_ns = int(row["t_mono_ns"] or 0)
        self._first_ns = now_ns if self._first_ns is None else self._first_ns
        return (now_ns - self._first_ns) / 1e9

    def _cpu_pct(self, row: Row) -> float | None:
        """CPU since the row before in percent of one core; None in the first row."""
        if row["cpu_s"] is None:
            return None
        now_s, cpu_s = self._time_s(row), float(row["cpu_s"])
        before, self._before = self._before, (now_s, cpu_s)
        return 100 * (cpu_s - before[1]) / (now_s - before[0]) if before else None


def printer(form: str | None) -> Callable[[Row], None]:
    """What to do with every row: print it (`pretty` for a person, `csv` as UnixStats did), or nothing.

    OSError where standard output cannot be written.
    """
    show = Show(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    line = {None: lambda row: None, "pretty": show.pretty, "csv": show.unixstats}[form]
    first = [UNIXSTATS_HEADER] if form == "csv" else []

    def one(row: Row) -> None:
        while first:
            print(first.pop(), flush=True)
        if text := line(row):
            print(text, flush=True)

    return one


def _percent(value: Cell, of: int | None) -> float | None:
    return 100 * float(value) / of if value is not None and of else None


def _said(value: Cell, unit: str, scale: int) -> str:
    return "-" if value is None else f"{float(value) / scale:.1f} {unit}"
