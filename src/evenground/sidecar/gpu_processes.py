"""Whose the processes on the cards are: of the measured tree, foreign, or of a desktop."""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import NamedTuple

from evenground.sidecar.nvml import OnCard, Reading, Reason

# The kernel's fixed name of the machine's own PID namespace (PROC_PID_INIT_INO).
FIRST_NAMESPACE = "pid:[4026531836]"
# NVIDIA's Multi-Process Service, as the kernel cuts the name of its server.
MPS = b"nvidia-cuda-mps"
STRANGE_PID = Reason(
    "the driver lists a process that has just ended or does not exist here, as in a container "
    "with process numbers of its own"
)
NO_MEMORY = Reason(
    "the driver does not tell the memory of each process, or tells more than there is (usual in "
    "containers)"
)
MAY_HIDE = Reason(
    "none is listed, but in a container with process numbers of its own the driver may hide some"
)
THROUGH_MPS = Reason(
    "NVIDIA's MPS runs on the card: the driver lists its server (nvidia-cuda-mps-server) in place "
    "of those that compute through it"
)
Entries = list[OnCard] | Reason
Pids = frozenset[int] | Reason


class Lists(NamedTuple):
    """The driver's lists of processes on a card or an instance, or the reason why it gives none."""

    compute: Entries
    graphics: Entries

    @staticmethod
    def together(lists: Sequence[Lists]) -> Lists:
        """The lists of several instances or cards as one."""
        return Lists(
            compute=_joined([each.compute for each in lists]),
            graphics=_joined([each.graphics for each in lists]),
        )


def _joined(lists: Sequence[Entries]) -> Entries:
    joined: list[OnCard] = []
    for entries in lists:
        if isinstance(entries, Reason):
            return entries
        joined += entries
    return joined


class Listed(NamedTuple):
    """The driver's lists of all cards that count, at one moment."""

    used_bytes: dict[int, int | None]
    """Memory by pid, over all cards and both lists; None if the driver does not report it."""
    computing: Pids
    drawing: Pids
    """Those that draw and do not compute; a reason if one of the lists is missing."""
    strange: frozenset[int]
    """Pids that no process here has."""
    servers: frozenset[int]
    """Those of MPS."""
    all_seen: bool
    """Whether the driver shows the processes of the whole machine."""

    def tree_bytes(self, tree: frozenset[int]) -> Reading:
        """Memory of the tree's processes."""
        if isinstance(self.drawing, Reason):
            return self.drawing
        if self.strange - tree:
            return STRANGE_PID
        if self.servers:
            return THROUGH_MPS
        pids = self.used_bytes.keys() & tree
        if not pids and not self.all_seen:
            return MAY_HIDE
        return self._sum(pids)

    def foreign(self, tree: frozenset[int]) -> Reading:
        """Number of processes that compute and are not of the tree; MPS itself is none."""
        others = self._others(self.computing, tree | self.servers)
        if isinstance(others, Reason):
            return others
        if self.servers and not others:
            return THROUGH_MPS
        return len(others)

    def desktop(self, tree: frozenset[int]) -> Reading:
        """Number of processes that only draw and are not of the tree."""
        others = self._others(self.drawing, tree)
        if isinstance(others, Reason):
            return others
        return len(others)

    def desktop_bytes(self, tree: frozenset[int]) -> Reading:
        """Memory of the processes that `desktop` counts."""
        others = self._others(self.drawing, tree)
        if isinstance(others, Reason):
            return others
        return self._sum(others)

    def _others(self, pids: Pids, tree: frozenset[int]) -> Pids:
        """Those of `pids` that are not of the tree."""
        if isinstance(pids, Reason):
            return pids
        others = pids - tree
        if self.strange & others:
            return STRANGE_PID
        if not others and not self.all_seen:
            return MAY_HIDE
        return others

    def _sum(self, pids: Collection[int]) -> Reading:
        total = 0
        for pid in pids:
            used = self.used_bytes[pid]
            if used is None:
                return NO_MEMORY
            total += used
        return total


def listed(
    of_cards: Sequence[Lists], no_compute: Reason | None, no_graphics: Reason | None
) -> Listed:
    """Sum up the lists of all cards. A process that stands twice in those of one counts once there.

    `no_compute` and `no_graphics` are why a card gives no such list.
    """
    used: dict[int, int | None] = {}
    for lists in of_cards:
        for (pid, _), used_bytes in _once(lists).items():
            before = used.get(pid, 0)
            if used_bytes is None or before is None:
                used[pid] = None
            else:
                used[pid] = before + used_bytes
    compute, graphics = Lists.together(of_cards)
    computing = no_compute or _pids(compute)
    drawing = no_graphics or _pids(graphics)
    if isinstance(computing, Reason):
        drawing = computing  # who only draws is not known either
    elif not isinstance(drawing, Reason):
        drawing -= computing
    strange = frozenset(pid for pid in used if not _exists(pid))
    return Listed(
        used_bytes=used,
        computing=computing,
        drawing=drawing,
        strange=strange,
        servers=frozenset(pid for pid in used if pid not in strange and _is_mps(pid)),
        all_seen=sees_whole_machine(),
    )


def _pids(entries: Entries) -> Pids:
    if isinstance(entries, Reason):
        return entries
    return frozenset(entry.pid for entry in entries)


def _once(lists: Lists) -> dict[tuple[int, tuple[int, int]], int | None]:
    """Memory of each process of a card, by its pid and its MIG instance."""
    used = {}
    for entries in lists:
        if isinstance(entries, Reason):
            continue
        for entry in entries:
            # A process on a card always holds some memory: in a container, some drivers report 0
            # when they do not know.
            used[entry.pid, entry.instance] = entry.used_bytes or None
    return used


def _exists(pid: int) -> bool:
    if pid <= 0:
        return False
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass  # it is another user's
    return True


def _is_mps(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/comm").read_bytes().startswith(MPS)
    except OSError:
        return False


def sees_whole_machine() -> bool:
    """Whether this process lives in the machine's own PID namespace, not in a container's."""
    try:
        return str(Path("/proc/self/ns/pid").readlink()) == FIRST_NAMESPACE
    except OSError:
        return False
