"""One card or MIG instance alone counts, in each mode; and whose the processes on it are."""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from evenground import sidecar
from evenground.sidecar import SidecarError
from evenground.sidecar.calibration import experiments
from evenground.sidecar.calibration.experiments import Harness
from evenground.sidecar.gpu_processes import THROUGH_MPS
from made_power import PowerStep, fed
from stand_in_driver import StandIn, uuid

Call = Callable[..., Any]
AT_ONCE = ("--gpu-wait-s", "0")


def test_the_whole_card_columns_are_the_chosen_cards(measure: Call, stand_in: StandIn) -> None:
    stand_in.answers(f"cards 3\nutil.2 100\nused.2 77\ncompute-pid-1.0 {os.getpid()}\n")
    got = measure(["sleep", "0.4"], f"--gpu={uuid(2)}", *AT_ONCE, env=stand_in.env())
    assert set(got.column("gpu_util_pct")) == {100.0} and set(got.column("vram_used_bytes")) == {
        77.0
    }
    assert got.column("gpu_foreign_processes")[-1] == 0 and got.header["gpu_card"] == "2"
    with (stand_in.file.parent / "samples.cards.csv").open(newline="") as file:
        cards = [row["card"] for row in csv.DictReader(file)]
    assert set(cards) == {"0", "1", "2"} and cards.count("2") > cards.count("0")


def test_without_a_choice_all_cards_count(measure: Call, stand_in: StandIn) -> None:
    got = measure(["sleep", "0.3"], *AT_ONCE, env=stand_in.env())
    assert got.header["gpu_card"] is None and set(got.column("gpu_util_pct")) == {45.0}


@pytest.mark.parametrize("asked", ["GPU-nobody", "0", ""])
def test_a_card_that_is_not_there_starts_nothing(
    asked: str, start: Call, stand_in: StandIn
) -> None:
    marker = stand_in.file.parent / "started"
    running = start(["touch", str(marker)], f"--gpu={asked}", env=stand_in.env())
    _, said = running.process.communicate(timeout=30)
    lines = [line for line in said.splitlines() if not line.startswith("sidecar: note")]
    known = f"here are {uuid(0)} (Fake Card), {uuid(1)} (Fake Card)"
    assert lines == [f"sidecar: no card has the UUID {asked}: {known}: nothing was started"]
    assert running.process.returncode == 125 and not marker.exists()


def test_attach_refuses_it_too_and_measures_the_chosen_one(
    stand_in: StandIn, tmp_path: Path
) -> None:
    files = {"samples": tmp_path / "s.csv", "header": tmp_path / "s.json", "duration_s": 0.4}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in stand_in.env().items():
            patch.setenv(name, value)
        with pytest.raises(SidecarError, match="no card has the UUID GPU-x"):
            sidecar.attach(os.getpid(), card="GPU-x", **files)
        sidecar.attach(os.getpid(), card=uuid(1), **files)
    header = json.loads(files["header"].read_text())
    assert header["gpu_card"] == "1" and header["gpu_baseline"] is None
    with files["samples"].open(newline="") as file:
        assert {row["gpu_util_pct"] for row in csv.DictReader(file)} == {"50.0"}


def test_from_python_a_mig_instance_is_chosen(stand_in: StandIn, tmp_path: Path) -> None:
    stand_in.answers("mig.1 1\nused.1/mig0 42\n")
    files = {"samples": tmp_path / "s.csv", "header": tmp_path / "s.json"}
    sidecar.run(["sleep", "0.3"], card=uuid(1, 0), env={**os.environ, **stand_in.env()}, **files)
    header = json.loads(files["header"].read_text())
    assert header["gpu_card"] == "1/mig0" and header["gpu_baseline"]["vram_used_bytes"] == 42
    assert "of the whole card only" in header["missing"]["gpu_util_pct"]


def test_a_card_and_no_gpu_exclude_each_other(start: Call) -> None:
    running = start(["true"], "--gpu=GPU-1", "--no-gpu")
    assert "not allowed with argument" in running.process.communicate(timeout=30)[1]
    assert running.process.returncode == 2


