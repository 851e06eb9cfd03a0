"""Memory after the end of training: at the right moments, and missing where nobody looked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from analysis.remade import change_run, say_of_baseline, tables_by_files
from analysis.synthetic import MadeResults, write_results
from evenground.analysis.memory import FIRST, MOMENTS, NO_BASELINE, UNSAMPLED
from evenground.analysis.runs import read_runs
from evenground.records.faults import RecordError
from evenground.records.index import read_index

MIB = 2**20
ONE = MadeResults(datasets=(("digits", "Digits", "mlp"),), repetitions=1, gpu=True)


def used(table: pd.DataFrame, engine: str, resource: str, what: str = "used_median") -> list[float]:
    rows = table[(table["engine"] == engine) & (table["resource"] == resource)]
    assert rows["moment"].tolist() == list(MOMENTS.values())
    return [float(value) for value in rows[what]]


@pytest.fixture
def index(tmp_path: Path) -> Path:
    """One Keras and one JAX run with a GPU."""
    return write_results(tmp_path, ONE)


def test_values_are_those_of_each_moment(index: Path) -> None:
    table = tables_by_files(index)["memory_after"]
    assert used(table, "keras", "rss_bytes") == [45 * MIB, 450 * MIB, 450 * MIB, 0]
    assert used(table, "keras", "rss_bytes", "share_of_peak_median") == [0.1, 1.0, 1.0, 0.0]
    card = [200 * MIB, *[2**31 + 200 * MIB] * 2, 200 * MIB]
    assert used(table, "keras", "vram_used_bytes") == card
    machine = [2**31 + size * MIB for size in (45, 450, 450, 0)]
    assert used(table, "keras", "machine_used_bytes") == machine
    assert table["reason"].tolist() == [""] * 24


def test_memory_that_is_freed_before_the_exit_shows(index: Path) -> None:
    """What the thesis says of Python (R2, V2) would look like this: gone at the end of linger."""

    def free(frame: pd.DataFrame) -> None:
        # Ten rows a second: 2 s of loading, 3 s of training, 0.3 s of evaluation, 1 s of linger.
        frame.loc[55:, ["rss_bytes", "vram_used_bytes"]] = str(100 * MIB)

    change_run(index, 0, free)
    table = tables_by_files(index)["memory_after"]
    assert used(table, "keras", "rss_bytes")[1:3] == [450 * MIB, 100 * MIB]
    assert used(table, "keras", "vram_used_bytes")[1:3] == [2**31 + 200 * MIB, 100 * MIB]
    assert used(table, "keras", "rss_bytes", "share_of_peak_median")[2] == pytest.approx(100 / 450)


def test_what_nobody_sampled_is_missing_with_a_reason(index: Path) -> None:
    change_run(index, 0, lambda frame: frame.drop(frame.index[-1], inplace=True))
    table = tables_by_files(index)["memory_after"]
    last = table[(table["engine"] == "keras") & (table["moment"] == "after exit")]
    assert last["used_median"].isna().all() and (last["n"] == 0).all()
    assert set(last["reason"]) == {UNSAMPLED}
    others = table[(table["engine"] == "keras") & (table["moment"] != "after exit")]
    assert others["used_median"].notna().all() and set(others["reason"]) == {""}


def test_a_process_that_waits_to_be_collected_has_left_its_memory(index: Path) -> None:
    def left(frame: pd.DataFrame) -> None:
        frame.drop(frame.index[-1], inplace=True)
        frame.loc[frame.index[-1], ["rss_bytes", "machine_used_bytes"]] = ["0", str(2**31)]

    change_run(index, 0, left)
    table = tables_by_files(index)["memory_after"]
    assert used(table, "keras", "machine_used_bytes")[3] == 2**31


def test_an_old_value_is_not_carried_to_the_end_of_linger(index: Path) -> None:
    change_run(index, 0, lambda frame: frame.drop(frame.index[51:-1], inplace=True))
    table = tables_by_files(index)["memory_after"]
    at = used(table, "keras", "rss_bytes")
    assert at[1] == 450 * MIB and at[2] != at[2]


def test_without_a_gpu_or_a_run_there_is_a_reason(tmp_path: Path, index_path: Path) -> None:
    table = tables_by_files(index_path)["memory_after"]
    vram = table[table["resource"] == "vram_used_bytes"]
    assert vram["reason"].str.startswith("no NVIDIA driver").all() and (vram["n"] == 0).all()
    lost = {("digits", engine, 1): ("failed", "crashed") for engine in ("keras", "jax")}
    made = MadeResults(datasets=ONE.datasets, repetitions=1, lost=lost)
    nothing = tables_by_files(write_results(tmp_path / "lost", made))["memory_after"]
    assert set(nothing["reason"]) == {"no finished run"} and (nothing["n_wanted"] == 1).all()


def launch(index: Path, engine: str = "keras") -> tuple[float, str]:
    """Bytes of the card at the launch, and what is said of them."""
    table = tables_by_files(index)["memory_after"]
    rows = table[(table["engine"] == engine) & (table["resource"] == "vram_used_bytes")]
    (row,) = rows[rows["moment"] == "launch"].to_dict("records")
    return float(row["used_median"]), str(row["reason"])


def test_what_the_card_held_at_the_launch_was_read_before_it(index: Path) -> None:
    """The first sample may come when the engine has its context already."""
    change_run(index, 0, lambda frame: frame.drop(frame.index[:15], inplace=True))
    assert launch(index) == (200 * MIB, "")


def test_without_a_look_before_the_launch_the_first_value_is_taken_and_that_is_said(
    index: Path,
) -> None:
    folder = read_runs(read_index(index).first)[0].folder
    say_of_baseline(folder, None)
    change_run(index, 0)
    first = 200 * MIB + 2**31 // 10
    assert launch(index) == (first, f"{FIRST}: {NO_BASELINE}")
    assert launch(index, "jax") == (200 * MIB, "")
    say_of_baseline(
        folder, {"vram_used_bytes": None, "missing": {"vram_used_bytes": "the driver hung"}}
    )
    change_run(index, 0)
    assert launch(index) == (first, f"{FIRST}: the driver hung")


def test_some_runs_without_a_look_are_counted(tmp_path: Path) -> None:
    made = MadeResults(datasets=ONE.datasets, repetitions=3, gpu=True)
    index = write_results(tmp_path, made)
    say_of_baseline(read_runs(read_index(index).first)[0].folder, None)
    change_run(index, 0)
    assert launch(index)[1] == f"{FIRST}: {NO_BASELINE} (1 of 3 runs)"


@pytest.mark.parametrize(
    "baseline",
    [
        {"vram_used_bytes": -1},
        {"power_w": 1e9},
        {"power_from": "guess"},
        {"missing": {"power_w": 3}},
        5,
    ],
)
def test_a_baseline_that_cannot_be_is_refused(index: Path, baseline: Any) -> None:
    say_of_baseline(read_runs(read_index(index).first)[0].folder, baseline)
    change_run(index, 0)
    with pytest.raises(RecordError, match="broken header of the samples, gpu_baseline"):
        tables_by_files(index)
