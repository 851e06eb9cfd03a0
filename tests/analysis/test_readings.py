"""A slow driver is read less often than there are rows: what rows repeat counts once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from analysis.remade import change_run, tables_by_files
from analysis.synthetic import Made, MadeResults, write_results
from evenground.analysis.instruments import TRACES
from evenground.analysis.measures import zero_s
from evenground.analysis.normalise import normalise
from evenground.analysis.readings import are_first, distance_s, once
from evenground.analysis.runs import Run, read_runs
from evenground.analysis.seen import see
from evenground.records.index import read_index

# 2 s of loading, 0.5 s for the first batch and 2.5 s after it; ten rows a second, a reading every 0.25 s.
READING_S = 0.25
BOTH = ("corrected", "as-published")


def results(to: Path, **made: Any) -> Path:
    given = {"gpu": True, "reading_s": READING_S, "linger_s": 2.0, **made}
    one = MadeResults(
        datasets=(("digits", "Digits", "mlp"),),
        engines=("keras",),
        repetitions=1,
        gpu=True,
        make=lambda *_: Made(**given),
    )
    return write_results(to, one)


def run_of(index: Path) -> Run:
    return read_runs(read_index(index).first)[0]


def one_zero(frame: pd.DataFrame) -> None:
    """The driver says once that nothing ran, and the next two rows repeat it."""
    age_s = frame["gpu_age_s"].astype(float)
    first = int(np.flatnonzero((age_s < 0.05) & (frame.index > 35))[0])
    frame.loc[first : first + 2, "gpu_util_pct"] = "0"
    assert age_s[first : first + 3].is_monotonic_increasing


def as_an_older_sampler(change: Callable[[pd.DataFrame], None]) -> Callable[[pd.DataFrame], None]:
    def changed(frame: pd.DataFrame) -> None:
        change(frame)
        frame.drop(columns="gpu_age_s", inplace=True)

    return changed


def test_each_reading_is_found_once_at_its_own_moment(tmp_path: Path) -> None:
    samples = run_of(results(tmp_path)).samples()
    t_ns, values = once(samples, "gpu_util_pct")
    assert np.diff(t_ns) == pytest.approx(READING_S * 1e9, abs=1e6)
    assert t_ns.size == values.size == are_first(samples).sum() < 0.5 * samples.t_ns.size
    assert distance_s(samples) == pytest.approx(READING_S)


def test_without_ages_every_row_is_a_reading(tmp_path: Path) -> None:
    index = results(tmp_path)
    change_run(index, 0, as_an_older_sampler(lambda frame: None))
    samples = run_of(index).samples()
    assert are_first(samples).all() and distance_s(samples) == pytest.approx(0.1)
    assert once(samples, "gpu_util_pct")[0].tolist() == samples.t_ns.tolist()


def test_one_reading_in_three_rows_is_no_idle_window(tmp_path: Path) -> None:
    """Three rows of 0 % would be one of 0.3 s: the driver said it once."""
    index, older = results(tmp_path / "a"), results(tmp_path / "b")
    change_run(index, 0, one_zero)
    change_run(older, 0, as_an_older_sampler(one_zero))
    counts = []
    for path in (index, older):
        table = tables_by_files(path)["idle_windows"]
        counts.append(int(table[table["resource"] == "gpu"]["window"].notna().sum()))
    assert counts == [0, 1]


def test_a_window_is_right_to_the_time_between_readings(tmp_path: Path) -> None:
    idle = ((1.0, 2.4),)
    table = tables_by_files(results(tmp_path, idle=idle))["idle_windows"]
    (row,) = table[(table["resource"] == "gpu") & table["window"].notna()].to_dict("records")
    assert row["plus_minus_s"] == pytest.approx(READING_S + 1 / 6)
    assert abs(row["start_s"] - 1.0) <= row["plus_minus_s"] / 2
    assert abs(row["end_s"] - 2.4) <= row["plus_minus_s"] / 2
    assert row["samples"] <= 1.4 / READING_S + 1


@pytest.mark.parametrize("instrument", BOTH)
def test_time_without_use_is_that_of_readings(tmp_path: Path, instrument: Any) -> None:
    index, older = results(tmp_path / "a"), results(tmp_path / "b")
    change_run(index, 0, one_zero)
    change_run(older, 0, as_an_older_sampler(one_zero))
    ours, theirs = (
        zero_s(TRACES[instrument](see(run_of(path), 0.1)), "gpu") for path in (index, older)
    )
    assert ours == pytest.approx(READING_S, rel=0.1) and theirs == pytest.approx(0.3)
    whole = run_of(results(tmp_path / "c", gpu_zero_s=1.0))
    assert zero_s(TRACES[instrument](see(whole, 0.1)), "gpu") == pytest.approx(1.0, abs=READING_S)


@pytest.mark.parametrize("instrument", BOTH)
def test_where_each_row_is_a_reading_nothing_changes(tmp_path: Path, instrument: Any) -> None:
    index, older = (results(tmp_path / name, reading_s=None, gpu_zero_s=0.9) for name in "ab")
    change_run(older, 0, as_an_older_sampler(lambda frame: None))
    ours, theirs = (
        zero_s(TRACES[instrument](see(run_of(path), 0.1)), "gpu") for path in (index, older)
    )
    assert [ours, theirs] == pytest.approx([0.9, 0.9], abs=0.11)


def test_throttling_is_counted_by_readings(tmp_path: Path) -> None:
    """Slowed down in one reading of twelve, which stands in three of thirty rows."""
    index = results(tmp_path)

    def slow(frame: pd.DataFrame) -> None:
        age_s = frame["gpu_age_s"].astype(float)
        first = int(np.flatnonzero((age_s < 0.05) & (frame.index > 35))[0])
        frame.loc[first : first + 2, "gpu_throttle_reasons"] = str(0x40)

    change_run(index, 0, slow)
    known = normalise(read_index(index).first).circumstances
    assert known["gpu_samples"].tolist() == [12]
    assert known["throttled_share"].tolist() == [pytest.approx(1 / 12)]
