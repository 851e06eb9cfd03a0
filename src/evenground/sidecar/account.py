"""CPU of the measured tree as one counter: from its cgroup, as long as the whole tree is in it."""

from __future__ import annotations

from evenground.sidecar.cgroup import Leaf
from evenground.sidecar.tree import Tree

# The clocks of the processes and the cgroup's account are read in turn, so they differ by
# microseconds even while every process is in the cgroup.
MAX_OUTSIDE_NS = 5_000_000
MAX_OUTSIDE_SHARE = 0.001
LEFT = "processes had left the cgroup in which CPU is counted"
UNREADABLE = "the cgroup's account could not be read"


class CpuAccount:
    """CPU by the cgroup's account, and by the processes' clocks once these are ahead of it.

    Neither account is ever too high: the cgroup misses processes that moved elsewhere, the clocks
    miss children that are never waited for. The larger of the two is therefore nearer to the truth.
    """

    def __init__(self, tree: Tree, leaf: Leaf | None, before_leaf_ns: int) -> None:
        """`before_leaf_ns` is what the command's process had used before it was in the cgroup."""
        self._tree = tree
        self._leaf = leaf
        self._before_ns = before_leaf_ns
        self.left: str | None = None
        """Why the cgroup's account is no longer complete; None while it is."""
        tree.clocks = leaf is None

    @property
    def source(self) -> str:
        """`cpu_source` of the header."""
        if self._leaf is None:
            return "processes"
        if self.left:
            return "cgroup and processes"
        return "cgroup"

    def cpu_ns(self, processes_ns: int | None) -> int | None:
        """CPU nanoseconds so far.

        `processes_ns` is the sum of the processes' clocks, None if they were not read. Raises
        OSError or ValueError if the cgroup's account cannot be read and no clock was.
        """
        if self._leaf is None:
            return processes_ns
        try:
            leaf_ns = self._leaf.cpu_ns() + self._before_ns
        except (OSError, ValueError):
            # E.g. the command moved to another cgroup and removed this one.
            self._leave(UNREADABLE)
            if processes_ns is None:
                raise
            return processes_ns
        if processes_ns is None:
            return leaf_ns
        return max(leaf_ns, processes_ns)

    def check(self) -> int | None:
        """CPU so far by the processes' clocks if some was used outside the cgroup, else None.

        Rows since the last check are then wrong, and the clocks are read for every row from now on.
        """
        if self._leaf is None or self.left:
            return None
        processes_ns = self._tree.read_cpu_ns()
        # Read after the clocks: it can only be ahead of them, unless something is not in it.
        leaf_ns = self._leaf.cpu_ns() + self._before_ns
        if processes_ns - leaf_ns <= MAX_OUTSIDE_NS + MAX_OUTSIDE_SHARE * leaf_ns:
            return None
        self._leave(LEFT)
        return processes_ns

    def _leave(self, why: str) -> None:
        self.left = self.left or why
        self._tree.clocks = True
