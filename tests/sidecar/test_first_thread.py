"""A process whose first thread has ended while others go on: /proc says of it that it is a zombie."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from evenground.sidecar import linux

Call = Callable[..., Any]
# The system call exit, unlike the library's, ends the calling thread alone (x86-64: 60, arm64: 93).
HEADLESS = """
import ctypes, threading
number = 93 if os.uname().machine == "aarch64" else 60
held = bytearray(100 << 20)
held[::512] = b"x" * len(held[::512])
def go_on():
    until = time.monotonic() + float(sys.argv[1])
    while time.monotonic() < until:
        burn(0.03)
        time.sleep(0.02)
    os._exit(5)
threading.Thread(target=go_on).start()
time.sleep(0.1)
ctypes.CDLL(None).syscall(number, 0)
"""


def state(pid: int) -> bytes:
    stat = linux.read_stat(pid)
    assert stat
    return stat.state


def test_it_is_measured_to_its_end(measure: Call, python: Call) -> None:
    got = measure(python(HEADLESS, 1.5))
    assert got.status == 5
    # At the start its first thread goes on, at the end its memory takes a moment to be given back.
    inside = got.rows[5:-3]
    assert {row["processes"] for row in inside} == {"1"}
    assert min(int(row["rss_bytes"]) for row in inside) > 100 << 20
    assert got.summary["max_pss_bytes"] > 100 << 20, (
        "PSS too, though the process's own file has nothing"
    )
    assert got.column("cpu_s")[-1] > 0.6 and got.summary["not_seen"] == []


def test_its_time_limit_holds(measure: Call, python: Call) -> None:
    began = time.monotonic()
    got = measure(python(HEADLESS, 25), "--time-limit-s", "0.7", "--grace-s", "0.5")
    assert got.status == 124 and got.summary["timed_out"]
    assert time.monotonic() - began < 10


def test_it_is_a_survivor_and_ended(
    measure: Call, python: Call, alive: Call, tmp_path: Path, wait_for: Call
) -> None:
    program, mark = tmp_path / "program.py", tmp_path / "pid"
    program.write_text(python(HEADLESS)[3])
    text = f"{sys.executable} -S {program} 25 & echo $! > {mark}; sleep 0.7"
    got = measure(["sh", "-c", text])
    assert got.summary["survivors"] == 1 and got.summary["not_ended"] == 0
    wait_for(lambda: not Path("/proc", mark.read_text().strip()).exists())


def test_attach_stays_with_it(python: Call, wait_for: Call, tmp_path: Path) -> None:
    with subprocess.Popen(python(HEADLESS, 20)) as process:
        wait_for(lambda: state(process.pid) == b"Z")
        words = [sys.executable, "-m", "evenground.sidecar", "attach", "--pid", str(process.pid)]
        words += ["--duration-s", "0.6", "--samples", str(tmp_path / "a.csv")]
        env = os.environ | {"PYTHONPATH": str(Path(__file__).resolve().parents[2] / "src")}
        done = subprocess.run(words, env=env, capture_output=True, text=True)
        process.kill()
    assert done.returncode == 0 and "duration after" in done.stderr
    last = (tmp_path / "a.csv").read_text().splitlines()[-1].split(",")
    assert int(last[6]) > 100 << 20 and last[8] == "1"


@pytest.mark.parametrize(
    ("line_state", "threads", "ended"),
    [("Z", 1, True), ("Z", 2, False), ("X", 0, True), ("S", 1, False)],
)
def test_ended_is_what_has_no_thread_left(line_state: str, threads: int, ended: bool) -> None:
    fields = ["0"] * 50
    fields[0], fields[17] = line_state, str(threads)
    stat = linux.parse_stat(f"7 (a) b) {' '.join(fields)}".encode())
    assert stat.ended == ended and stat.first_ended == (line_state in "ZX")


def test_a_line_that_is_cut_short_is_an_error_in_words() -> None:
    with pytest.raises(ValueError, match="cut short"):
        linux.parse_stat(b"7 (sh) S 1 2 3")
