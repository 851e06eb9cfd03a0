"""Idle windows of the CPU: in the right place, as long as the silence was, and only where there was one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.remade import change_run, metrics_of, notes_of, tables_by_files, tables_of
from analysis.synthetic import Made, MadeResults, made_run, write_results
from evenground.analysis.idle import (
    GPU_UNSEEN,
    MIN_S,
    NONE,
    NOT_COVERED,
    Window,
    cpu_windows,
    without_gpu,
)
from evenground.analysis.idle_gpu import GpuWindow
from evenground.analysis.normalise import normalise
from evenground.analysis.phases import phases_of
from evenground.analysis.quality import unknown
from evenground.analysis.runs import Floats, Samples
from evenground.records.index import read_index
from evenground.records.times import Epoch, Moments, Process
from made_records import index_of

S = 10**9
T0 = 1_700_000_000 * S
TRAINING_S = 12.0
Spans = list[tuple[float, float]]


def counter(t_s: Floats, cores: float, silent: Spans) -> Floats:
    """CPU seconds at each moment of a process that keeps `cores` busy but for `silent`."""
    quiet = sum((np.clip(t_s, first, last) - first for first, last in silent), np.zeros(t_s.shape))
    return np.asarray(cores * (t_s - t_s[0] - quiet), np.float64)


def samples(t_s: Floats, cpu_s: Floats) -> Samples:
    return Samples(T0 + np.round(t_s * S).astype(np.int64), {"cpu_s": cpu_s})


def found(t_s: Floats, cpu_s: Floats) -> Spans:
    """Windows of a training of TRAINING_S, in seconds after its start."""
    windows = cpu_windows(samples(t_s, cpu_s), T0, T0 + round(TRAINING_S * S))
    return [((w.start_ns - T0) / S, (w.end_ns - T0) / S) for w in windows]


def rows_at(rate_hz: float, offset_s: float = 0.0) -> Floats:
    """Moments of rows from two seconds before the training until two after it."""
    return np.arange(-2.0, TRAINING_S + 2.0, 1 / rate_hz) + offset_s / rate_hz


def lose(t_s: Floats, first: int) -> Floats:
    """The same without three rows in every eleven, as where slots were missed."""
    return t_s[(np.arange(t_s.size) + first) % 11 > 2]


def right_within(windows: Spans, first_s: float, last_s: float, period_s: float) -> bool:
    """Whether the one window is where it should be, and as long, within a sampling period."""
    ((start_s, end_s),) = windows
    off = (start_s - first_s, end_s - last_s, (end_s - start_s) - (last_s - first_s))
    return max(map(abs, off)) <= period_s + 1e-9


@settings(max_examples=300, deadline=None)
@given(
    begin_s=st.floats(0.5, 10.0),
    rate_hz=st.sampled_from([10.0, 100.0]),
    cores=st.sampled_from([1.0, 2.0]),
    offset=st.floats(0.0, 1.0),
    lost=st.none() | st.integers(0, 10),
)
def test_a_second_of_silence_is_found_within_a_sampling_period(
    begin_s: float, rate_hz: float, cores: float, offset: float, lost: int | None
) -> None:
    t_s = rows_at(rate_hz, offset)
    t_s = t_s if lost is None else lose(t_s, lost)
    windows = found(t_s, counter(t_s, cores, [(begin_s, begin_s + 1.0)]))
    assert right_within(windows, begin_s, begin_s + 1.0, 1 / rate_hz)


@settings(max_examples=100, deadline=None)
@given(begin_s=st.floats(0.5, 9.0), cores=st.sampled_from([1.0, 2.0]), offset=st.floats(0.0, 1.0))
def test_at_one_row_a_second_two_seconds_are_found_and_one_is_not_made_up(
    begin_s: float, cores: float, offset: float
) -> None:
    t_s = rows_at(1.0, offset)
    long = found(t_s, counter(t_s, cores, [(begin_s, begin_s + 2.0)]))
    assert right_within(long, begin_s, begin_s + 2.0, 1.0)
    short = found(t_s, counter(t_s, cores, [(begin_s, begin_s + 1.0)]))
    assert not short or right_within(short, begin_s, begin_s + 1.0, 1.0)


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**32), st.sampled_from([10.0, 100.0]))
def test_a_second_of_silence_is_found_beside_uneven_work(seed: int, rate_hz: float) -> None:
    draw = np.random.default_rng(seed)
    t_s = rows_at(rate_hz)
    uneven = np.concatenate(([0.0], np.cumsum(np.diff(t_s) * draw.uniform(1.2, 2.0, t_s.size - 1))))
    begin_s = draw.uniform(0.5, 10.0)
    # The work stands still while the clock goes on: as much is done before and after.
    worked_s = t_s - np.clip(t_s - begin_s, 0.0, 1.0)
    assert right_within(
        found(t_s, np.interp(worked_s, t_s, uneven)), begin_s, begin_s + 1.0, 1 / rate_hz
    )


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**32), st.sampled_from([1.0, 10.0, 100.0, 1000.0]), st.booleans())
def test_a_run_that_works_throughout_has_no_window(seed: int, rate_hz: float, missed: bool) -> None:
    draw = np.random.default_rng(seed)
    t_s = lose(rows_at(rate_hz), seed % 11) if missed else rows_at(rate_hz)
    cores = draw.uniform(0.3, 2.0, t_s.size - 1)
    assert found(t_s, np.concatenate(([0.0], np.cumsum(np.diff(t_s) * cores)))) == []


def test_only_what_is_in_the_training_counts() -> None:
    t_s = rows_at(10.0, 0.3)
    assert found(t_s, counter(t_s, 2.0, [(-1.5, -0.1), (TRAINING_S, TRAINING_S + 1.5)])) == []
    windows = found(t_s, counter(t_s, 2.0, [(-1.0, 1.0), (TRAINING_S - 0.7, TRAINING_S + 1.0)]))
    assert windows[0] == (0.0, pytest.approx(1.0, abs=0.1))
    assert windows[1] == (pytest.approx(TRAINING_S - 0.7, abs=0.1), TRAINING_S)


def test_a_window_shorter_than_the_least_is_none() -> None:
    t_s = rows_at(100.0)
    assert found(t_s, counter(t_s, 2.0, [(3.0, 3.0 + MIN_S - 0.02)])) == []
    assert len(found(t_s, counter(t_s, 2.0, [(3.0, 3.0 + MIN_S + 0.02)]))) == 1


@pytest.mark.parametrize(
    ("silent", "cores", "windows"),
    [
        pytest.param([(3.0, 3.5), (3.55, 4.0)], 1.0, [(3.0, 4.0)], id="a short blip"),
        pytest.param(
            [(3.0, 3.5), (3.7, 4.2)], 1.0, [(3.0, 3.5), (3.7, 4.2)], id="too long for a blip"
        ),
        pytest.param([(3.0, 3.4), (3.5, 3.6)], 2.0, [(3.0, 3.4)], id="not quiet as a whole"),
        pytest.param(
            [(3.0, 3.9), (3.95, 3.97)], 2.0, [(3.0, 3.9)], id="a dip of the work after it"
        ),
    ],
)
def test_a_blip_does_not_part_a_window(silent: Spans, cores: float, windows: Spans) -> None:
    t_s = rows_at(100.0)
    assert np.allclose(found(t_s, counter(t_s, cores, silent)), windows, atol=0.011)


def test_ticks_of_a_shared_core_do_not_lengthen_a_window() -> None:
    """As recorded at 1000 Hz: the counter rises by a tick of 4 ms, then stands while another process runs."""
    t_s = rows_at(1000.0)
    worked = counter(t_s, 0.5, [(4.0, 5.0)])
    ((first_s, last_s),) = found(t_s, np.floor(worked / 0.004) * 0.004)
    assert abs(first_s - 4.0) <= 0.016 and abs(last_s - 5.0) <= 0.016


def test_what_wakes_often_and_shortly_is_idle_at_any_rate() -> None:
    """A millisecond of work in every ten is a tenth of a core."""
    for rate_hz in (10.0, 100.0, 1000.0):
        t_s = rows_at(rate_hz)
        since = np.clip(t_s - 4.0, 0.0, 1.0)
        woken = 0.001 * np.floor(since / 0.01) + np.minimum(since % 0.01, 0.001)
        windows = found(t_s, counter(t_s, 1.0, [(4.0, 5.0)]) + woken)
        assert len(windows) == 1 and np.allclose(windows, [(4.0, 5.0)], atol=max(0.02, 1 / rate_hz))


def test_a_process_at_a_tenth_of_a_core_is_idle_and_at_a_third_is_not() -> None:
    t_s = rows_at(10.0)
    for cores, count in ((0.1, 1), (1 / 3, 0)):
        cpu_s = counter(t_s, 2.0, [(4.0, 6.0)]) + cores * np.clip(t_s - 4.0, 0.0, 2.0)
        assert len(found(t_s, cpu_s)) == count


def test_cells_without_a_value_make_no_window() -> None:
    t_s = rows_at(10.0)
    busy = counter(t_s, 1.0, [])
    holed = np.where((t_s > 3.0) & (t_s < 5.0), np.nan, busy)
    assert found(t_s, holed) == [], "the counter went on meanwhile"
    assert found(t_s, np.full(t_s.size, np.nan)) == []
    silent = counter(t_s, 1.0, [(3.0, 5.0)])
    silent[50:60] = np.nan
    assert right_within(found(t_s, silent), 3.0, 5.0, 0.1), "and here it did not"


def test_a_counter_that_falls_is_not_known_and_not_idle() -> None:
    t_s = rows_at(1.0)
    cpu_s = counter(t_s, 1.0, [])
    cpu_s[5:] -= 1.5
    assert np.diff(cpu_s).min() < 0
    assert found(t_s, cpu_s) == []


def test_with_a_gpu_only_what_both_do_not_use_is_idle() -> None:
    cpu = [Window(0, 2 * S), Window(5 * S, 6 * S)]
    gpu = [GpuWindow(S, 3 * S, 0.2, 20, ""), GpuWindow(5_800_000_000, 9 * S, 0.2, 30, "")]
    assert without_gpu(cpu, gpu) == [Window(S, 2 * S)]
    assert without_gpu(cpu, []) == []


def events(*epochs_s: tuple[float, float], end_s: float) -> Moments:
    """A training of these epochs, with 0.3 s from its end to the evaluation."""
    made = tuple(
        Epoch(k, T0 + round(a * S), T0 + round(b * S), 0.1, 0.9, 60)
        for k, (a, b) in enumerate(epochs_s, 1)
    )
    end = T0 + round(end_s * S)
    return Moments(
        train_start_ns=T0,
        first_batch_end_ns=T0 + S // 2,
        train_end_ns=end,
        evaluate_start_ns=end + 3 * S // 10,
        evaluate_end_ns=end + S,
        linger_end_ns=end + 2 * S,
        epochs=made,
        test_accuracy=0.9,
    )


@pytest.mark.parametrize(
    "epochs", [[(0.1, 2.0)], [(0.0, 2.0), (2.0, 3.0)], [(0.1, 2.0), (3.0, 4.0), (4.5, 6.0)]]
)
def test_phases_leave_no_moment_out_and_sum_to_the_training_time(epochs: Spans) -> None:
    recorded = events(*epochs, end_s=7.25)
    process = Process(T0 - 3 * S, T0 + 20 * S, 10.0, {})
    rows = pd.DataFrame(phases_of(recorded, process))
    assert rows["start_s"].tolist()[1:] == rows["end_s"].tolist()[:-1]
    assert (rows["start_s"].iloc[0], rows["end_s"].iloc[-1]) == (-3.0, 20.0)
    names = [name for k in range(1, len(epochs) + 1) for name in (f"epoch {k}", f"after epoch {k}")]
    assert rows["name"].tolist() == [
        *("load", "first batch"), *names, *("before evaluate", "evaluate", "linger", "exit"),
    ]  # fmt: skip
    inside = rows[rows["name"].isin(["first batch", *names])]
    assert (inside["end_s"] - inside["start_s"]).sum() == pytest.approx(7.25, abs=1e-9)


DIGITS = (("digits", "Digits", "mlp"),)
# In the third repetition longer: the spread of the group is that of its idle time.
SILENT = {1: (1.0, 1.5), 2: (1.0, 1.5), 3: (1.0, 2.4)}


def waiting(dataset: str, engine: str, repetition: int, gpu: bool) -> Made:
    """Keras waits in its first epoch, JAX never."""
    made = made_run(dataset, engine, 1, gpu)
    if engine == "jax":
        return made
    first_s, last_s = SILENT[repetition]
    spans = ((first_s, last_s),)
    return replace(made, steady_s=2.0 + last_s - first_s, cpu_idle=spans, idle=spans if gpu else ())


@pytest.fixture(scope="module")
def waited(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An index of runs that wait, without a GPU. Read it, do not change it."""
    root = tmp_path_factory.mktemp("waited")
    return write_results(root, MadeResults(datasets=DIGITS, make=waiting))


