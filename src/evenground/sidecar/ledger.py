"""CPU time of a process tree as one counter, though processes end, are waited for, or vanish."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class Usage(NamedTuple):
    """CPU of one process at one reading, and of the children it has waited for, in nanoseconds."""

    own_ns: int
    waited_ns: int


class Ledger:
    """Adds readings of a tree up to a counter that never falls and never counts a nanosecond twice.

    Truth is the sum over living processes, plus what each has inherited from children it waited
    for, plus what the root (the sidecar) has inherited, as long as a reading visits parents before
    their children: a process that ends in between is then missed once, never counted twice. Such a
    gap, ticks cut off by the kernel, and children that are never waited for (SIGCHLD ignored) would
    make the sum fall. So whatever vanished without reappearing in an heir is held in `_owed_ns`,
    and paid back out of what heirs inherit later. The counter may lag behind, never run ahead.
    """

    def __init__(self) -> None:
        self.total_ns = 0
        self.reaped_ns = 0
        self._owed_ns = 0
        self._last: Mapping[tuple[int, int], Usage] = {}

    def update(self, reading: Mapping[tuple[int, int], Usage], reaped_ns: int) -> int:
        """Take one reading and return the counter in nanoseconds.

        `reading` maps (pid, start time) to the usage of every process that is alive or a zombie;
        `reaped_ns` is the CPU that the root has inherited so far, read before them.
        """
        inherited = reaped_ns - self.reaped_ns
        vanished = 0
        for key, before in self._last.items():
            usage = reading.get(key)
            if usage is None:
                vanished += before.own_ns + before.waited_ns
            else:
                inherited += usage.waited_ns - before.waited_ns
        self._owed_ns = max(0, self._owed_ns + vanished - inherited)
        present = reaped_ns + sum(usage.own_ns + usage.waited_ns for usage in reading.values())
        self.total_ns = max(self.total_ns, present + self._owed_ns)
        self.reaped_ns = reaped_ns
        self._last = reading
        return self.total_ns
