"""Ends the command's tree: SIGTERM first, SIGKILL after a grace."""

from __future__ import annotations

import math
import signal
import time
from collections.abc import Collection

from evenground.sidecar.process import Command, send
from evenground.sidecar.tree import Tree

AGAIN_NS = 100_000_000
LEAVE_S = 0.2
KILLED_S = 2.0
LOOK_S = 0.02


class Ending:
    """Time limit and its grace: SIGTERM to the whole tree, then SIGKILL until nothing is left.

    Processes of another user cannot be ended: the command is then waited for, as timeout(1) does.
    """

    def __init__(self, tree: Tree, command: Command, limit_ns: float, grace_s: float) -> None:
        """`limit_ns` is monotonic, infinite for no limit; `grace_s` is between the two signals."""
        self._tree = tree
        self._command = command
        self._grace_ns = grace_s * 1e9
        self._limit_ns = limit_ns
        self._kill_ns = math.inf
        self.timed_out = False
        # Processes that this user may not signal.
        self.forbidden: set[int] = set()

    def next_ns(self) -> float:
        """When `check` has something to do."""
        return min(self._limit_ns, self._kill_ns)

    def begin(self, now_ns: int) -> None:
        """Send SIGTERM to the tree; a second call does nothing."""
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
            # Processes forked meanwhile did not get the signal, so it is sent again and again.
            self._kill_ns = now_ns + AGAIN_NS

    def _send(self, number: int) -> None:
        self.forbidden |= send(_living(self._tree, self._command), number)


def _living(tree: Tree, command: Command) -> list[int]:
    try:
        return tree.pids()
    except OSError:
        # Without a free descriptor the tree cannot be read; the command itself is known.
        return [] if command.exit else [command.pid]


def end_survivors(tree: Tree, command: Command, grace_s: float) -> tuple[int, list[int]]:
    """End what an ended command left running; returns their number, and the pids that remain.

    Helpers that leave by themselves get a moment, then SIGTERM and `grace_s` seconds, then SIGKILL.
    """
    signalled = 0
    left = _wait_for_none(tree, command, LEAVE_S)
    for number, patience_s in ((signal.SIGTERM, grace_s), (signal.SIGKILL, KILLED_S)):
        if not left:
            break
        signalled = max(signalled, len(left))
        forbidden = send(left, number)
        # Processes that did not even get the signal are not waited for.
        left = _wait_for_none(tree, command, patience_s, ignored=forbidden)
    return signalled, left


def _wait_for_none(
    tree: Tree, command: Command, patience_s: float, ignored: Collection[int] = ()
) -> list[int]:
    """Reap until only `ignored` are left or the patience is over; returns all that are left."""
    until = time.monotonic() + patience_s
    while True:
        command.reap()
        left = _living(tree, command)
        if set(left) <= set(ignored) or time.monotonic() >= until:
            return left
        signal.sigtimedwait({signal.SIGCHLD}, LOOK_S)
