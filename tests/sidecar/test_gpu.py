"""GPU columns, against a driver library compiled here: values, faults, and calls that hang."""

from __future__ import annotations

import ctypes
import importlib.util
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from evenground.sidecar.columns import GPU_COLUMNS

Call = Callable[..., Any]


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder that holds the fake libnvidia-ml.so.1."""
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        pytest.skip("no C compiler on this machine")
    if importlib.util.find_spec("pynvml") is None:
        pytest.skip("nvidia-ml-py is not installed")
    folder = tmp_path_factory.mktemp("nvml")
    source = Path(__file__).with_name("fake_nvml.c")
    subprocess.run([compiler, "-shared", "-fPIC", "-o", folder / "libnvidia-ml.so.1", source], check=True)
    return folder


@pytest.fixture
def measure_gpu(measure: Call, library: Path) -> Call:
    """Measures a short sleep with the fake driver in one of its moods."""

    def measurer(mood: str, seconds: float = 0.8) -> Any:
        return measure(["sleep", str(seconds)], env={"LD_LIBRARY_PATH": str(library), "FAKE_NVML": mood})

    return measurer


def test_values_of_all_cards_come_together(measure_gpu: Call) -> None:
    got = measure_gpu("")
    assert set(got.column("gpu_util_pct")) == {45.0}
    assert set(got.column("vram_used_bytes")) == {2000.0}
    assert set(got.column("gpu_power_w")) == {100.5}
    assert len(got.column("gpu_power_w")) >= len(got.rows) - 2
    assert got.header["gpus"] == [{"index": 0, "name": "Fake Card"}, {"index": 1, "name": "Fake Card"}]
    assert set(got.header["missing"].values()) <= {"the NVIDIA driver has not answered yet"}


def test_an_old_driver_gives_memory_the_old_way(measure_gpu: Call) -> None:
    assert set(measure_gpu("old-driver", 0.3).column("vram_used_bytes")) == {2200.0}


def test_one_value_that_a_card_does_not_give_leaves_the_others(measure_gpu: Call) -> None:
    got = measure_gpu("no-power", 0.4)
    assert got.column("gpu_power_w") == []
    assert got.column("gpu_util_pct") and got.column("vram_used_bytes")
    assert "NVML: nvmlDeviceGetPowerUsage: Not Supported" in got.header["missing"]["gpu_power_w"]


def test_a_lost_card_is_missing_not_zero(measure_gpu: Call) -> None:
    got = measure_gpu("lost", 0.4)
    for column in GPU_COLUMNS:
        assert got.column(column) == []
        assert "GPU is lost" in got.header["missing"][column]


@pytest.mark.parametrize(
    ("mood", "reason"),
    [("no-driver", "Driver Not Loaded"), ("no-card", "the NVIDIA driver knows no card on this machine")],
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
    assert "did not answer nvmlDeviceGetPowerUsage for over 0.5 s" in got.header["missing"]["gpu_util_pct"]
    assert got.summary["exited_unix_ns"] - got.summary["launched_unix_ns"] < 3 * 10**9


def test_a_driver_that_hangs_from_the_start(measure_gpu: Call) -> None:
    got = measure_gpu("hang-init", 0.9)
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
    assert got.header["gpus"]
