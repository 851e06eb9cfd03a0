"""GPU columns, against a driver library compiled here: values, faults, and calls that hang."""

from __future__ import annotations

import csv
import ctypes
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from evenground import sidecar
from evenground.sidecar.columns import CARD_COLUMNS, COLUMNS, GPU_COLUMNS, UTIL_SAMPLE_COLUMNS
from evenground.sidecar.gpu_latest import NOT_YET, ONCE

Call = Callable[..., Any]


@pytest.fixture
def measure_gpu(measure: Call, nvml_library: Path) -> Call:
    """Measures a short sleep with the fake driver in one of its moods."""

    def measurer(mood: str, seconds: float = 0.8, *options: str) -> Any:
        env = {"LD_LIBRARY_PATH": str(nvml_library), "FAKE_NVML": mood}
        return measure(["sleep", str(seconds)], *options, env=env)

    return measurer


def test_values_of_all_cards_come_together(measure_gpu: Call) -> None:
    got = measure_gpu("")
    assert set(got.column("gpu_util_pct")) == {45.0}
    assert set(got.column("vram_used_bytes")) == {2000.0}
    assert set(got.column("gpu_power_w")) == {100.5}
    assert len(got.column("gpu_power_w")) >= len(got.rows) - 2
    assert [(card["index"], card["name"]) for card in got.header["gpus"]] == [
        (0, "Fake Card"),
        (1, "Fake Card"),
    ]
    once_a_second = [column for column in GPU_COLUMNS if COLUMNS[column].period_s]
    for column in GPU_COLUMNS:
        reasons = set(got.header["missing"].get(column, NOT_YET).split("; "))
        assert reasons <= ({NOT_YET, ONCE} if column in once_a_second else {NOT_YET})


def test_from_python_the_driver_is_found_too(nvml_library: Path, tmp_path: Path) -> None:
    files = {"samples": tmp_path / "s.csv", "header": tmp_path / "s.json"}
    sidecar.run(["sleep", "0.4"], env={**os.environ, "LD_LIBRARY_PATH": str(nvml_library)}, **files)
    header = json.loads((tmp_path / "s.json").read_text())
    assert [card["name"] for card in header["gpus"]] == ["Fake Card", "Fake Card"]


@pytest.mark.slow
def test_the_trees_processes_and_each_card(start: Call, nvml_library: Path, tmp_path: Path) -> None:
    file = tmp_path / "driver"
    stamp_us = time.time_ns() // 1000 + 10**6
    steps = f"sample-from {stamp_us}\nsample-step 250000\nsample-to {stamp_us + 10**6}\n"
    listed = f"compute-pid-1.0 %d\ncompute-used-1.0 700\ncompute-pid-1.1 {os.getpid()}\n"
    script = f"printf '{listed}{steps}' $$ > {file}; exec sleep 2.4"
    env = {"LD_LIBRARY_PATH": str(nvml_library), "FAKE_NVML_FILE": str(file)}
    running = start(["sh", "-c", script], "--gpu-wait-s", "0", env=env)
    got = running.done()
    assert got.column("vram_tree_bytes")[-1] == 700 and got.column("gpu_foreign_processes")[-1] == 1
    with (running.folder / "samples.cards.csv").open(newline="") as cards:
        rows = list(csv.DictReader(cards))
    assert list(rows[0]) == list(CARD_COLUMNS) and {row["card"] for row in rows} == {"0", "1"}
    assert {row["util_pct"] for row in rows if row["card"] == "1"} == {"50"}
    with (running.folder / "samples.util.csv").open(newline="") as util:
        samples = list(csv.DictReader(util))
    assert list(samples[0]) == list(UTIL_SAMPLE_COLUMNS)
    times_us = [int(row["t_unix_us"]) for row in samples if row["card"] == "0"]
    assert times_us == [stamp_us + k * 250_000 for k in range(5)]
    assert got.header["gpus"][0]["util_window_s"] == 0.25


def test_an_old_driver_gives_memory_the_old_way(measure_gpu: Call) -> None:
    assert set(measure_gpu("old-driver", 0.3).column("vram_used_bytes")) == {2200.0}


def test_one_value_that_a_card_does_not_give_leaves_the_others(measure_gpu: Call) -> None:
    got = measure_gpu("no-power", 0.4)
    assert got.column("gpu_power_w") == []
    assert got.column("gpu_util_pct") and got.column("vram_used_bytes")
    assert "NVML: nvmlDeviceGetPowerUsage: Not Supported" in got.header["missing"]["gpu_power_w"]


def test_a_lost_card_is_missing_not_zero(measure_gpu: Call) -> None:
    got = measure_gpu("lost", 0.4)
    for column in GPU_COLUMNS[:-1]:
        assert got.column(column) == []
        assert "GPU is lost" in got.header["missing"][column]


@pytest.mark.parametrize(
    ("mood", "reason"),
    [("no-driver", "Driver Not Loaded"), ("no-card", "the NVIDIA driver gives this user no card")],
)
def test_a_driver_without_a_card(mood: str, reason: str, measure_gpu: Call) -> None:
    got = measure_gpu(mood, 0.3)
    assert all(reason in got.header["missing"][column] for column in GPU_COLUMNS)
    assert got.status == 0


def test_a_call_that_hangs_delays_no_row_and_no_end(measure_gpu: Call) -> None:
    got = measure_gpu("hang", 2.0)
    assert got.summary["rows"] >= 0.9 * 22
    assert max(int(row["interval_ns"]) for row in got.rows) < 300_000_000
    assert 3 <= len(got.column("gpu_power_w")) < 14
    assert got.rows[-1]["gpu_util_pct"] == ""
    assert (
        "did not answer nvmlDeviceGetPowerUsage for over 0.5 s"
        in got.header["missing"]["gpu_util_pct"]
    )
    assert got.summary["exited_unix_ns"] - got.summary["launched_unix_ns"] < 3 * 10**9


def test_a_driver_that_hangs_from_the_start(measure_gpu: Call) -> None:
    got = measure_gpu("hang-init", 0.9, "--gpu-wait-s=1")
    assert "did not answer nvmlInit for over 0.5 s" in got.header["missing"]["gpu_power_w"]
    assert got.summary["rows"] >= 9


def test_without_the_drivers_library_the_reason_says_so(measure: Call) -> None:
    try:
        ctypes.CDLL("libnvidia-ml.so.1")
    except OSError:
        pass
    else:
        pytest.skip("this machine has an NVIDIA driver")
    got = measure(["true"])
    reason = "no NVIDIA driver library on this machine (libnvidia-ml.so.1)"
    assert got.header["missing"] == dict.fromkeys(GPU_COLUMNS, reason)


@pytest.mark.gpu
def test_a_real_card_gives_all_values(measure: Call) -> None:
    try:
        ctypes.CDLL("libnvidia-ml.so.1")
    except OSError:
        pytest.skip("no NVIDIA driver library on this machine")
    got = measure(["sleep", "3"])
    assert all(0 <= value <= 100 for value in got.column("gpu_util_pct"))
    assert min(got.column("vram_used_bytes")) >= 0 and got.column("gpu_power_w")[-1] > 1
    assert got.column("gpu_energy_j") == sorted(got.column("gpu_energy_j"))
    assert all(got.column(column) or got.header["missing"].get(column) for column in GPU_COLUMNS)
    assert all(card["name"] and card["uuid"] for card in got.header["gpus"])
