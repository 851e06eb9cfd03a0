"""CPU seconds of a process tree as one counter, though processes end, are waited for, or vanish."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class Usage(NamedTuple):
    """CPU of one process at one reading: its own, and that of children it has waited for."""

    own_ns: int
    waited_ns: int


class Ledger:
    """Adds readings of a tree up to a counter that never falls and never counts a nanosecond twice.

    The sum over the living, plus what each has inherited from children it waited for, plus what the
    root (the sidecar) has inherited, is the truth as long as a reading visits parents before their
    children: a process that ends in between is then missed once, never counted twice. Such a gap,
    ticks cut off by the kernel, and children that nobody waits for (SIGCHLD ignored) would make the
    sum fall; what vanished without reappearing in an heir is therefore held in `_owed_ns`, and paid
    back out of whatever heirs inherit later. The counter may lag behind the truth, never exceed it.
    """

    def __init__(self) -> None:
        self.total_ns = 0
        self._owed_ns = 0
        self.reaped_ns = 0
        self._last: dict[tuple[int, int], Usage] = {}

    def update(self, reading: Mapping[tuple[int, int], Usage], reaped_ns: int) -> int:
        """Take one reading and return the counter in nanoseconds.

        `reading` maps (pid, start time) to the usage of every process that is alive or a zombie;
        `reaped_ns` is the CPU that the root has inherited so far, read before them.
        """
        vanished = sum(
            use.own_ns + use.waited_ns for key, use in self._last.items() if key not in reading
        )
        inherited = reaped_ns - self.reaped_ns
        inherited += sum(
            use.waited_ns - self._last[key].waited_ns
            for key, use in reading.items()
            if key in self._last
        )
        self._owed_ns = max(0, self._owed_ns + vanished - inherited)
        present = reaped_ns + sum(use.own_ns + use.waited_ns for use in reading.values())
        self.total_ns = max(self.total_ns, present + self._owed_ns)
        self.reaped_ns, self._last = reaped_ns, dict(reading)
        return self.total_ns