def test_windows_of_made_runs_stand_in_the_tables_with_their_phase(waited: Path) -> None:
    tables = tables_by_files(waited)
    rows = tables["idle_windows"]
    keras = rows[(rows["resource"] == "cpu") & (rows["engine"] == "keras")]
    assert keras["repetition"].tolist() == [1, 2, 3] and set(keras["window"]) == {1}
    true = np.array(list(SILENT.values()))
    assert np.allclose(keras[["start_s", "end_s"]], true, atol=0.1)
    assert np.allclose(keras["length_s"], true[:, 1] - true[:, 0], atol=0.1)
    assert np.allclose(keras["plus_minus_s"], 0.1) and keras["util_window_s"].isna().all()
    assert set(keras["phase"]) == {"epoch 1"} and not keras["reason"].fillna("").any()
    jax = rows[(rows["resource"] == "cpu") & (rows["engine"] == "jax")]
    assert jax["reason"].tolist() == [NONE] * 3
    runs = tables["runs"].set_index(["engine", "repetition"])
    assert runs.loc["keras", "idle_s"].tolist() == pytest.approx(keras["length_s"].tolist())
    assert (
        runs.loc["keras", "idle_share"] * runs.loc["keras", "training_s"]
    ).tolist() == pytest.approx(keras["length_s"].tolist())
    assert (runs.loc["jax", "idle_s"] == 0.0).all()


