"""Judges a sampler's rows against the truth: pure functions over moments and values, and the goals."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Final, NamedTuple

Series = Sequence[tuple[int, float]]
"""(monotonic nanoseconds, value) in the order of time."""


class NothingSeen(ValueError):
    """The rows hold nothing where the truth says that something was: the sampler failed."""


class Goal(NamedTuple):
    """What a figure means and what it should be: at most or at least `limit`; None is for comparison only."""

    what: str
    unit: str
    limit: float | None
    at_least: bool = False

    def meets(self, value: float) -> bool | None:
        """Whether a value is good enough; None where there is no goal."""
        if self.limit is None:
            return None
        return value >= self.limit if self.at_least else value <= self.limit

    def worse(self, one: float, other: float) -> float:
        """The worse of two values."""
        return min(one, other) if self.at_least else max(one, other)


GOALS: Final = {
    "cpu_total_kernel": Goal("CPU total, last row against the kernel's", "%", 0.2),
    "cpu_total_load": Goal("CPU total, last row against the load's own account", "%", 0.2),
    "short_children": Goal("CPU of 200 waited short children", "%", 1.0),
    "orphan": Goal("CPU of an orphan, while it runs and after", "%", 5.0),
    "half_core": Goal("share, 50 % of one core", "%", 2.0),
    "full_cores": Goal("share, two full cores", "%", 2.0),
    "memory_plateau": Goal("memory plateau against VmRSS", "%", 0.5),
    "memory_peak": Goal("memory peak against VmHWM", "%", 0.5),
    "shared_pss": Goal("PSS of memory shared by five processes", "%", 2.0),
    "step_memory": Goal("delay until a memory step shows, 10 Hz", "ms", 110.0),
    "step_cpu": Goal("delay until a CPU step shows, 10 Hz", "ms", 110.0),
    "late_idle_p50": Goal("lateness, idle, 100 Hz, p50", "ms", 0.1),
    "late_idle_p99": Goal("lateness, idle, 100 Hz, p99", "ms", None),
    "loop_idle_p50": Goal("lateness of an empty timed loop, idle, p50", "ms", None),
    "loop_idle_p99": Goal("lateness of an empty timed loop, idle, p99", "ms", None),
    "late_loaded_p50": Goal("lateness, all cores loaded, 100 Hz, p50", "ms", None),
    "late_loaded_p99": Goal("lateness, all cores loaded, 100 Hz, p99", "ms", 20.0),
    "loop_loaded_p50": Goal("lateness of an empty timed loop, loaded, p50", "ms", None),
    "loop_loaded_p99": Goal("lateness of an empty timed loop, loaded, p99", "ms", None),
    "rows_10hz": Goal("rows per deadline, loaded, 10 Hz", "%", 99.0, at_least=True),
    "rows_100hz": Goal("rows per deadline, loaded, 100 Hz", "%", 97.0, at_least=True),
    "own_cpu_10hz": Goal("own CPU, 10 Hz", "ms/s", 5.0),
    "own_cpu_100hz": Goal("own CPU, 100 Hz", "ms/s", 25.0),
    "own_cpu_1000hz": Goal("own CPU, 1000 Hz", "ms/s", 80.0),
    "own_cpu_10hz_loaded": Goal("own CPU, 10 Hz, loaded", "ms/s", 5.0),
    "own_cpu_100hz_loaded": Goal("own CPU, 100 Hz, loaded", "ms/s", 25.0),
    "gpu_vram": Goal("GPU memory, rise by the ballast", "%", 2.0),
    "gpu_util": Goal("GPU use while spinning", "%", 50.0, at_least=True),
}
ORPHAN_IN_CGROUP_PCT: Final = 1.0
LOADED_P99_FIFO_MS: Final = 1.0
LATER_THAN_LOOP_MS: Final = 1.0


class Figure(NamedTuple):
    """One measured figure. `passed` is None without a goal or a value, and then `reason` says why."""

    name: str
    what: str
    unit: str
    goal: float | None
    at_least: bool
    measured: float | None
    passed: bool | None
    reason: str | None = None


def figure(name: str, measure: Callable[[], float], limit: float | None = None) -> Figure:
    """Judge one value by its goal, or by `limit` instead; where the rows hold nothing the figure fails."""
    goal = GOALS[name] if limit is None else GOALS[name]._replace(limit=limit)
    try:
        value = measure()
    except NothingSeen as error:
        return Figure(
            name, goal.what, goal.unit, goal.limit, goal.at_least, None, False, str(error)
        )
    reason = "for comparison" if goal.limit is None else None
    return Figure(
        name, goal.what, goal.unit, goal.limit, goal.at_least, value, goal.meets(value), reason
    )


def left_out(name: str, reason: str) -> Figure:
    """A figure that cannot be measured here."""
    goal = GOALS[name]
    return Figure(name, goal.what, goal.unit, goal.limit, goal.at_least, None, None, reason)


def interpolate(marks: Series, at_ns: int) -> float:
    """Value between two marks; before the first and after the last their values."""
    if at_ns <= marks[0][0]:
        return marks[0][1]
    for (left_ns, left), (right_ns, right) in pairwise(marks):
        if at_ns <= right_ns:
            return left + (right - left) * (at_ns - left_ns) / max(1, right_ns - left_ns)
    return marks[-1][1]


def total(accounts: Sequence[Series], at_ns: int) -> float:
    """Sum over all accounts at one moment."""
    return sum(interpolate(marks, at_ns) for marks in accounts)


def error_pct(measured: float, truth: float) -> float:
    """Signed error in percent of a truth above 0; ValueError for another truth."""
    if not truth > 0:
        raise ValueError(f"the truth is {truth:g}, which nothing can be compared with")
    return 100 * (measured - truth) / truth


def between(series: Series, begin_ns: int, end_ns: int) -> Series:
    """The part from `begin_ns` to `end_ns`; NothingSeen when it is empty."""
    part = [(at_ns, value) for at_ns, value in series if begin_ns <= at_ns <= end_ns]
    if not part:
        raise NothingSeen("no row while the load was there")
    return part


def growth_error_pct(
    sampled: Series, accounts: Sequence[Series], from_ns: int, to_ns: int
) -> float:
    """Signed error of a counter's growth between two rows, the first and the last from `from_ns` to `to_ns`.

    The truth is the accounts' growth between the same two moments.
    """
    part = between(sampled, from_ns, to_ns)
    (first_ns, first), (last_ns, last) = part[0], part[-1]
    if last_ns == first_ns:
        raise NothingSeen("one row only while the load was there")
    return error_pct(last - first, total(accounts, last_ns) - total(accounts, first_ns))


def since_error_pct(sampled: Series, accounts: Sequence[Series], from_ns: int, to_ns: int) -> float:
    """As `growth_error_pct`, but from the last row before `from_ns` to the last one before `to_ns`."""
    before = between(sampled, 0, from_ns)[-1][0]
    return growth_error_pct(sampled, accounts, before, to_ns)


def level_error_pct(
    sampled: Series, accounts: Sequence[Series], begin_ns: int, end_ns: int
) -> float:
    """The signed error of the row that is farthest from the accounts' sum, of those in the span."""
    rows = between(sampled, begin_ns, end_ns)
    return max((error_pct(value, total(accounts, at_ns)) for at_ns, value in rows), key=abs)


