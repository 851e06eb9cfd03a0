"""Runs on one time grid: zero at the start of training, one step per `grid_s`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from evenground.analysis.columns import names_of, number
from evenground.analysis.runs import COUNTER, GAUGES, Floats, Ints, Samples
from evenground.records.times import Moments, Process

# A momentary value holds for at most five periods of its column: more is a gap.
CARRIED_PERIODS = 5
NO_REASON = "no value was written and no reason given"
NO_CORES = "the sampler did not say how many cores the machine has"
RESOURCES = (
    number(
        "cpu_pct",
        "% of the machine",
        "CPU use of the run over the step that ends there (100: all cores of the machine are "
        "busy).",
    ),
    number("rss_bytes", "bytes", "Memory of the engine's processes."),
    number("gpu_util_pct", "%", "Use of the whole card."),
    number("vram_used_bytes", "bytes", "Memory in use on the whole card, by whatever uses it."),
    number(
        "gpu_power_w",
        "W",
        "Power of the whole card, the driver's mean over up to a second.",
    ),
    number(
        "machine_used_bytes",
        "bytes",
        "Memory in use on the whole machine, by whatever uses it.",
    ),
    number("free_used_bytes", "bytes", "The same as the thesis's sampler estimated it."),
    number(
        "cpu_since_boot_pct",
        "%",
        "CPU use of the whole machine as the thesis's sampler estimated it: the mean since boot.",
    ),
)
COLUMNS = names_of(RESOURCES)


@dataclass(frozen=True)
class Timeline:
    """One run on the grid: `step` (K,) counts from the start of training, columns are (K,).

    `cpu_pct` at step k is the mean over the step that ends there, in percent of the machine (100:
    all its cores are busy); every other column is the value at that moment. A missing value is NaN.
    """

    step: Ints
    columns: dict[str, Floats]


@dataclass(frozen=True)
class MeanTimeline:
    """Mean over repetitions on the steps (K,) that all of them share; columns are (K,).

    `n` is the number of runs, `counts` that of the runs behind each column.
    """

    step: Ints
    columns: dict[str, Floats]
    counts: dict[str, int]
    n: int


def step_ns(grid_s: float) -> int:
    """The grid step in whole nanoseconds, so that no rounding accumulates along a run."""
    return round(grid_s * 1e9)


def risen(counter: Floats) -> Floats:
    """Rise of a counter (N,) without gaps since its first value; a fall counts as no rise."""
    rises = np.maximum(np.diff(counter), 0.0)
    return np.asarray(np.concatenate(([0.0], np.cumsum(rises))), np.float64)


def grid_steps(launched_ns: int, train_start_ns: int, exited_ns: int, grid_ns: int) -> Ints:
    """Steps k (K,) whose time, train_start + k * grid, lies between launch and exit."""
    # Rounded towards the start of training, before and after it.
    first = -((train_start_ns - launched_ns) // grid_ns)
    last = (exited_ns - train_start_ns) // grid_ns
    return np.arange(first, last + 1, dtype=np.int64)


def cpu_percent(t_ns: Ints, cpu_s: Floats, at_ns: Ints, grid_ns: int, cores: int | None) -> Floats:
    """CPU use (K,) over the step that ends at each of `at_ns` (K,), in percent of all `cores`.

    The counter `cpu_s` (N,) is interpolated linearly at both ends of each step, so that the sum
    over steps is the counter's difference, and a gap in the samples keeps its mean. Where it falls
    (a child that was not waited for took its seconds along), it counts as standing still. Steps
    outside of the first and last valid sample are NaN, and all are if the number of cores is
    unknown.
    """
    valid = ~np.isnan(cpu_s)
    if cores is None or not valid.any():
        return np.full(at_ns.shape, np.nan)
    first_ns = t_ns[valid][0]
    known_ns = (t_ns[valid] - first_ns).astype(np.float64)
    rising_s = risen(cpu_s[valid])
    # Both ends of each step, (2, K): its start in the first row.
    ends_ns = np.stack((at_ns - grid_ns, at_ns)) - first_ns
    ends_s = np.interp(ends_ns.astype(np.float64), known_ns, rising_s, left=np.nan, right=np.nan)
    return np.asarray((ends_s[1] - ends_s[0]) * (100.0 * 1e9 / (grid_ns * cores)), np.float64)


def why_missing(process: Process, column: str) -> str:
    """Why a run has no value of a column of its timeline."""
    if column != "cpu_pct":
        return process.missing.get(column, NO_REASON)
    no_counter = process.missing.get(COUNTER)
    if no_counter is None and process.cores is None:
        return NO_CORES
    return no_counter or NO_REASON


def carry_forward(t_ns: Ints, values: Floats, at_ns: Ints, limit_ns: int) -> Floats:
    """The last valid of `values` (N,) at each of `at_ns` (K,); NaN if older than `limit_ns`."""
    valid = ~np.isnan(values)
    last = np.searchsorted(t_ns[valid], at_ns, side="right")
    # Before the first valid value there is none: NaN, at any moment.
    t_valid = np.concatenate(([0], t_ns[valid]))
    v_valid = np.concatenate(([np.nan], values[valid]))
    return np.where(at_ns - t_valid[last] <= limit_ns, v_valid[last], np.nan)


def align(events: Moments, process: Process, samples: Samples, grid_s: float) -> Timeline:
    """One run on the grid of `grid_s` seconds, from the launch of its process to its exit.

    CPU is a difference of counters; the rest is carried forward for at most five of its sampling
    periods.
    """
    grid_ns = step_ns(grid_s)
    steps = grid_steps(process.launched_ns, events.train_start_ns, process.exited_ns, grid_ns)
    at_ns = events.train_start_ns + steps * grid_ns
    cpu_pct = cpu_percent(samples.t_ns, samples.columns[COUNTER], at_ns, grid_ns, process.cores)
    columns = {"cpu_pct": cpu_pct}
    for name in GAUGES:
        limit_ns = round(CARRIED_PERIODS * 1e9 * process.period_s(name))
        columns[name] = carry_forward(samples.t_ns, samples.columns[name], at_ns, limit_ns)
    return Timeline(step=steps, columns=columns)


def mean_timeline(runs: Sequence[Timeline]) -> MeanTimeline:
    """Mean over repetitions from the latest first step to the earliest last one (the shortest run).

    A column's mean is taken over the runs that measured it at all, and exists only at steps where
    all of
    those have a value: the set of runs behind a curve never changes along it.
    """
    first = max(int(run.step[0]) for run in runs)
    last = min(int(run.step[-1]) for run in runs)
    step = np.arange(first, last + 1, dtype=np.int64)
    columns, counts = {}, {}
    for name in COLUMNS:
        # Each run's values on the common steps.
        rows = [run.columns[name][first - run.step[0] :][: step.size] for run in runs]
        measured = [row for row in rows if not np.isnan(row).all()]
        counts[name] = len(measured)
        columns[name] = np.full(step.shape, np.nan)
        if measured:
            columns[name] = np.mean(measured, axis=0)
    return MeanTimeline(step=step, columns=columns, counts=counts, n=len(runs))
