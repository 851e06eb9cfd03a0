"""Rows as UnixStats, the instrument of the 2022 thesis, printed them."""

from __future__ import annotations

from evenground.sidecar.linux import MEMORY_BYTES
from evenground.sidecar.output import Cell

Row = dict[str, Cell]
UNIXSTATS_HEADER = "time(s);cpu;ram;gpu;graphic ram"
# What UnixStats took for the size of every card's memory.
UNIXSTATS_VRAM_BYTES = 7981 * 2**20
# Memory of the processes on the card is read once a second; a value is repeated for so long.
KEPT_S = 2.5


class UnixStats:
    """Prints rows; times count from the first row."""

    def __init__(self) -> None:
        self._first_ns: int | None = None
        self._vram_bytes: Cell = None
        self._vram_s = 0.0

    def print(self, row: Row) -> None:
        """Print a row, before the first one the header; raises OSError if that fails."""
        if self._first_ns is None:
            print(UNIXSTATS_HEADER, flush=True)
        line = self.line(row)
        if line:
            print(line, flush=True)

    def line(self, row: Row) -> str | None:
        """The row with UnixStats's estimators, in percent, with decimal comma.

        cpu is the machine's mean since boot, ram `free`'s used over total, gpu the whole card,
        graphic ram the processes' memory on the card over 7981 MiB, whatever the card has. Unlike
        there, the time is when the row was read and a missing value is empty, not 0. None for a row
        between two readings of the machine (above ten rows a second).
        """
        now_ns = int(row["t_mono_ns"] or 0)
        if self._first_ns is None:
            self._first_ns = now_ns
        now_s = (now_ns - self._first_ns) / 1e9
        if row["vram_tree_bytes"] is not None:
            self._vram_bytes = row["vram_tree_bytes"]
            self._vram_s = now_s
        if now_s - self._vram_s > KEPT_S:
            self._vram_bytes = None
        if row["cpu_since_boot_pct"] is None:
            return None
        values = (
            now_s,
            row["cpu_since_boot_pct"],
            _percent(row["free_used_bytes"], MEMORY_BYTES),
            row["gpu_util_pct"],
            _percent(self._vram_bytes, UNIXSTATS_VRAM_BYTES),
        )
        return ";".join(map(_text, values))


def _percent(value: Cell, total: int) -> float | None:
    if value is None:
        return None
    return 100 * float(value) / total


def _text(value: Cell) -> str:
    if value is None:
        return ""
    return f"{value:.6g}".replace(".", ",")