def shown_after_ns(
    sampled: Series, begin_ns: int, end_ns: int, level: float, moment_ns: int
) -> int:
    """Time from `moment_ns` to the first row from `begin_ns` on at or above `level`, but not below 0.

    When there is none until `end_ns`, the time to then: it was later still.
    """
    shown = (at_ns for at_ns, value in sampled if begin_ns <= at_ns <= end_ns and value >= level)
    return max(0, next(shown, end_ns) - moment_ns)


def before(sampled: Series, moment_ns: int) -> float:
    """Value of the last row before a moment."""
    return between(sampled, 0, moment_ns)[-1][1]


def deadlines(zero_ns: int, rate_hz: float, begin_ns: int, end_ns: int) -> list[int]:
    """The deadlines `zero_ns + k / rate_hz` of a span; NothingSeen when there is none."""
    first = max(0, math.ceil((begin_ns - zero_ns) * rate_hz / 1e9))
    last = math.floor((end_ns - zero_ns) * rate_hz / 1e9)
    if last < first:
        raise NothingSeen("no deadline while the load was there")
    return [zero_ns + math.ceil(k * 1e9 / rate_hz) for k in range(first, last + 1)]


def lateness_ns(times_ns: Sequence[int], due_ns: Sequence[int]) -> list[int]:
    """For each deadline the time to the first row at or after it, so that a skipped one is a late one.

    Deadlines after the last row are left out; NothingSeen when all are.
    """
    late: list[int] = []
    row = 0
    for deadline in due_ns:
        while row < len(times_ns) and times_ns[row] < deadline:
            row += 1
        if row == len(times_ns):
            break
        late.append(times_ns[row] - deadline)
    if not late:
        raise NothingSeen("no row while the load was there")
    return late


def served_pct(times_ns: Sequence[int], due_ns: Sequence[int]) -> float:
    """Share of the deadlines that have a row of their own, before the next one is due."""
    if len(due_ns) < 2:
        raise NothingSeen("no two deadlines while the load was there")
    served = sum(
        bisect_left(times_ns, deadline) < bisect_left(times_ns, following)
        for deadline, following in pairwise(due_ns)
    )
    return 100 * served / (len(due_ns) - 1)


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least `share` (above 0, at most 1) of all values do not exceed."""
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


def ms_per_s(marks: Series) -> float:
    """CPU milliseconds per second from the first mark to the last; values in nanoseconds."""
    (first_ns, first), (last_ns, last) = marks[0], marks[-1]
    return 1000 * (last - first) / (last_ns - first_ns)


def merge(figures: Sequence[Figure]) -> list[Figure]:
    """One figure of each name: the one that failed, else the one with the worst value, else the reason."""
    merged: dict[str, Figure] = {}
    for one in figures:
        merged[one.name] = _worse(merged.get(one.name, one), one)
    return list(merged.values())


def _worse(one: Figure, other: Figure) -> Figure:
    if one.measured is None or other.measured is None:
        unseen = [figure for figure in (one, other) if figure.passed is False]
        return (
            unseen or [figure for figure in (one, other) if figure.measured is not None] or [one]
        )[0]
    goal = Goal(one.what, one.unit, one.goal, one.at_least)
    return one if goal.worse(one.measured, other.measured) == one.measured else other