def test_the_finding_names_share_and_phase_and_the_spread_its_cause(waited: Path) -> None:
    quality = tables_by_files(waited)["quality"]
    idle = quality[quality["finding"] == "idle"]
    assert set(idle["engine"]) == {"keras"} and set(idle["state"]) == {"warned"}
    assert idle["value"].iloc[2] == pytest.approx(1.4 / 4.15, abs=0.03)
    assert idle["reason"].str.endswith(": epoch 1").all() and set(idle["limit"]) == {0.02}
    (spread,) = quality[quality["finding"] == "spread"].to_dict("records")
    assert "that their idle time explains" in spread["reason"] and spread["value"] > spread["limit"]


def test_headline_tables_have_the_idle_time_and_no_ratio_of_it(waited: Path) -> None:
    tables = tables_of(read_index(waited))
    idle = tables["summary"].query("measure == 'idle_s'").set_index("engine")
    assert (
        idle.loc["keras", "median"] == pytest.approx(0.5, abs=0.1) and idle.loc["jax", "max"] == 0.0
    )
    assert set(idle["n"]) == {3}
    assert "idle_s" not in set(tables["ratios"]["measure"])
    metrics = metrics_of(read_index(waited))
    assert metrics["digits"]["keras"]["idle_s"] == idle.loc["keras", "median"]


