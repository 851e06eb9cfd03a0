"""Ends the command's tree: politely, then by force."""

from __future__ import annotations

import math
import signal
import time
from collections.abc import Collection
from typing import NamedTuple

from evenground.sidecar.process import Command, send
from evenground.sidecar.tree import Tree

AGAIN_NS = 100_000_000
LEAVE_S = 0.2
KILLED_S = 2.0
LOOK_S = 0.02


class Ending:
    """Time limit and its grace: SIGTERM to the whole tree, then SIGKILL until nothing is left.

    What belongs to another user cannot be ended: the command is then waited for, as `timeout` does.
    """

    def __init__(self, tree: Tree, command: Command, limit_ns: float, grace_s: float) -> None:
        """`limit_ns` is monotonic, infinite for no limit; `grace_s` lies between the two signals."""
        self._tree, self._command, self._grace_ns = tree, command, grace_s * 1e9
        self._limit_ns, self._kill_ns = limit_ns, math.inf
        self.timed_out = False
        self.forbidden: set[int] = set()
        """Processes that this user may not signal."""

    def next_ns(self) -> float:
        """When `check` has something to do."""
        return min(self._limit_ns, self._kill_ns)

    def begin(self, now_ns: int) -> None:
        """Ask the tree to end; asking twice changes nothing."""
        if self._kill_ns == math.inf:
            self._send(signal.SIGTERM)
            self._kill_ns = now_ns + self._grace_ns

    def check(self, now_ns: int) -> None:
        """Do what is due at monotonic time `now_ns`."""
        if now_ns >= self._limit_ns:
            self._limit_ns = math.inf
            self.timed_out = True
            self.begin(now_ns)
        if now_ns >= self._kill_ns:
            self._send(signal.SIGKILL)
            self._kill_ns = now_ns + AGAIN_NS

    def _send(self, number: int) -> None:
        self.forbidden |= send(_living(self._tree, self._command), number)


def _living(tree: Tree, command: Command) -> list[int]:
    """The processes of the tree; where they cannot be read (no descriptor left), the command alone."""
    try:
        return tree.pids()
    except OSError:
        return [] if command.exit else [command.pid]


class Survivors(NamedTuple):
    """How many processes outlived the command, and which of them could not be ended."""

    told: int
    left: tuple[int, ...]


def end_survivors(tree: Tree, command: Command, grace_s: float) -> Survivors:
    """End what an ended command left running.

    Helpers that leave by themselves get a moment, then SIGTERM and `grace_s` seconds, then SIGKILL.
    """
    told = 0
    left = _wait_for_none(tree, command, LEAVE_S)
    for number, patience_s in ((signal.SIGTERM, grace_s), (signal.SIGKILL, KILLED_S)):
        if not left:
            break
        told = max(told, len(left))
        forbidden = send(left, number)
        # Nothing comes of waiting for those alone that did not even get the signal.
        left = _wait_for_none(tree, command, patience_s, but=forbidden)
    return Survivors(told, tuple(left))


def _wait_for_none(
    tree: Tree, command: Command, patience_s: float, but: Collection[int] = ()
) -> list[int]:
    """Reap until no process but those in `but` is left or the patience is over; what is left then."""
    until = time.monotonic() + patience_s
    while True:
        command.reap()
        left = _living(tree, command)
        if set(left) <= set(but) or time.monotonic() >= until:
            return left
        signal.sigtimedwait({signal.SIGCHLD}, LOOK_S)