def test_without_a_driver_a_card_is_missing_and_the_command_runs(measure: Call) -> None:
    if shutil.which("nvidia-smi"):
        pytest.skip("this machine has an NVIDIA driver")
    got = measure(["true"], f"--gpu={uuid(0)}")
    assert got.status == 0 and "no NVIDIA driver library" in got.header["missing"]["gpu_util_pct"]


@pytest.fixture
def stranger() -> Iterator[int]:
    """A process of somebody else's."""
    with subprocess.Popen(["sleep", "60"]) as process:
        yield process.pid
        process.kill()


def test_a_desktop_is_no_foreign_process(measure: Call, stand_in: StandIn, stranger: int) -> None:
    desktop = f"graphics-pid-1.0 {os.getpid()}\ngraphics-used-1.0 30\ngraphics-pid-2.0 1\ngraphics-used-2.0 12\n"
    both = f"graphics-pid-3.0 {stranger}\ncompute-pid-1.0 {stranger}\n"
    stand_in.answers(desktop + both)
    got = measure(["sleep", "0.3"], f"--gpu={uuid(0)}", *AT_ONCE, env=stand_in.env())
    assert got.column("gpu_foreign_processes")[-1] == 1
    assert (
        got.column("gpu_desktop_processes")[-1] == 2 and got.column("gpu_desktop_bytes")[-1] == 42
    )


def test_lists_are_judged_apart(measure: Call, stand_in: StandIn) -> None:
    stand_in.answers(f"fail.GraphicsRunningProcesses_v3 999\ncompute-pid-1.0 {os.getpid()}\n")
    got = measure(["sleep", "0.3"], f"--gpu={uuid(0)}", *AT_ONCE, env=stand_in.env())
    assert got.column("gpu_foreign_processes")[-1] == 1
    for column in ("gpu_desktop_processes", "gpu_desktop_bytes", "vram_tree_bytes"):
        assert (
            "nvmlDeviceGetGraphicsRunningProcesses_v3: Unknown Error"
            in got.header["missing"][column]
        )


@pytest.fixture
def mps_server(tmp_path: Path) -> Iterator[int]:
    """A process that the kernel calls like MPS's server."""
    program = tmp_path / "nvidia-cuda-mps-server"
    shutil.copy(shutil.which("sleep") or "/bin/sleep", program)
    with subprocess.Popen([str(program), "60"]) as process:
        yield process.pid
        process.kill()


def test_mps_is_named_and_no_foreign_process(
    measure: Call, stand_in: StandIn, mps_server: int
) -> None:
    stand_in.answers(f"compute-pid-1.0 {mps_server}\n")
    got = measure(["sleep", "0.3"], f"--gpu={uuid(0)}", *AT_ONCE, env=stand_in.env())
    for column in ("vram_tree_bytes", "gpu_foreign_processes"):
        assert got.column(column) == [] and THROUGH_MPS in got.header["missing"][column], column
    stand_in.answers(f"compute-pid-1.0 {mps_server}\ncompute-pid-2.0 {os.getpid()}\n")
    got = measure(["sleep", "0.3"], f"--gpu={uuid(0)}", *AT_ONCE, env=stand_in.env())
    assert got.column("gpu_foreign_processes")[-1] == 1


def readings(got: Any) -> list[int]:
    """When the reading behind each row's GPU values began."""
    with_age = [row for row in got.rows if row["gpu_age_s"]]
    return [round(int(row["t_mono_ns"]) - float(row["gpu_age_s"]) * 1e9) for row in with_age]


def test_a_reading_that_is_slower_than_the_rows_is_seen_to_repeat(
    measure: Call, stand_in: StandIn
) -> None:
    stand_in.answers("cards 8\nhang.PowerUsage 30\n")
    got = measure(["sleep", "2"], *AT_ONCE, env=stand_in.env())
    at_ns = readings(got)
    assert len(at_ns) >= 8 and len(set(at_ns)) <= 0.6 * len(at_ns)
    assert max(got.column("gpu_age_s")) > 0.2


def test_readings_in_time_are_one_a_row(measure: Call, stand_in: StandIn) -> None:
    stand_in.answers("")
    at_ns = readings(measure(["sleep", "1"], *AT_ONCE, env=stand_in.env()))
    assert len(at_ns) >= 9 and len(set(at_ns[:-1])) >= len(at_ns) - 2


