"""Whose the processes on the cards are: of the measured tree, or foreign."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Final, NamedTuple

from evenground.sidecar.nvml import OnCard, Reading, Reason

FIRST_NAMESPACE: Final = "pid:[4026531836]"
"""The kernel's fixed name of the machine's own PID namespace (PROC_PID_INIT_INO)."""
STRANGE_PID: Final = Reason(
    "the driver lists a process that has just ended or does not exist here, as in a container with process "
    "numbers of its own"
)
NO_MEMORY: Final = Reason("the driver does not tell the memory of each process (usual in containers)")
MAY_HIDE: Final = Reason(
    "none is listed, but in a container with process numbers of its own the driver may hide some"
)


class Listed(NamedTuple):
    """What the driver's lists say at one moment."""

    used_bytes: dict[int, int | None]
    """By pid, over all cards; None where the driver does not tell it."""
    strange: frozenset[int]
    """Pids that no process here has."""
    all_seen: bool
    """Whether the driver shows the processes of the whole machine."""

    def tree_bytes(self, tree: frozenset[int]) -> Reading:
        """Memory of the tree's processes."""
        if self.strange - tree:
            return STRANGE_PID
        own = [used for pid, used in self.used_bytes.items() if pid in tree]
        if not own and not self.all_seen:
            return MAY_HIDE
        known = [used for used in own if used is not None]
        return sum(known) if len(known) == len(own) else NO_MEMORY

    def foreign(self, tree: frozenset[int]) -> Reading:
        """Number of processes that are not of the tree."""
        if self.strange - tree:
            return STRANGE_PID
        count = len(self.used_bytes.keys() - tree)
        return count if count or self.all_seen else MAY_HIDE


def listed(lists: Iterable[list[OnCard]]) -> Listed:
    """Sum up the lists of all cards. A process that stands twice in one of them counts once there."""
    total: dict[int, int | None] = {}
    for entries in lists:
        for (pid, _), used in _once(entries).items():
            before = total.get(pid, 0)
            total[pid] = None if used is None or before is None else before + used
    strange = frozenset(pid for pid in total if not _exists(pid))
    return Listed(total, strange, sees_whole_machine())


def _once(entries: list[OnCard]) -> dict[tuple[int, tuple[int, int]], int | None]:
    # A process on a card always holds some memory: 0 is how some drivers say in a container that they
    # do not know.
    return {(entry.pid, entry.instance): entry.used_bytes or None for entry in entries}


def _exists(pid: int) -> bool:
    if pid <= 0:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def sees_whole_machine() -> bool:
    """Whether this process lives in the machine's own PID namespace, not in that of a container."""
    try:
        return str(Path("/proc/self/ns/pid").readlink()) == FIRST_NAMESPACE
    except OSError:
        return False
