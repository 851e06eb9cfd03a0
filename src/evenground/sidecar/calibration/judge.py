"""Judges a sampler's rows against the truth: goals, and pure functions of moments and values."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import NamedTuple

# (monotonic nanoseconds, value) in the order of time.
Series = Sequence[tuple[int, float]]
# The first and the last moment of a span, monotonic nanoseconds, both included.
Span = Sequence[int]


class NothingSeen(ValueError):
    """The rows hold nothing where the truth says that something was: the sampler failed."""


class Goal(NamedTuple):
    """What a figure means, and its limit: at most or at least that; None for comparison only."""

    what: str
    unit: str
    limit: float | None
    at_least: bool = False


GOALS = {
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
    "late_loaded_p99": Goal("lateness, all cores loaded, 100 Hz, p99", "ms", 20.0),
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
# Stricter limits that hold where the sampler had better means: the kernel's account of a cgroup,
# which keeps the CPU of orphans, and real-time priority.
ORPHAN_IN_CGROUP_PCT = 1.0
LOADED_P99_FIFO_MS = 1.0
# How much later than an empty timed loop on the same machine a row may be.
LATER_THAN_LOOP_MS = 1.0


class Figure(NamedTuple):
    """One measured figure; `passed` is None without a limit or a value, and `reason` tells why."""

    name: str
    goal: Goal
    measured: float | None = None
    passed: bool | None = None
    reason: str | None = None


def figure(name: str, measure: Callable[[], float], limit: float | None = None) -> Figure:
    """Judge a value by its goal, or by `limit` instead of the goal's.

    The figure fails if `measure` raises NothingSeen.
    """
    goal = GOALS[name]
    if limit is not None:
        goal = goal._replace(limit=limit)
    try:
        value = measure()
    except NothingSeen as error:
        return Figure(name, goal, passed=False, reason=str(error))
    if goal.limit is None:
        return Figure(name, goal, measured=value, reason="for comparison")
    passed = value <= goal.limit
    if goal.at_least:
        passed = value >= goal.limit
    return Figure(name, goal, measured=value, passed=passed)


def left_out(name: str, reason: str) -> Figure:
    """A figure that cannot be measured here."""
    return Figure(name, GOALS[name], reason=reason)


def interpolate(marks: Series, at_ns: int) -> float:
    """The value at a moment between two marks; before the first and after the last, theirs."""
    if at_ns <= marks[0][0]:
        return marks[0][1]
    for (left_ns, left), (right_ns, right) in pairwise(marks):
        if at_ns <= right_ns:
            # Two marks may have the same moment.
            return left + (right - left) * (at_ns - left_ns) / max(1, right_ns - left_ns)
    return marks[-1][1]


def total(accounts: Sequence[Series], at_ns: int) -> float:
    """The sum over all accounts at one moment."""
    return sum(interpolate(marks, at_ns) for marks in accounts)


def error_pct(measured: float, truth: float) -> float:
    """Signed error in percent of a truth; raises ValueError for a truth that is not above 0."""
    if not truth > 0:
        raise ValueError(f"the truth is {truth:g}, which nothing can be compared with")
    return 100 * (measured - truth) / truth


def between(series: Series, span: Span) -> Series:
    """The rows of a span, at least one; raises NothingSeen if there is none."""
    begin_ns, end_ns = span
    rows = [(at_ns, value) for at_ns, value in series if begin_ns <= at_ns <= end_ns]
    if not rows:
        raise NothingSeen("no row while the load was there")
    return rows


def growth_error_pct(sampled: Series, accounts: Sequence[Series], span: Span) -> float:
    """Signed error of a counter's growth from the first row of a span to the last.

    The truth is the accounts' growth between the same two moments. Raises NothingSeen if there are
    not two rows.
    """
    rows = between(sampled, span)
    (first_ns, first), (last_ns, last) = rows[0], rows[-1]
    if last_ns == first_ns:
        raise NothingSeen("one row only while the load was there")
    return error_pct(last - first, total(accounts, last_ns) - total(accounts, first_ns))


def since_error_pct(sampled: Series, accounts: Sequence[Series], span: Span) -> float:
    """As `growth_error_pct`, from the last row before the span on."""
    begin_ns, end_ns = span
    before_ns = between(sampled, (0, begin_ns))[-1][0]
    return growth_error_pct(sampled, accounts, (before_ns, end_ns))


def level_error_pct(sampled: Series, accounts: Sequence[Series], span: Span) -> float:
    """Signed error of the row in a span that is farthest from the accounts' sum."""
    rows = between(sampled, span)
    return max((error_pct(value, total(accounts, at_ns)) for at_ns, value in rows), key=abs)


def shown_after_ns(sampled: Series, span: Span, level: float, moment_ns: int) -> int:
    """Time from `moment_ns` to the first row of a span at or above `level`, at least 0.

    If no row is, the time to the end of the span: it was later still.
    """
    begin_ns, end_ns = span
    for at_ns, value in sampled:
        if begin_ns <= at_ns <= end_ns and value >= level:
            return max(0, at_ns - moment_ns)
    return max(0, end_ns - moment_ns)


def before(sampled: Series, moment_ns: int) -> float:
    """The value of the last row before a moment; raises as `between`."""
    return between(sampled, (0, moment_ns))[-1][1]


def deadlines(zero_ns: int, rate_hz: float, span: Span) -> list[int]:
    """The deadlines `zero_ns + k / rate_hz` in a span; raises NothingSeen if there is none."""
    begin_ns, end_ns = span
    first = max(0, math.ceil((begin_ns - zero_ns) * rate_hz / 1e9))
    last = math.floor((end_ns - zero_ns) * rate_hz / 1e9)
    if last < first:
        raise NothingSeen("no deadline while the load was there")
    return [zero_ns + math.ceil(k * 1e9 / rate_hz) for k in range(first, last + 1)]


def lateness_ns(times_ns: Sequence[int], due_ns: Sequence[int]) -> list[int]:
    """For each deadline the time to the first row at or after it: a skipped deadline is a late one.

    Deadlines after the last row are left out; raises NothingSeen if all are.
    """
    late: list[int] = []
    for deadline in due_ns:
        row = bisect_left(times_ns, deadline)
        if row < len(times_ns):
            late.append(times_ns[row] - deadline)
    if not late:
        raise NothingSeen("no row while the load was there")
    return late


def served_pct(times_ns: Sequence[int], due_ns: Sequence[int]) -> float:
    """Share of the deadlines that have a row of their own, before the next one is due.

    Raises NothingSeen for less than two deadlines.
    """
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