def test_a_run_without_a_counter_is_not_known_and_not_zero(tmp_path: Path) -> None:
    index = write_results(tmp_path, MadeResults(datasets=DIGITS, make=waiting))
    change_run(index, 0, lambda frame: frame.__setitem__("cpu_s", ""))
    change_run(
        index,
        2,
        lambda frame: frame.__setitem__("cpu_s", frame["cpu_s"].where(frame.index < 40, "")),
    )
    tables = tables_by_files(index)
    runs = tables["runs"].set_index(["engine", "repetition"])
    assert runs.loc["keras", "idle_s"].isna().tolist() == [True, True, False]
    rows = tables["idle_windows"].query("resource == 'cpu' and engine == 'keras'")
    assert rows["repetition"].dropna().tolist() == [3]
    assert rows["reason"].iloc[-1] == f"{NOT_COVERED} (2 of 3 runs)"
    time = tables["summary"].query("measure == 'idle_s' and engine == 'keras'").iloc[0]
    assert (time["n"], time["n_wanted"]) == (1, 3)
    assert tables["quality"].query("finding == 'spread'").empty, (
        "of two of three runs it is not known"
    )


def one_lost(values: pd.Series[str]) -> pd.Series[str]:
    """A value within the wait is not there."""
    return values.where(values.index != 35, "")


