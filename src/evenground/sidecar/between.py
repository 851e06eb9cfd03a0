"""Readings too slow for every row: made in a thread of their own, right after a row."""

from __future__ import annotations

import math
import threading
from collections.abc import Sequence

Processes = Sequence[tuple[int, int]]
"""(pid, start time) of each."""


class BetweenRows:
    """Decides when such a thread reads, and which processes; a subclass does the reading."""

    def __init__(self, due_ns: float) -> None:
        """Nothing is read before the monotonic time `due_ns`."""
        self._processes: Processes = ()
        self._due_ns = due_ns
        self._wanted = threading.Event()
        self._stopped = False

    def know(self, processes: Processes) -> None:
        """Take note of the tree as it is now."""
        self._processes = processes

    def row_done(self, now_ns: int) -> None:
        """Start a reading if one is due; call after each row, when the next is farthest away."""
        if now_ns >= self._due_ns:
            self._due_ns = math.inf  # until this reading is done
            self._wanted.set()

    def stop(self) -> None:
        """Let the thread end."""
        self._stopped = True
        self._wanted.set()