def test_the_energy_of_a_step_is_the_counters(measure: Call, stand_in: StandIn) -> None:
    step = PowerStep(idle_w=50, busy_w=450, begin_s=0.8, end_s=1.6)
    with fed(stand_in, step, card=1) as zero_ns:
        got = measure(["sleep", "2.4"], f"--gpu={uuid(1)}", *AT_ONCE, env=stand_in.env())
    rows = [row for row in got.rows if row["gpu_energy_j"]]
    first, last = rows[0], rows[-1]
    # What the counter said when it was read, within a reading and a feeding.
    read_s = [
        (int(row["t_mono_ns"]) - zero_ns) / 1e9 - float(row["gpu_age_s"]) for row in (first, last)
    ]
    truth_j = step.energy_j(read_s[1]) - step.energy_j(read_s[0])
    assert (
        abs(float(last["gpu_energy_j"]) - float(first["gpu_energy_j"]) - truth_j) < 0.05 * truth_j
    )
    # The mean power lags: while the card is busy it never shows what is drawn.
    assert max(got.column("gpu_power_w")) < 0.95 * 450 < max(got.column("gpu_power_instant_w"))


def test_unixstats_memory_is_that_of_the_processes(stand_in: StandIn, tmp_path: Path) -> None:
    mib = 2**20
    sizes = f"used.1 {1000 * mib}\ncompute-used-1.1 {300 * mib}\n"
    with subprocess.Popen(["sleep", "30"]) as sleeping:
        stand_in.answers(f"compute-pid-1.1 {sleeping.pid}\n{sizes}util.1 33\n")
        words = [sys.executable, "-m", "evenground.sidecar", "attach", "--pid", str(sleeping.pid)]
        words += ["--format", "csv", "--duration-s", "1.5", "--gpu", uuid(1)]
        env = os.environ | stand_in.env() | {"PYTHONPATH": os.pathsep.join(sys.path)}
        printed = subprocess.run(words, env=env, capture_output=True, text=True, check=True).stdout
        sleeping.kill()
    last = printed.splitlines()[-1].split(";")
    assert last[3] == "33" and float(last[4].replace(",", ".")) == pytest.approx(
        100 * 300 / 7981, rel=1e-5
    )


@pytest.fixture
def as_environment(stand_in: StandIn, monkeypatch: pytest.MonkeyPatch) -> StandIn:
    """The stand-in driver for whatever is started here."""
    for name, value in stand_in.env().items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    return stand_in


@pytest.mark.parametrize("card", [None, uuid(2)])
def test_calibration_loads_and_judges_one_card_of_several(
    card: str | None, as_environment: StandIn, tmp_path: Path
) -> None:
    as_environment.answers("cards 4\nutil.0 0\nutil.1 0\nutil.3 0\nfastest 3\n")
    seen = Harness(tmp_path, card=card).on_gpu(0.5)
    assert seen.header["gpu_card"] == ("3" if card is None else "2")
    rise = [value for _, value in seen.series("vram_used_bytes")]
    assert max(rise) - min(rise) == 256 * 2**20


def test_calibration_of_a_mig_instance_has_no_use(as_environment: StandIn, tmp_path: Path) -> None:
    as_environment.answers("mig.0 1\n")
    seen = Harness(tmp_path).on_gpu(0.5)
    assert seen.header["gpu_card"] == "0/mig0"
    vram, util = experiments.gpu_figures(seen)
    assert (
        vram.measured is not None
        and util.passed is None
        and "of the whole card" in str(util.reason)
    )


def test_calibration_without_a_card_that_cuda_sees(as_environment: StandIn, tmp_path: Path) -> None:
    as_environment.answers("cuda-fail.Init 999\n")
    with pytest.raises(experiments.NotHere, match="cuInit failed with CUDA error 999"):
        Harness(tmp_path).on_gpu(0.1)


def test_a_start_is_not_late_where_there_is_no_gpu(measure: Call) -> None:
    if shutil.which("nvidia-smi"):
        pytest.skip("this machine has an NVIDIA driver")
    began_s = time.time()
    got = measure(["true"])
    assert got.summary["launched_unix_ns"] / 1e9 - began_s < 0.9
