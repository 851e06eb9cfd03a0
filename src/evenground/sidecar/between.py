"""What is read rarely, in a thread of its own, just after a row: the next one is farthest away then."""

from __future__ import annotations

import math
import threading
from collections.abc import Sequence

Processes = Sequence[tuple[int, int]]
"""(pid, start time) of each."""


class BetweenRows:
    """When such a thread is to read, and of which processes; what it reads is a subclass's own."""

    def __init__(self, due_ns: float) -> None:
        """Nothing is read before the monotonic time `due_ns`."""
        self._processes: Processes = ()
        self._due_ns = due_ns
        self._wanted = threading.Event()
        self._stopped = False

    def know(self, processes: Processes) -> None:
        """The tree as it is now."""
        self._processes = processes

    def row_done(self, now_ns: int) -> None:
        """Call after a row: a reading that is due begins then."""
        if now_ns >= self._due_ns:
            self._due_ns = math.inf  # until this one is done
            self._wanted.set()

    def stop(self) -> None:
        """Let the thread end."""
        self._stopped = True
        self._wanted.set()
