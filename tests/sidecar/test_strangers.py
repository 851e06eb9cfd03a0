"""Processes of another user in the tree, as sudo makes them: they are measured, and cannot be ended."""

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

from evenground.sidecar.process import send

Call = Callable[..., Any]


def test_a_command_that_cannot_be_ended_is_measured_to_its_end(
    as_nobody: Any, as_root: str
) -> None:
    got = as_nobody([as_root, "2000"], "--time-limit-s", "0.5", "--grace-s", "0.2")
    assert got.status == 124 and got.summary["timed_out"] and got.summary["exit_code"] == 3
    assert len(got.rows) >= 20 and all(row["rss_bytes"] and row["cpu_s"] for row in got.rows)
    assert "processes of another user, which could not be signalled: 1" in got.summary["not_seen"]


def test_one_that_outlives_the_command_is_counted_and_named(as_nobody: Any, as_root: str) -> None:
    began = time.monotonic()
    got = as_nobody(
        ["sh", "-c", f"{as_root} 6000 >/dev/null 2>&1 & echo $!; sleep 0.4; exit 7"],
        "--grace-s",
        "0.3",
    )
    assert got.status == 7 and got.summary["not_ended"] == 1
    assert time.monotonic() - began < 6, "nothing comes of waiting for it"
    left = f"processes that outlived the command and could not be ended: {got.stdout.strip()}"
    assert left in got.summary["not_seen"]
    os.kill(int(got.stdout), signal.SIGKILL)


def test_a_signal_that_it_does_not_take_ends_nothing(as_nobody: Any, as_root: str) -> None:
    words = as_nobody.sidecar("run", "--samples", "s.csv", "--", as_root, "1200")
    text = '"$@" & sleep 0.6; kill -TERM $!; wait $!'
    assert as_nobody.run(["sh", "-c", text, "sh", *words]).returncode == 3


def test_send_goes_on_behind_what_may_not_be_signalled(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[tuple[int, int]] = []

    def kill(pid: int, number: int) -> None:
        if pid == 2:
            raise PermissionError(1, "Operation not permitted")
        if pid == 3:
            raise ProcessLookupError(3, "No such process")
        told.append((pid, number))

    monkeypatch.setattr(os, "kill", kill)
    assert send([1, 2, 3, 4], signal.SIGKILL) == {2}
    assert told == [(1, signal.SIGKILL), (4, signal.SIGKILL)]


LITTLE = "import time; print(1, flush=True); time.sleep(0.4); print(2)"


# As many processes and threads as this user may have: the sidecar, its guardian and the command.
def test_without_room_for_threads_the_command_runs_all_the_same(as_nobody: Any) -> None:
    got = as_nobody([as_nobody.python, "-c", LITTLE], "--no-gpu", limit="--nproc=3")
    assert (got.status, got.stdout) == (0, "1\n2\n")
    reason = "no thread to read it: can't start new thread"
    assert got.header["missing"]["pss_bytes"] == reason
    assert got.summary["not_seen"] == [f"pss_bytes: {reason}"]
    assert all(row["cpu_s"] for row in got.rows)


def test_trouble_of_its_own_costs_rows_and_not_the_command(tmp_path: Path) -> None:
    text = """
import sys
from evenground.sidecar.cli import main
from evenground.sidecar.sampler import Sampler
take, count = Sampler.take, [0]
def fails(self, *words):
    count[0] += 1
    if count[0] == 3: raise MemoryError("no memory")
    return take(self, *words)
Sampler.take = fails
main(sys.argv[1:])
"""
    words = [
        "run",
        "--samples",
        str(tmp_path / "s.csv"),
        "--",
        "sh",
        "-c",
        "sleep 0.5; echo ended; exit 4",
    ]
    env = os.environ | {"PYTHONPATH": str(Path(__file__).resolve().parents[2] / "src")}
    done = subprocess.run(
        [sys.executable, "-c", text, *words], env=env, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (4, "ended\n")
    assert "1 rows could not be taken: MemoryError: no memory" in (tmp_path / "s.json").read_text()
