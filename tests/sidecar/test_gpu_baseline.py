"""What the card holds and draws before the command is started, and how that is waited for."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from evenground.sidecar.gpu_baseline import FELL, STOOD, Moves
from evenground.sidecar.nvml import Reason
from made_power import PowerStep, fed
from stand_in_driver import StandIn, uuid

Call = Callable[..., Any]
S = 1_000_000_000


def moves(*readings: tuple[float, int]) -> Moves:
    made = Moves()
    for at_s, counter_mj in readings:
        made.add(int(at_s * S), counter_mj)
    return made


def test_power_is_exact_between_two_moves_of_a_counter_that_moves_in_steps() -> None:
    # 50 W, a counter that moves every 100 ms, read every 20 ms from anywhere.
    read = [(0.013 + 0.02 * k, int(50_000 * ((0.013 + 0.02 * k) // 0.1 * 0.1))) for k in range(51)]
    power_w = moves(*read).power_w()
    assert not isinstance(power_w, Reason) and abs(power_w - 50) < 1.2


def test_a_counter_that_stands_or_falls_gives_no_power() -> None:
    assert moves((0, 5), (0.5, 5), (1, 6)).power_w() == STOOD
    assert moves((0, 5), (0.5, 7), (0.7, 8), (1, 6)).power_w() == FELL
    lacking = moves((0, 5), (0.5, 7), (0.7, 8))
    lacking.add(S, Reason("lost"))
    assert lacking.power_w() == "lost"


def test_the_baseline_is_that_of_before_the_command(measure: Call, stand_in: StandIn) -> None:
    old = "hang.InitWithFlags 3000\nused.1 500\npower-mw.1 30000\n"
    stand_in.answers(old)
    new = old.replace("used.1 500", "used.1 7000").replace("power-mw.1 30000", "power-mw.1 300000")
    words = ["sh", "-c", f"printf '{new}' > {stand_in.file}; sleep 0.5"]
    got = measure(words, f"--gpu={uuid(1)}", env=stand_in.env())
    baseline = got.header["gpu_baseline"]
    assert (baseline["vram_used_bytes"], baseline["power_w"], baseline["power_from"]) == (
        500,
        30.0,
        "reading",
    )
    assert baseline["missing"] == {} and 1 <= baseline["seconds"] < 1.5
    assert (
        baseline["read_mono_ns"] <= got.summary["launched_mono_ns"] < baseline["read_mono_ns"] + S
    )
    assert got.column("vram_used_bytes")[-1] == 7000
    # The first row has values already: the driver is open when the command is started.
    assert got.rows[0]["gpu_power_w"] != ""


def test_the_baselines_power_is_the_counters(measure: Call, stand_in: StandIn) -> None:
    with fed(stand_in, PowerStep(idle_w=60, busy_w=400, begin_s=-9, end_s=0), card=1):
        baseline = measure(["true"], f"--gpu={uuid(1)}", env=stand_in.env()).header["gpu_baseline"]
    assert baseline["power_from"] == "counter" and abs(baseline["power_w"] - 60) < 6


def test_what_lacks_is_missing_with_its_reason(measure: Call, stand_in: StandIn) -> None:
    stand_in.answers("fail.MemoryInfo_v2.1 15\nfail.PowerUsage.0 3\n")
    baseline = measure(["true"], env=stand_in.env()).header["gpu_baseline"]
    assert baseline["vram_used_bytes"] is baseline["power_w"] is baseline["power_from"] is None
    assert baseline["missing"] == {
        "vram_used_bytes": "NVML: nvmlDeviceGetMemoryInfo: GPU is lost (card 1)",
        "power_w": "NVML: nvmlDeviceGetPowerUsage: Not Supported (card 0)",
    }


def test_of_a_mig_instance_there_is_memory_alone(measure: Call, stand_in: StandIn) -> None:
    stand_in.answers("mig.0 1\nused.0/mig2 42\n")
    baseline = measure(["true"], f"--gpu={uuid(0, 2)}", env=stand_in.env()).header["gpu_baseline"]
    assert baseline["vram_used_bytes"] == 42 and list(baseline["missing"]) == ["power_w"]
    assert "of the whole card only" in baseline["missing"]["power_w"]


def test_a_driver_that_never_answers_is_not_waited_for_without_end(
    measure: Call, stand_in: StandIn
) -> None:
    began_s = time.monotonic()
    got = measure(["sleep", "0.9"], "--gpu-wait-s", "0.6", env=stand_in.env("hang-init"))
    assert time.monotonic() - began_s < 8 and got.status == 0 and got.summary["rows"] >= 9
    missing = got.header["gpu_baseline"]["missing"]
    assert set(missing) == {"vram_used_bytes", "power_w"}
    assert "did not answer nvmlInit in 0.6 s before the start" in missing["power_w"]
    assert "did not answer nvmlInit for over 0.5 s" in got.header["missing"]["gpu_power_w"]


def test_who_does_not_wait_has_no_baseline(measure: Call, stand_in: StandIn) -> None:
    got = measure(["sleep", "0.2"], "--gpu-wait-s", "0", env=stand_in.env())
    assert got.header["gpu_baseline"] is None and got.column("gpu_power_w")


def test_a_driver_that_fails_is_not_waited_for(measure: Call, stand_in: StandIn) -> None:
    stand_in.answers("fail.InitWithFlags 18\n")
    got = measure(["true"], env=stand_in.env())
    reason = "NVML: nvmlInit: RM has detected an NVML/RM version mismatch."
    assert got.header["gpu_baseline"]["missing"] == {"vram_used_bytes": reason, "power_w": reason}
    assert got.header["missing"]["gpu_util_pct"] == reason and got.status == 0


@pytest.mark.parametrize("options", [["--no-gpu"], []])
def test_where_no_gpu_is_read_there_is_none(
    options: list[str], measure: Call, stand_in: StandIn
) -> None:
    env = stand_in.env() if options else {"LD_LIBRARY_PATH": "/nowhere"}
    if not options and (Path("/proc/driver/nvidia").exists()):
        pytest.skip("this machine has an NVIDIA driver")
    assert measure(["true"], *options, env=env).header["gpu_baseline"] is None


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_while_the_driver_is_waited_for_starts_nothing(
    number: signal.Signals, start: Call, stand_in: StandIn, tmp_path: Path, wait_for: Call
) -> None:
    running = start(["touch", str(tmp_path / "started")], env=stand_in.env("hang-init"))
    wait_for(lambda: (tmp_path / "samples.json").exists() and children(running.process.pid))
    time.sleep(0.2)
    held = children(running.process.pid)
    os.kill(running.process.pid, number)
    got = running.done()
    assert got.status == 128 + number and not (tmp_path / "started").exists()
    text = f"ended by {number.name} before the command was started"
    assert got.summary["not_started"] == text and got.stderr == f"sidecar: {text}\n"
    assert not [pid for pid in held if Path(f"/proc/{pid}").exists()]


def test_an_ignored_hangup_is_ignored_while_waiting_too(start: Call, stand_in: StandIn) -> None:
    ignoring = {"preexec_fn": lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN)}
    running = start(["true"], "--gpu-wait-s", "1.5", env=stand_in.env("hang-init"), **ignoring)
    time.sleep(0.7)
    os.kill(running.process.pid, signal.SIGHUP)
    assert running.done().status == 0


PARENT = """
import subprocess, sys, time
print(subprocess.Popen(sys.argv[1:]).pid, flush=True)
time.sleep(60)
"""


def test_the_sidecar_ends_with_its_parent_while_it_waits(
    stand_in: StandIn, tmp_path: Path, alive: Call, wait_for: Call
) -> None:
    words = [sys.executable, "-m", "evenground.sidecar", "run", "--end-with-parent", "--samples"]
    words += [str(tmp_path / "s.csv"), "--", "touch", str(tmp_path / "started")]
    env = os.environ | stand_in.env("hang-init") | {"PYTHONPATH": os.pathsep.join(sys.path)}
    call = [sys.executable, "-c", PARENT, *words]
    with subprocess.Popen(call, stdout=subprocess.PIPE, text=True, env=env) as parent:
        assert parent.stdout
        pid = int(parent.stdout.readline())
        wait_for(lambda: len(children(pid)) >= 2)
        held = children(pid)
        parent.kill()
    wait_for(lambda: not alive(pid) and not any(map(alive, held)))
    assert not (tmp_path / "started").exists()


def test_kill_9_while_waiting_leaves_nothing_behind(
    start: Call, stand_in: StandIn, tmp_path: Path, alive: Call, wait_for: Call
) -> None:
    running = start(["touch", str(tmp_path / "started")], env=stand_in.env("hang-init"))
    wait_for(lambda: len(children(running.process.pid)) >= 2)  # guardian and the command-to-be
    held = children(running.process.pid)
    running.process.kill()
    running.process.wait()
    wait_for(lambda: not any(map(alive, held)))
    assert not (tmp_path / "started").exists()


def children(pid: int) -> list[int]:
    """Of a process, those that its first thread has made."""
    try:
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except (FileNotFoundError, ProcessLookupError):
        return []
