"""Alignment and resampling: properties that hold for any samples."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.synthetic import MadeResults, write_results
from evenground.analysis.runs import read_runs
from evenground.analysis.timeline import (
    COLUMNS,
    NO_CORES,
    NO_REASON,
    Timeline,
    align,
    carry_forward,
    cpu_percent,
    grid_steps,
    mean_timeline,
    why_missing,
)
from evenground.records.index import read_index
from evenground.records.times import Process

MS = 1_000_000
GRID = 100 * MS
LIMIT = 5 * GRID

intervals = st.lists(st.integers(1 * MS, 900 * MS), min_size=2, max_size=40)
spent = st.floats(0, 3, allow_nan=False)


def grid_over(t_ns: np.ndarray, shift: int) -> np.ndarray:
    """Grid points that reach beyond the samples on both sides."""
    return np.arange(t_ns[0] - 3 * GRID + shift, t_ns[-1] + 3 * GRID, GRID, dtype=np.int64)


@given(intervals, st.data(), st.integers(0, GRID - 1))
def test_integral_of_cpu_is_the_counters_difference(
    steps: list[int], data: st.DataObject, shift: int
) -> None:
    t_ns = np.cumsum(np.array(steps, np.int64)) + 10**18
    cpu_s = np.cumsum(
        np.array(data.draw(st.lists(spent, min_size=len(steps), max_size=len(steps))))
    )
    at_ns = grid_over(t_ns, shift)
    percent = cpu_percent(t_ns, cpu_s, at_ns, GRID, 1)
    known = np.flatnonzero(~np.isnan(percent))
    if not known.size:
        assert t_ns[-1] - t_ns[0] < 2 * GRID
        return
    assert np.array_equal(known, np.arange(known[0], known[-1] + 1))
    ends = np.array([at_ns[known[0]] - GRID, at_ns[known[-1]]])
    first, last = np.interp((ends - t_ns[0]).astype(float), (t_ns - t_ns[0]).astype(float), cpu_s)
    assert np.sum(percent[known]) / 100 * 0.1 == pytest.approx(last - first, abs=1e-9)
    assert ends[0] >= t_ns[0] and ends[1] <= t_ns[-1]
    assert ends[0] - GRID < t_ns[0] and ends[1] + GRID > t_ns[-1]


@given(intervals, st.floats(0, 400), st.integers(0, GRID - 1))
def test_constant_stays_constant(steps: list[int], level: float, shift: int) -> None:
    t_ns = np.cumsum(np.array(steps, np.int64)) + 10**18
    at_ns = grid_over(t_ns, shift)
    percent = cpu_percent(t_ns, (t_ns - t_ns[0]) / 1e9 * level / 100, at_ns, GRID, 1)
    assert np.allclose(percent[~np.isnan(percent)], level, atol=1e-6)
    carried = carry_forward(t_ns, np.full(t_ns.shape, level), at_ns, LIMIT)
    assert set(carried[~np.isnan(carried)]) <= {level}


@given(intervals, st.integers(0, GRID - 1))
def test_a_value_is_carried_five_periods_and_no_further(steps: list[int], shift: int) -> None:
    t_ns = np.cumsum(np.array(steps, np.int64)) + 10**18
    values = np.arange(t_ns.size, dtype=float)
    at_ns = grid_over(t_ns, shift)
    carried = carry_forward(t_ns, values, at_ns, LIMIT)
    for moment, value in zip(at_ns, carried, strict=True):
        earlier = np.flatnonzero(t_ns <= moment)
        fresh = earlier.size > 0 and moment - t_ns[earlier[-1]] <= LIMIT
        assert value == values[earlier[-1]] if fresh else np.isnan(value)


def test_gap_of_more_than_five_periods_is_missing() -> None:
    t_ns = np.array([0, 100, 900], np.int64) * MS
    carried = carry_forward(
        t_ns, np.array([1.0, 2.0, 3.0]), np.arange(0, 1000, 100, dtype=np.int64) * MS, LIMIT
    )
    assert carried[:7].tolist() == [1, 2, 2, 2, 2, 2, 2]
    assert np.isnan(carried[7:9]).all()
    assert carried[9] == 3


def test_missing_cell_is_not_zero_but_carried_then_missing() -> None:
    t_ns = np.arange(10, dtype=np.int64) * GRID
    values = np.array([7.0] + [np.nan] * 9)
    carried = carry_forward(t_ns, values, t_ns, LIMIT)
    assert carried[:6].tolist() == [7.0] * 6
    assert np.isnan(carried[6:]).all()


def test_late_sample_stands_at_its_real_time() -> None:
    on_time = np.array([0, 100, 200, 300, 400], np.int64) * MS
    late = np.array([0, 100, 200, 370, 400], np.int64) * MS
    memory = np.array([1.0, 1.0, 1.0, 5.0, 5.0])
    assert carry_forward(on_time, memory, on_time, LIMIT).tolist() == [1, 1, 1, 5, 5]
    assert carry_forward(late, memory, on_time, LIMIT).tolist() == [1, 1, 1, 1, 5]
    cpu_s = late / 1e9
    assert np.allclose(cpu_percent(late, cpu_s, on_time[1:], GRID, 1), 100.0)


def test_cpu_in_a_gap_keeps_its_mean() -> None:
    t_ns = np.array([0, 1000], np.int64) * MS
    percent = cpu_percent(
        t_ns, np.array([0.0, 1.5]), np.arange(100, 1100, 100, dtype=np.int64) * MS, GRID, 1
    )
    assert np.allclose(percent, 150.0)


def test_counter_that_falls_is_never_negative_use() -> None:
    t_ns = np.arange(5, dtype=np.int64) * GRID
    percent = cpu_percent(t_ns, np.array([0.0, 0.1, 0.05, 0.15, 0.25]), t_ns[1:], GRID, 1)
    assert np.allclose(percent, [100, 0, 100, 100])


def test_cpu_is_in_percent_of_all_cores() -> None:
    t_ns = np.arange(5, dtype=np.int64) * GRID
    cpu_s = 1.5 * t_ns / 1e9
    assert np.allclose(cpu_percent(t_ns, cpu_s, t_ns[1:], GRID, 2), 75.0)
    assert np.allclose(cpu_percent(t_ns, cpu_s, t_ns[1:], GRID, 4), 37.5)


def test_cpu_of_a_machine_of_unknown_cores_is_missing_with_the_reason() -> None:
    t_ns = np.arange(5, dtype=np.int64) * GRID
    assert np.isnan(cpu_percent(t_ns, t_ns / 1e9, t_ns, GRID, None)).all()
    unknown = Process(0, 10**9, 10.0, {"gpu_util_pct": "no GPU"})
    assert why_missing(unknown, "cpu_pct") == NO_CORES
    assert why_missing(unknown, "gpu_util_pct") == "no GPU"
    assert why_missing(unknown, "rss_bytes") == NO_REASON
    unseen = replace(unknown, cores=2, missing={"cpu_s": "the kernel does not say"})
    assert why_missing(unseen, "cpu_pct") == "the kernel does not say"


def test_counter_without_a_value_is_missing() -> None:
    t_ns = np.arange(3, dtype=np.int64) * GRID
    assert np.isnan(cpu_percent(t_ns, np.full(3, np.nan), t_ns, GRID, 1)).all()
    assert np.isnan(cpu_percent(t_ns[:0], np.zeros(0), t_ns, GRID, 1)).all()
    assert np.isnan(carry_forward(t_ns[:0], np.zeros(0), t_ns, LIMIT)).all()


@given(st.integers(0, 10**10), st.integers(0, 10**10), st.sampled_from([10 * MS, GRID, 333 * MS]))
def test_grid_covers_the_life_of_the_process_and_no_more(
    before: int, after: int, grid: int
) -> None:
    start = 1_700_000_000 * 10**9
    steps = grid_steps(start - before, start, start + after, grid)
    times = steps * grid
    assert 0 in steps
    assert -before <= times[0] < -before + grid
    assert after - grid < times[-1] <= after


def flat(first: int, last: int, level: float, **other: float) -> Timeline:
    """A made timeline, every column at `level` but those named."""
    step = np.arange(first, last + 1, dtype=np.int64)
    return Timeline(step, {name: np.full(step.shape, other.get(name, level)) for name in COLUMNS})


def test_mean_runs_up_to_the_shortest_run() -> None:
    mean = mean_timeline([flat(-5, 20, 1.0), flat(-3, 30, 3.0), flat(-9, 25, 5.0)])
    assert (mean.step[0], mean.step[-1], mean.n) == (-3, 20, 3)
    assert set(mean.columns["rss_bytes"]) == {3.0}


def test_mean_leaves_out_runs_that_never_measured_and_says_so() -> None:
    mean = mean_timeline([flat(0, 9, 1.0, gpu_util_pct=np.nan), flat(0, 9, 3.0, gpu_util_pct=50.0)])
    assert set(mean.columns["gpu_util_pct"]) == {50.0}
    assert (mean.counts["gpu_util_pct"], mean.counts["cpu_pct"]) == (1, 2)


def test_mean_is_missing_where_one_run_has_a_gap() -> None:
    gap = flat(0, 9, 3.0)
    gap.columns["rss_bytes"][4] = np.nan
    mean = mean_timeline([flat(0, 9, 1.0), gap]).columns["rss_bytes"]
    assert np.isnan(mean[4])
    assert set(np.delete(mean, 4)) == {2.0}


def test_column_missing_in_all_runs_stays_missing() -> None:
    nothing = flat(0, 9, 1.0, vram_used_bytes=np.nan)
    mean = mean_timeline([nothing, nothing])
    assert np.isnan(mean.columns["vram_used_bytes"]).all()
    assert mean.counts["vram_used_bytes"] == 0


@settings(deadline=None, max_examples=5)
@given(st.sampled_from([0.05, 0.1, 0.25, 1.0]))
def test_made_run_on_any_grid_uses_the_cpu_it_was_made_with(
    tmp_path_factory, grid_s: float
) -> None:  # type: ignore[no-untyped-def]
    made = MadeResults(datasets=(("digits", "Digits", "mlp"),), repetitions=1)
    index = read_index(write_results(tmp_path_factory.mktemp("grid"), made))
    run = read_runs(index.first)[0]
    line = align(run.events, run.process, run.samples(), grid_s)
    t_s = line.step * grid_s
    inside = (t_s - grid_s >= 0.1) & (t_s <= 2.9)
    assert inside.any()
    # One core and a half of two.
    assert np.allclose(line.columns["cpu_pct"][inside], 75.0)
    assert t_s[0] >= -2.0 and t_s[0] < -2.0 + grid_s
    assert isinstance(run.folder, Path)
