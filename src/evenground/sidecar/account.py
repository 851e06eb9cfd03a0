"""CPU of the measured tree as one counter: from its cgroup, as long as the whole tree is in it."""

from __future__ import annotations

from evenground.sidecar.cgroup import Leaf
from evenground.sidecar.tree import Tree

# The clocks of the processes and the cgroup's account differ by microseconds when they are read in turn.
MAX_OUTSIDE_NS = 5_000_000
MAX_OUTSIDE_SHARE = 0.001
LEFT = "processes had left the cgroup in which CPU is counted"
UNREADABLE = "the cgroup's account could not be read"


class CpuAccount:
    """What the cgroup says, until the processes' own clocks say more: then some of them ran elsewhere.

    Neither ever says too much: the cgroup misses what left it, the clocks miss children that nobody waits
    for. So the larger one is right, or nearer to it.
    """

    def __init__(self, tree: Tree, leaf: Leaf | None, before_leaf_ns: int) -> None:
        """`before_leaf_ns` is what the command's process had used before it was in the cgroup."""
        self._tree, self._leaf, self._before_ns = tree, leaf, before_leaf_ns
        self.left: str | None = None
        """Why the cgroup does not hold the whole account (any more); None while it does."""
        tree.clocks = leaf is None

    @property
    def source(self) -> str:
        """From where CPU is counted, as the header says it."""
        if self._leaf is None:
            return "processes"
        return "cgroup and processes" if self.left else "cgroup"

    def cpu_ns(self, of_processes_ns: int | None) -> int | None:
        """CPU so far; `of_processes_ns` is what the processes' clocks say where they are asked.

        OSError or ValueError where the cgroup's account cannot be read and no clock was asked.
        """
        if self._leaf is None:
            return of_processes_ns
        try:
            of_leaf_ns = self._leaf.cpu_ns() + self._before_ns
        except (OSError, ValueError):
            # As when the command moved to another cgroup and removed this one.
            self._leave(UNREADABLE)
            if of_processes_ns is None:
                raise
            return of_processes_ns
        return of_leaf_ns if of_processes_ns is None else max(of_leaf_ns, of_processes_ns)

    def check(self) -> int | None:
        """Ask the processes' clocks; CPU so far where some of it was used outside of the cgroup, else None.

        Rows since the last check are then wrong, and the clocks are asked for every row from now on.
        """
        if self._leaf is None or self.left:
            return None
        of_processes_ns = self._tree.read_cpu_ns()
        # Read after the clocks: it can only be ahead of them, unless something is not in it.
        of_leaf_ns = self._leaf.cpu_ns() + self._before_ns
        outside_ns = of_processes_ns - of_leaf_ns
        if outside_ns <= MAX_OUTSIDE_NS + MAX_OUTSIDE_SHARE * of_leaf_ns:
            return None
        self._leave(LEFT)
        return of_processes_ns

    def _leave(self, why: str) -> None:
        self.left = self.left or why
        self._tree.clocks = True
