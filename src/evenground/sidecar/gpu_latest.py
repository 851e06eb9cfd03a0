"""The latest GPU values and how old they may be, between the driver's thread and the rows."""

from __future__ import annotations

from collections.abc import Callable

from evenground.sidecar.columns import COLUMNS
from evenground.sidecar.nvml import Driver, Reading, Reason

AGE = "gpu_age_s"
STALE_PERIODS = 5
MIN_STALE_NS = 250_000_000
NOT_YET = Reason("the NVIDIA driver has not answered yet")
ONCE = Reason("read at most once a second")
Judged = Callable[[frozenset[int]], Reading]
"""A value that depends on which pids are the tree's; it is computed when a row takes it."""


class Latest:
    """One thread puts values in, another takes them; each step is a single change of a dict."""

    def __init__(self, driver: Driver, period_ns: int) -> None:
        """`period_ns` is the time between two readings of the driver."""
        self._driver = driver
        self.period_ns = period_ns
        self._values: dict[str, tuple[int, Reading | Judged]] = {}
        self._taken_ns: dict[str, int] = {}
        self.began_ns = 0
        # When the newest reading of the columns without a period began; monotonic.
        self.read_ns = 0

    def put(self, column: str, at_ns: int, value: Reading | Judged) -> None:
        """Store a reading that began at monotonic time `at_ns`."""
        self._values[column] = (at_ns, value)

    def take(self, column: str, now_ns: int, tree: frozenset[int]) -> Reading:
        """The value for a row, or the reason why there is none; a slow value is returned once."""
        if column == AGE and self.read_ns:
            age_s = (now_ns - self.read_ns) / 1e9
            return self._unless_old(age_s, self.read_ns, now_ns, self.period_ns)
        if column not in self._values:
            return self._unless_old(NOT_YET, self.began_ns, now_ns, self.period_ns)
        at_ns, value = self._values[column]
        slow_ns = int(COLUMNS[column].period_s * 1e9)
        if slow_ns and not isinstance(value, Reason):
            if self._taken_ns.get(column) == at_ns:
                return self._unless_old(ONCE, self._driver.answered_ns, now_ns, self.period_ns)
            self._taken_ns[column] = at_ns
        if callable(value):
            value = value(tree)
        return self._unless_old(value, at_ns, now_ns, max(self.period_ns, slow_ns))

    def _unless_old(self, value: Reading, at_ns: int, now_ns: int, period_ns: int) -> Reading:
        """`value`, unless it is older than a driver that answers would leave it."""
        limit_ns = stale_after_ns(period_ns)
        if now_ns - at_ns <= limit_ns:
            return value
        return Reason(
            f"the NVIDIA driver did not answer {self._driver.calling} for over {limit_ns / 1e9:g} s"
        )


def stale_after_ns(period_ns: int) -> int:
    """How old a value may get that is read every `period_ns`."""
    return max(STALE_PERIODS * period_ns, MIN_STALE_NS)
