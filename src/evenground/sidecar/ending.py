"""Ends the command's tree: politely, then by force."""

from __future__ import annotations

import math
import signal
import time
from typing import Final

from evenground.sidecar.process import Command, send
from evenground.sidecar.tree import Tree

AGAIN_NS: Final = 100_000_000
LEAVE_S: Final = 0.2
KILLED_S: Final = 2.0
LOOK_S: Final = 0.02


class Ending:
    """Time limit and its grace: SIGTERM to the whole tree, then SIGKILL until nothing is left."""

    def __init__(self, tree: Tree, limit_ns: float, grace_s: float) -> None:
        """`limit_ns` is monotonic, infinite for no limit; `grace_s` lies between the two signals."""
        self._tree, self._grace_ns = tree, grace_s * 1e9
        self._limit_ns, self._kill_ns = limit_ns, math.inf
        self.timed_out = False

    def next_ns(self) -> float:
        """When `check` has something to do."""
        return min(self._limit_ns, self._kill_ns)

    def begin(self, now_ns: int) -> None:
        """Ask the tree to end; asking twice changes nothing."""
        if self._kill_ns == math.inf:
            send(self._tree.pids(), signal.SIGTERM)
            self._kill_ns = now_ns + self._grace_ns

    def check(self, now_ns: int) -> None:
        """Do what is due at monotonic time `now_ns`."""
        if now_ns >= self._limit_ns:
            self._limit_ns = math.inf
            self.timed_out = True
            self.begin(now_ns)
        if now_ns >= self._kill_ns:
            send(self._tree.pids(), signal.SIGKILL)
            self._kill_ns = now_ns + AGAIN_NS


def end_survivors(tree: Tree, command: Command, grace_s: float) -> int:
    """End what an ended command left running; returns how many processes had to be told.

    Helpers that leave by themselves get a moment, then SIGTERM and `grace_s` seconds, then SIGKILL.
    """
    told = 0
    for number, patience_s in ((0, LEAVE_S), (signal.SIGTERM, grace_s), (signal.SIGKILL, KILLED_S)):
        if not _wait_for_none(tree, command, 0.0):
            return told
        if number:
            pids = tree.pids()
            told = max(told, len(pids))
            send(pids, number)
        if not _wait_for_none(tree, command, patience_s):
            return told
    return told


def _wait_for_none(tree: Tree, command: Command, patience_s: float) -> list[int]:
    """Reap until no process is left or the patience is over; the processes that are left."""
    until = time.monotonic() + patience_s
    while True:
        command.reap()
        left = tree.pids()
        if not left or time.monotonic() >= until:
            return left
        signal.sigtimedwait({signal.SIGCHLD}, LOOK_S)
