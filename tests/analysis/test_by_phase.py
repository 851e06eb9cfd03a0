"""Phase by phase: means over equal parts of each phase keep what was used, and forget how long it took."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.remade import change_run, tables_by_files
from analysis.synthetic import Made, MadeResults, made_run, write_results
from evenground.analysis.by_phase import CURVE, PARTS, mean_by_phase, phase_means
from evenground.analysis.columns import names_of
from evenground.analysis.normalise import normalise
from evenground.analysis.phases import Phase
from evenground.analysis.runs import COUNTER, GAUGES, Samples
from evenground.analysis.timeline import COLUMNS
from evenground.records.index import read_index
from evenground.records.times import Process

S = 10**9
T0 = 1_700_000_000 * S
NAMES = ("load", "first batch", "epoch 1", "evaluate")


def phases(*lengths_s: float) -> list[Phase]:
    """Phases one after the other, the first before the start of training."""
    ends = np.cumsum(lengths_s) - lengths_s[0]
    return [
        Phase(name=name, start_s=float(end - length), end_s=float(end))
        for name, length, end in zip(NAMES, lengths_s, ends, strict=False)
    ]


def samples(t_s: np.ndarray, cpu_s: np.ndarray, gauge: np.ndarray) -> Samples:
    columns = {COUNTER: cpu_s.astype(np.float64), **dict.fromkeys(GAUGES, gauge.astype(np.float64))}
    return Samples(T0 + np.round(t_s * S).astype(np.int64), columns)


def means(found: Samples, spans: list[Phase], rate_hz: float = 10.0) -> pd.DataFrame:
    return phase_means(Process(T0, T0, rate_hz, {}, {}, cores=1), found, T0, spans)


lengths = st.lists(st.floats(0.3, 9.0), min_size=4, max_size=4)


@settings(max_examples=10, deadline=None)
@given(lengths, lengths)
def test_what_a_run_does_in_each_phase_is_the_same_however_long_it_takes(
    first: list[float], second: list[float]
) -> None:
    frames = []
    for spans in (phases(*first), phases(*second)):
        ends = [span.end_s for span in spans]
        # Two thousand rows a second, so that no row straddles much of two phases.
        t_s = np.arange(-spans[0].end_s - 10, 30, 0.0005)
        level = np.searchsorted(ends, t_s, side="right")
        cpu_s = np.concatenate(([0.0], np.cumsum(np.diff(t_s) * level[:-1])))
        frames.append(means(samples(t_s, cpu_s, level), spans, 2000.0))
    a, b = frames
    assert (
        a["phase"].tolist() == [name for name in NAMES for _ in range(PARTS)] == b["phase"].tolist()
    )
    assert np.allclose(a["rss_bytes"], np.repeat([0, 1, 2, 3], PARTS), atol=0.02)
    assert np.allclose(a[list(COLUMNS)], b[list(COLUMNS)], atol=2.0)


@settings(max_examples=50)
@given(lengths, st.lists(st.floats(0, 3), min_size=40, max_size=40))
def test_parts_add_up_to_the_counters_difference(spans_s: list[float], spent: list[float]) -> None:
    spans = phases(*spans_s)
    start, end = spans[0].start_s, spans[-1].end_s
    t_s = np.linspace(start - 0.1, end + 0.1, 40)
    cpu_s = np.cumsum(spent)
    frame = means(samples(t_s, cpu_s, cpu_s), spans)
    widths = np.repeat(spans_s, PARTS) / PARTS
    edges = np.interp([start, end], t_s, cpu_s)
    assert np.sum(frame["cpu_pct"] / 100 * widths) == pytest.approx(edges[1] - edges[0], abs=1e-6)


def test_a_value_holds_for_five_periods_and_a_part_without_one_is_missing() -> None:
    spans = phases(1.0, 10.0)
    t_s = np.concatenate((np.arange(-1.0, 2.0, 0.1), [9.5, 9.6]))
    frame = means(samples(t_s, t_s - t_s[0], np.full(t_s.size, 7.0)), spans)
    batch = frame[frame["phase"] == "first batch"]
    assert np.flatnonzero(batch["rss_bytes"].isna()).tolist() == [2, 3, 4, 5, 6, 7, 8]
    assert set(batch["rss_bytes"].dropna()) == {7.0}
    assert np.allclose(batch["cpu_pct"], 100.0), "a counter's mean holds across a gap"


def test_no_value_and_no_width_are_missing() -> None:
    t_s = np.arange(-1.0, 3.0, 0.1)
    nothing = np.full(t_s.size, np.nan)
    assert (
        means(samples(t_s, nothing, nothing), phases(1.0, 2.0))[list(COLUMNS)].isna().all(axis=None)
    )
    flat = means(samples(t_s, t_s, t_s), phases(1.0, 0.0))
    assert flat[flat["phase"] == "first batch"][list(COLUMNS)].isna().all(axis=None)
    assert means(samples(t_s[:0], t_s[:0], t_s[:0]), phases(1.0, 2.0))["rss_bytes"].isna().all()


def run_of(level: float) -> pd.DataFrame:
    t_s = np.arange(-1.0, 3.0, 0.1)
    return means(samples(t_s, t_s, np.full(t_s.size, level)), phases(1.0, 2.0))


def test_mean_and_range_are_over_the_runs_that_measured_the_resource() -> None:
    never = run_of(9.0).assign(gpu_util_pct=np.nan)
    found = mean_by_phase([run_of(1.0), never, run_of(5.0)])
    assert tuple(found.columns) == names_of(CURVE)
    gpu = found[found["column"] == "gpu_util_pct"]
    assert set(gpu[["n", "mean", "min", "max"]].itertuples(index=False, name=None)) == {
        (2, 3.0, 1.0, 5.0)
    }
    memory = found[found["column"] == "rss_bytes"]
    assert set(memory["n"]) == {3} and set(memory["mean"]) == {5.0}
    assert memory["place"].tolist() == pytest.approx([0.05 + 0.1 * k for k in range(20)])


def test_a_part_that_one_run_lacks_is_missing_in_the_mean() -> None:
    holed = run_of(3.0)
    holed.loc[4, "rss_bytes"] = np.nan
    memory = mean_by_phase([run_of(1.0), holed]).query("column == 'rss_bytes'")
    assert np.flatnonzero(memory["mean"].isna()).tolist() == [4]


def test_made_runs_have_every_phase_once_per_group(index_path: Path) -> None:
    frame = normalise(read_index(index_path).first).by_phase
    assert set(frame["column"]) == {c for c in COLUMNS if not c.startswith(("gpu", "vram"))}
    assert len(frame) == 4 * 5 * 8 * PARTS and frame["mean"].notna().all()
    epoch = frame[(frame["column"] == "cpu_pct") & (frame["phase"] == "epoch 2")]
    assert np.allclose(epoch[epoch["engine"] == "keras"]["mean"], 75.0)


def test_a_run_without_any_value_breaks_nothing(tmp_path: Path) -> None:
    def make(*names: Any) -> Made:
        return replace(made_run(*names), baseline=False)

    made = MadeResults(datasets=(("digits", "Digits", "mlp"),), repetitions=1, gpu=True, make=make)
    index = write_results(tmp_path, made)
    numbers = [COUNTER, *GAUGES]
    change_run(index, 0, lambda frame: frame.__setitem__(numbers, ""))
    frame = normalise(read_index(index).first).by_phase
    assert set(frame["engine"]) == {"jax"}
    change_run(index, 1, lambda frame: frame.__setitem__(numbers, ""))
    assert len(normalise(read_index(index).first).by_phase) == 0
    tables = tables_by_files(index)
    assert tables["quality"].empty and tables["memory_after"]["used_median"].isna().all()
    assert (tables["idle_windows"]["reason"] != "").all() and len(tables["idle_windows"]) == 4