def gpu_results(root: Path) -> Path:
    return write_results(root, MadeResults(datasets=DIGITS, make=waiting, gpu=True))


def moved(root: Path) -> Path:
    """The same, but in the third repetition the card has work again before the CPU has."""
    early = {3: ((1.0, 1.9),)}

    def make(dataset: str, engine: str, repetition: int, gpu: bool) -> Made:
        made = waiting(dataset, engine, repetition, gpu)
        return replace(made, idle=early.get(repetition, made.idle)) if engine == "keras" else made

    return write_results(root, MadeResults(datasets=DIGITS, make=make, gpu=True))


def test_on_a_gpu_the_idle_time_is_when_neither_works(tmp_path: Path) -> None:
    runs = tables_by_files(gpu_results(tmp_path))["runs"].set_index(["engine", "repetition"])
    assert runs.loc[("keras", 3), "idle_s"] == pytest.approx(1.4, abs=0.3)
    cut = tables_by_files(moved(tmp_path / "moved"))["idle_windows"].query("resource == 'cpu'")
    row = cut[(cut["engine"] == "keras") & (cut["repetition"] == 3)].iloc[0]
    assert abs(row["end_s"] - 1.9) <= row["plus_minus_s"] == pytest.approx(0.1 + 1 / 6)
    index = gpu_results(tmp_path / "busy")
    change_run(index, 4, lambda frame: frame.__setitem__("gpu_util_pct", "60"))
    runs = tables_by_files(index)["runs"].set_index(["engine", "repetition"])
    assert runs.loc[("keras", 3), "idle_s"] == 0.0, (
        "the CPU waits for the card: nothing idle in that"
    )


def test_without_values_of_the_gpu_it_is_not_known(tmp_path: Path) -> None:
    index = gpu_results(tmp_path)
    change_run(index, 0, lambda frame: frame.__setitem__("gpu_util_pct", ""))
    change_run(
        index, 4, lambda frame: frame.__setitem__("gpu_util_pct", one_lost(frame["gpu_util_pct"]))
    )
    tables = tables_by_files(index)
    runs = tables["runs"].set_index(["engine", "repetition"])
    assert runs.loc["keras", "idle_s"].isna().tolist() == [True, False, True]
    rows = tables["idle_windows"].query("resource == 'cpu' and engine == 'keras'")
    assert GPU_UNSEEN in rows["reason"].iloc[-1] and "(2 of 3 runs)" in rows["reason"].iloc[-1]


def test_unknown_idle_time_is_counted_with_the_other_gates(tmp_path: Path) -> None:
    index = gpu_results(tmp_path)
    change_run(index, 0, lambda frame: frame.__setitem__("gpu_util_pct", ""))
    assert unknown(normalise(read_index(index).first).circumstances)["idle"] == 1


def test_the_note_lists_how_each_engine_waits(waited: Path) -> None:
    condition = read_index(waited).first
    first = condition.engines[0].model_copy(update={"wait_policy": "sleeps at once"})
    engines = (first, condition.engines[1])
    said = notes_of(index_of(condition.model_copy(update={"engines": engines})), "idle_windows")
    assert "`keras`: sleeps at once" in said and "`jax`: not recorded" in said
    assert "waits actively" in said
