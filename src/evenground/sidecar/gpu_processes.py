"""Whose the processes on the cards are: of the measured tree, foreign, or of a desktop."""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import NamedTuple

from evenground.sidecar.nvml import OnCard, Reading, Reason

FIRST_NAMESPACE = "pid:[4026531836]"
"""The kernel's fixed name of the machine's own PID namespace (PROC_PID_INIT_INO)."""
MPS = b"nvidia-cuda-mps"
"""NVIDIA's Multi-Process Service, as the kernel cuts the name of its server."""
STRANGE_PID = Reason(
    "the driver lists a process that has just ended or does not exist here, as in a container with process "
    "numbers of its own"
)
NO_MEMORY = Reason(
    "the driver does not tell the memory of each process, or tells more than there is (usual in containers)"
)
MAY_HIDE = Reason(
    "none is listed, but in a container with process numbers of its own the driver may hide some"
)
THROUGH_MPS = Reason(
    "NVIDIA's MPS runs on the card: the driver lists its server (nvidia-cuda-mps-server) in place of those "
    "that compute through it"
)

Used = dict[int, int | None]
"""Memory by pid; None where the driver does not tell it."""


class Lists(NamedTuple):
    """What the driver lists on a card or an instance; the reason where it gives no list."""

    compute: list[OnCard] | Reason
    graphics: list[OnCard] | Reason

    @staticmethod
    def together(parts: Sequence[Lists]) -> Lists:
        """The lists of several instances or cards as one."""
        return Lists(
            _joined([part.compute for part in parts]),
            _joined([part.graphics for part in parts]),
        )

    def because_of(self, card: str) -> Lists:
        """The same, with the card named in each reason."""
        compute, graphics = (
            Reason(f"{part} (card {card})") if isinstance(part, Reason) else part for part in self
        )
        return Lists(compute, graphics)


def _joined(parts: Sequence[list[OnCard] | Reason]) -> list[OnCard] | Reason:
    joined: list[OnCard] = []
    for part in parts:
        if isinstance(part, Reason):
            return part
        joined += part
    return joined


class Listed(NamedTuple):
    """What the driver's lists say at one moment of all cards that count. A reason where there is no list."""

    used_bytes: Used
    """Over all cards and both lists."""
    computing: frozenset[int] | Reason
    drawing: frozenset[int] | Reason
    """Those that draw and do not compute."""
    strange: frozenset[int]
    """Pids that no process here has."""
    servers: frozenset[int]
    """Those of MPS."""
    all_seen: bool
    """Whether the driver shows the processes of the whole machine."""

    def tree_bytes(self, tree: frozenset[int]) -> Reading:
        """Memory of the tree's processes."""
        for pids in (self.computing, self.drawing):
            if isinstance(pids, Reason):
                return pids
        if self.strange - tree:
            return STRANGE_PID
        if self.servers:
            return THROUGH_MPS
        own = self.used_bytes.keys() & tree
        return self._sum(own) if own or self.all_seen else MAY_HIDE

    def foreign(self, tree: frozenset[int]) -> Reading:
        """Number of processes that compute and are not of the tree; MPS itself is none."""
        others = self._others(self.computing, tree | self.servers)
        if isinstance(others, Reason):
            return others
        return THROUGH_MPS if self.servers and not others else len(others)

    def desktop(self, tree: frozenset[int]) -> Reading:
        """Number of processes that only draw and are not of the tree."""
        others = self._others(self.drawing, tree)
        return others if isinstance(others, Reason) else len(others)

    def desktop_bytes(self, tree: frozenset[int]) -> Reading:
        """Memory of the processes that `desktop` counts."""
        others = self._others(self.drawing, tree)
        return others if isinstance(others, Reason) else self._sum(others)

    def _others(
        self, pids: frozenset[int] | Reason, mine: frozenset[int]
    ) -> frozenset[int] | Reason:
        """Those of the processes that are not mine."""
        if isinstance(pids, Reason):
            return pids
        others = pids - mine
        if self.strange & others:
            return STRANGE_PID
        return others if others or self.all_seen else MAY_HIDE

    def _sum(self, pids: Collection[int]) -> Reading:
        used = [self.used_bytes[pid] for pid in pids]
        known = [memory for memory in used if memory is not None]
        return sum(known) if len(known) == len(used) else NO_MEMORY


def listed(of_cards: Sequence[Lists]) -> Listed:
    """Sum up the lists of all cards. A process that stands twice in those of one counts once there."""
    used: Used = {}
    for card in of_cards:
        entries = [entry for part in card if not isinstance(part, Reason) for entry in part]
        for (pid, _), memory in _once(entries).items():
            before = used.get(pid, 0)
            used[pid] = None if memory is None or before is None else before + memory
    compute, graphics = Lists.together(of_cards)
    computing = compute if isinstance(compute, Reason) else _pids(compute)
    drawing = graphics if isinstance(graphics, Reason) else _pids(graphics)
    if isinstance(computing, Reason):
        drawing = computing  # who only draws is not known either
    elif not isinstance(drawing, Reason):
        drawing -= computing
    strange = frozenset(pid for pid in used if not _exists(pid))
    servers = frozenset(pid for pid in used if pid not in strange and _is_mps(pid))
    return Listed(used, computing, drawing, strange, servers, sees_whole_machine())


def _pids(entries: list[OnCard]) -> frozenset[int]:
    return frozenset(entry.pid for entry in entries)


def _once(entries: list[OnCard]) -> dict[tuple[int, tuple[int, int]], int | None]:
    # A process on a card always holds some memory: 0 is how some drivers say in a container that they
    # do not know.
    return {(entry.pid, entry.instance): entry.used_bytes or None for entry in entries}


def _exists(pid: int) -> bool:
    if pid <= 0:
        return False
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True


def _is_mps(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/comm").read_bytes().startswith(MPS)
    except OSError:
        return False


def sees_whole_machine() -> bool:
    """Whether this process lives in the machine's own PID namespace, not in that of a container."""
    try:
        return str(Path("/proc/self/ns/pid").readlink()) == FIRST_NAMESPACE
    except OSError:
        return False
