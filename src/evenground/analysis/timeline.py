"""Runs on one time grid: zero at the start of training, one step per `grid_s`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from evenground.analysis.runs import COUNTER, GAUGES, Floats, Ints, Samples
from evenground.records.times import Moments, Process

CARRIED_PERIODS = 5
NO_REASON = "no value was written and no reason given"
NO_CORES = "the sampler did not say how many cores the machine has"
COLUMNS = ("cpu_pct", *GAUGES)


@dataclass(frozen=True)
class Timeline:
    """One run on the grid: `step` (K,) counts grid steps from the start of training, columns are (K,).

    `cpu_pct` at step k is the mean over the step that ends there, in percent of the machine (100: all its
    cores are busy); every other column is the value at that moment. Missing is NaN.
    """

    step: Ints
    columns: dict[str, Floats]


@dataclass(frozen=True)
class MeanTimeline:
    """Mean over repetitions on the steps all of them share; `counts` says how many runs each column has."""

    step: Ints
    columns: dict[str, Floats]
    counts: dict[str, int]
    n: int


def step_ns(grid_s: float) -> int:
    """The grid step in whole nanoseconds, so that no rounding gathers along a run."""
    return round(grid_s * 1e9)


def risen(counter: Floats) -> Floats:
    """How far a counter (N,) without gaps has risen since its first value; where it falls it stands still."""
    rises = np.maximum(np.diff(counter), 0.0)
    return np.asarray(np.concatenate(([0.0], np.cumsum(rises))), np.float64)


def grid_steps(launched_ns: int, train_start_ns: int, exited_ns: int, grid_ns: int) -> Ints:
    """Steps k whose time train_start + k * grid lies within the life of the process (load: k < 0)."""
    first = -((train_start_ns - launched_ns) // grid_ns)
    last = (exited_ns - train_start_ns) // grid_ns
    return np.arange(first, last + 1, dtype=np.int64)


def cpu_percent(t_ns: Ints, cpu_s: Floats, at_ns: Ints, grid_ns: int, cores: int | None) -> Floats:
    """CPU use in percent of a machine of so many cores over the step that ends at each of `at_ns` (K,).

    The cumulative counter `cpu_s` (N,) is interpolated linearly at both ends of each step, so the
    sum over steps is the counter's difference, and a gap in the samples keeps its mean. A counter
    that falls (a child that nobody waited for took its seconds along) counts as standing still
    there. Steps outside the first and last valid sample are NaN, and all where the cores are not known.
    """
    valid = ~np.isnan(cpu_s)
    if cores is None or not valid.any():
        return np.full(at_ns.shape, np.nan)
    t_valid, counter = t_ns[valid], cpu_s[valid]
    rising = risen(counter)
    origin = t_valid[0]
    known = (t_valid - origin).astype(np.float64)

    def at(when_ns: Ints) -> Floats:
        relative_ns = (when_ns - origin).astype(np.float64)
        return np.asarray(
            np.interp(relative_ns, known, rising, left=np.nan, right=np.nan), np.float64
        )

    return (at(at_ns) - at(at_ns - grid_ns)) * (100.0 * 1e9 / (grid_ns * cores))


def why_missing(process: Process, column: str) -> str:
    """Why a run has no value of a column of its timeline."""
    source = COUNTER if column == "cpu_pct" else column
    if source == COUNTER and COUNTER not in process.missing and process.cores is None:
        return NO_CORES
    return process.missing.get(source, NO_REASON)


def carry_forward(t_ns: Ints, values: Floats, at_ns: Ints, limit_ns: int) -> Floats:
    """The last valid value at or before each of `at_ns` (K,), NaN when it is older than `limit_ns`."""
    valid = ~np.isnan(values)
    t_valid, v_valid = t_ns[valid], values[valid]
    position = np.searchsorted(t_valid, at_ns, side="right") - 1
    result = np.full(at_ns.shape, np.nan)
    known = position >= 0
    fresh = known.copy()
    fresh[known] = at_ns[known] - t_valid[position[known]] <= limit_ns
    result[fresh] = v_valid[position[fresh]]
    return result


def align(events: Moments, process: Process, samples: Samples, grid_s: float) -> Timeline:
    """One run on the grid of `grid_s` seconds, from the launch of its process to its exit.

    CPU is a difference of counters; the rest is carried forward for at most five of its sampling periods.
    """
    grid_ns = step_ns(grid_s)
    steps = grid_steps(process.launched_ns, events.train_start_ns, process.exited_ns, grid_ns)
    at_ns = events.train_start_ns + steps * grid_ns
    cpu_pct = cpu_percent(samples.t_ns, samples.columns[COUNTER], at_ns, grid_ns, process.cores)
    columns = {"cpu_pct": cpu_pct}
    for name in GAUGES:
        limit_ns = round(CARRIED_PERIODS * 1e9 * process.period_s(name))
        columns[name] = carry_forward(samples.t_ns, samples.columns[name], at_ns, limit_ns)
    return Timeline(steps, columns)


def mean_timeline(runs: Sequence[Timeline]) -> MeanTimeline:
    """Mean over repetitions from the latest first step to the earliest last one (the shortest run).

    A column's mean is taken over the runs that measured it at all and exists only at steps where
    all of those have a value: the set of runs behind a curve never changes along it.
    """
    first = max(int(run.step[0]) for run in runs)
    last = min(int(run.step[-1]) for run in runs)
    step = np.arange(first, last + 1, dtype=np.int64)
    columns, counts = {}, {}
    for name in COLUMNS:
        rows = [run.columns[name][first - run.step[0] :][: step.size] for run in runs]
        measured = [row for row in rows if not np.isnan(row).all()]
        counts[name] = len(measured)
        columns[name] = np.mean(measured, axis=0) if measured else np.full(step.shape, np.nan)
    return MeanTimeline(step, columns, counts, len(runs))
