"""Idle windows of the GPU: by time stamps, never across a missing sample, as right as they say they are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.remade import change_run, tables_by_files
from analysis.synthetic import IDLE, WINDOW_S, MadeResults, write_results
from evenground.analysis.idle import NONE, gpu_rows
from evenground.analysis.idle_gpu import (
    GpuWindow,
    gpu_windows,
    unseen,
)
from evenground.analysis.phases import Phase
from evenground.analysis.runs import Samples
from evenground.records.times import Process

S = 10**9
T0 = 1_700_000_000 * S
PERIOD_S = 0.1
PHASES = [
    Phase("load", -2.0, 0.0),
    Phase("first batch", 0.0, 0.5),
    Phase("epoch 1", 0.5, 4.0),
    Phase("after epoch 1", 4.0, 4.3),
    Phase("epoch 2", 4.3, 9.0),
    Phase("after epoch 2", 9.0, 10.0),
    Phase("before evaluate", 10.0, 10.2),
    Phase("evaluate", 10.2, 11.0),
]


def process(window_s: float | None = 0.0) -> Process:
    return Process(T0 - 2 * S, T0 + 12 * S, 1 / PERIOD_S, {}, {}, window_s)


def samples(t_s: np.ndarray, values: np.ndarray) -> Samples:
    columns = {"gpu_util_pct": values.astype(np.float64), "gpu_age_s": np.full(t_s.shape, np.nan)}
    return Samples(T0 + np.round(t_s * S).astype(np.int64), columns)


def found(t_s: np.ndarray, values: np.ndarray, window_s: float | None = 0.0) -> pd.DataFrame:
    return rows(process(window_s), samples(t_s, values))


def rows(recorded: Process, values: Samples) -> pd.DataFrame:
    """The windows of a training of ten seconds."""
    windows = gpu_windows(recorded, values)
    return pd.DataFrame(gpu_rows(recorded, windows, T0, T0 + 10 * S, PHASES))


def span(window: GpuWindow) -> tuple[int, int, str]:
    """First and last zero of a window in periods, and its open sides."""
    half_ns = round(PERIOD_S * S / 2)
    first_ns, last_ns = window.start_ns + half_ns - T0, window.end_ns - half_ns - T0
    return round(first_ns / S / PERIOD_S), round(last_ns / S / PERIOD_S), window.open


def spans(values: list[float], t: list[int] | None = None) -> list[tuple[int, int, str]]:
    """The windows of values that were read at `t`, in periods."""
    t_s = PERIOD_S * np.array(t or range(len(values)), np.float64)
    return [span(window) for window in gpu_windows(process(), samples(t_s, np.array(values)))]


def gpu_of(index: Path) -> pd.DataFrame:
    """The rows about the GPU in the table `idle_windows`."""
    table = tables_by_files(index)["idle_windows"]
    return table[table["resource"] == "gpu"]


def test_windows_are_two_zeros_or_more_between_values() -> None:
    assert spans([5, 0, 0, 0, 5, 0, 5, 0, 0, 5]) == [(1, 3, ""), (7, 8, "")]
    assert spans([5, 0, 5]) == [] and spans([]) == [] and spans([0]) == []


def test_a_missing_sample_ends_a_window_and_leaves_it_open() -> None:
    nan = float("nan")
    assert spans([5, 0, 0, nan, 0, 0, 5]) == [(1, 2, "after"), (4, 5, "before")]
    assert spans([nan] * 4) == []
    assert spans([0, 0]) == [(0, 1, "before and after")]


def test_a_row_that_is_not_there_ends_a_window_too() -> None:
    assert spans([5, 0, 0, 0, 0, 5], [0, 1, 2, 4, 5, 6]) == [
        (1, 2, "after"),
        (4, 5, "before"),
    ]
    assert spans([5, 0, 0, 5, 5, 5, 5], [0, 10, 14, 15, 16, 17, 18]) == []


def test_length_is_that_of_the_time_stamps() -> None:
    t_s = np.array([0.9, 1.0, 1.14, 1.2, 1.34, 1.4])
    row = found(t_s, np.array([50, 0, 0, 0, 0, 50])).iloc[0]
    assert row["length_s"] == pytest.approx(0.34 + PERIOD_S)
    assert row["plus_minus_s"] == pytest.approx(PERIOD_S)
    assert (row["start_s"], row["end_s"]) == pytest.approx((0.95, 1.39))


@settings(max_examples=200)
@given(
    st.floats(1.0, 4.0),
    st.floats(0.8, 4.0),
    st.floats(0.02, 0.5),
    st.floats(0.0, 0.999),
    st.floats(0, 0.099),
)
def test_the_true_window_is_within_what_the_row_says(
    begin_s: float, length_s: float, window_s: float, shift: float, offset_s: float
) -> None:
    """A driver that averages over windows of its own, and a sampler that reads the newest one."""
    t_s = np.arange(0, 100) * PERIOD_S + offset_s
    ended_s = (np.floor(t_s / window_s - shift) + shift) * window_s
    end_s = begin_s + length_s
    idle = (ended_s - window_s >= begin_s) & (ended_s <= end_s)
    if idle.sum() < 2:
        return
    row = found(t_s, np.where(idle, 0, 70), window_s).iloc[0]
    assert abs(row["length_s"] - length_s) <= row["plus_minus_s"] + 1e-6
    assert abs(row["start_s"] - begin_s) <= row["plus_minus_s"] / 2 + 1e-6
    assert abs(row["end_s"] - end_s) <= row["plus_minus_s"] / 2 + 1e-6
    assert row["open"] == ""


def test_without_a_window_of_the_driver_only_the_period_counts() -> None:
    row = found(np.array([1.0, 1.1, 1.2, 1.3]), np.array([9, 0, 0, 9]), None).iloc[0]
    assert row["plus_minus_s"] == pytest.approx(PERIOD_S) and np.isnan(row["util_window_s"])


def test_only_what_overlaps_the_training_is_a_window() -> None:
    t_s = np.arange(-20, 120) * PERIOD_S
    values = np.where((t_s < -0.5) | (t_s > 10.55), 0, 30)
    assert found(t_s, values).empty
    row = found(t_s, np.where(t_s < 1.0, 0, 30)).iloc[0]
    assert (row["phase"], row["phases"]) == ("load", "load, first batch, epoch 1")
    assert row["in_training_s"] == pytest.approx(0.95) and row["open"] == "before"


@pytest.mark.parametrize(
    ("first_s", "last_s", "phase", "phases"),
    [
        (1.0, 2.0, "epoch 1", "epoch 1"),
        (3.95, 4.35, "after epoch 1", "epoch 1, after epoch 1, epoch 2"),
        (9.05, 9.95, "after epoch 2", "after epoch 2"),
        (0.1, 0.4, "first batch", "first batch"),
    ],
)
def test_a_window_is_told_by_what_the_run_was_doing(
    first_s: float, last_s: float, phase: str, phases: str
) -> None:
    t_s = np.arange(0, 2400) * PERIOD_S / 20
    values = np.where((t_s > first_s) & (t_s < last_s), 0, 30)
    row = rows(Process(T0, T0, 200.0, {}, {}), samples(t_s, values)).iloc[0]
    assert (row["phase"], row["phases"]) == (phase, phases)


def test_a_stretch_with_a_missing_value_is_not_seen() -> None:
    t_s = np.array([0.0, 0.1, 0.2, 0.3, 0.4, 0.5])
    values = np.array([np.nan, 0, 0, np.nan, 0, 0])
    known = samples(t_s, values)
    assert not unseen(process(), known, T0 + S // 10, T0 + S // 5)
    for start_s, end_s in ((0.05, 0.15), (0.15, 0.35), (0.45, 0.6)):
        assert unseen(process(), known, T0 + round(start_s * S), T0 + round(end_s * S))


def test_the_idle_windows_of_the_thesis_are_found_in_every_run(gpu_index_path: Path) -> None:
    table = gpu_of(gpu_index_path)
    for dataset, true in (("digits", IDLE[0]), ("shapes", IDLE[1])):
        keras = table[(table["dataset"] == dataset) & (table["engine"] == "keras")]
        assert keras["repetition"].tolist() == sorted([1, 2, 3] * len(true))
        for number, (begin_s, end_s) in enumerate(true, start=1):
            mine = keras[keras["window"] == number]
            assert (abs(mine["length_s"] - (end_s - begin_s)) <= mine["plus_minus_s"]).all()
            assert (mine["start_s"] <= begin_s + 0.14).all() and (
                mine["end_s"] >= end_s - 0.14
            ).all()
            assert (mine["util_window_s"] == WINDOW_S).all() and (mine["open"] == "").all()
    jax = table[table["engine"] == "jax"]
    assert jax["reason"].tolist() == [NONE] * 6 and jax["length_s"].isna().all()


def test_runs_without_gpu_values_are_told_from_runs_without_idle_windows(tmp_path: Path) -> None:
    made = MadeResults(datasets=(("digits", "Digits", "mlp"),), gpu=True)
    index = write_results(tmp_path, made)
    change_run(index, 0, lambda frame: frame.__setitem__("gpu_util_pct", ""))
    change_run(index, 2, lambda frame: frame.__setitem__("gpu_util_pct", ""))
    table = gpu_of(index)
    keras = table[table["engine"] == "keras"]
    assert keras["repetition"].dropna().tolist() == [3]
    assert "(2 of 3 runs)" in keras["reason"].iloc[-1]


def test_a_machine_without_a_gpu_says_so_once_for_each_engine(index_path: Path) -> None:
    table = gpu_of(index_path)
    assert len(table) == 4 and table["repetition"].isna().all()
    assert table["reason"].str.startswith("no NVIDIA driver").all()
