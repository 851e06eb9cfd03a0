"""Memory: shared pages counted once, rarely and within a budget; a large tree."""

from __future__ import annotations

import os
import select
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from evenground.sidecar.linux import read_stat
from evenground.sidecar.pss import BUDGET, Pss, pss_bytes, tree_pss_bytes
from evenground.sidecar.tree import Tree

Call = Callable[..., Any]
Python = Callable[..., list[str]]
SHARED = """
import mmap
held = mmap.mmap(-1, 2**26)
held[:] = b"x" * 2**26
for _ in range(4):
    if not os.fork():
        sum(held[::4096])
        time.sleep(2.5)
        os._exit(0)
time.sleep(2.5)
"""


@pytest.mark.slow
def test_pages_that_five_processes_share_count_once_in_pss_and_five_times_in_rss(
    measure: Call, python: Call
) -> None:
    got = measure(python(SHARED))
    pss, rss = got.column("pss_bytes"), got.column("rss_bytes")
    assert 1 <= len(pss) <= 2, "read at most once a second, and within the budget"
    assert max(rss) > 5 * 2**26 and 2**26 < max(pss) < 1.6 * 2**26
    assert got.summary["max_pss_bytes"] == max(pss)
    assert (
        "pss_bytes" not in got.header["missing"] and "pss_bytes" not in got.summary["empty_cells"]
    )
    assert got.header["columns"]["pss_bytes"]["period_s"] == 1.0


def test_pss_that_is_not_wanted_is_missing_with_its_reason(measure: Call) -> None:
    got = measure(["sleep", "0.1"], "--no-pss")
    assert got.column("pss_bytes") == []
    assert got.header["missing"]["pss_bytes"] == "switched off with --no-pss"


def test_pss_of_a_process_that_is_gone_or_another_is_none() -> None:
    with subprocess.Popen(["sleep", "30"]) as child:
        stat = read_stat(child.pid)
        assert stat is not None and pss_bytes(Path(f"/proc/{child.pid}")) > 0
        assert tree_pss_bytes([(child.pid, stat.start)]) > 0
        assert tree_pss_bytes([(child.pid, stat.start + 1)]) == 0
        child.kill()
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert tree_pss_bytes([(child.pid, stat.start)]) == 0, "a zombie has no memory"
    assert tree_pss_bytes([(child.pid, stat.start)]) == 0


def test_one_that_hides_behind_its_absence_is_no_process_without_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As `hidepid=2` shows one that has become another user's since it was found."""

    def hides(folder: Path) -> int:
        raise FileNotFoundError(2, "No such file or directory")

    monkeypatch.setattr("evenground.sidecar.pss.pss_bytes", hides)
    monkeypatch.setattr("evenground.sidecar.linux.read_stat", lambda pid: None)
    with pytest.raises(PermissionError):
        tree_pss_bytes([(os.getpid(), 0)])
    assert tree_pss_bytes([(2**22 + 1, 0)]) == 0, "there is no such number"


def test_a_reading_that_is_not_permitted_is_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(processes: object) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("evenground.sidecar.pss.tree_pss_bytes", refused)
    assert read_once(Pss()) == "smaps_rollup: Permission denied"


def test_readings_that_cost_more_than_the_budget_come_less_often(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def slow(processes: object) -> int:
        until = time.thread_time_ns() + 5_000_000
        while time.thread_time_ns() < until:
            pass
        return 7

    monkeypatch.setattr("evenground.sidecar.pss.tree_pss_bytes", slow)
    pss = Pss()
    began_ns = time.monotonic_ns()
    assert read_once(pss) == 7
    assert pss._due_ns - began_ns >= 5_000_000 / BUDGET
    assert pss.take() is None, "a value stands in one row"


def read_once(pss: Pss) -> int | str:
    """Let the thread read now, and wait for what it brings."""
    pss.start()
    pss.row_done(pss._due_ns)
    until = time.monotonic() + 5
    while (value := pss.take()) is None:
        assert time.monotonic() < until
        time.sleep(0.001)
    time.sleep(0.02)
    pss.stop()
    return value


@pytest.mark.slow
def test_a_tree_of_five_hundred_processes(measure: Call, python: Call) -> None:
    text = """
pids = []
for k in range(500):
    pid = os.fork()
    if not pid:
        if k % 10 == 0: burn(0.01)
        time.sleep(60)
    pids.append(pid)
time.sleep(1.2)
import signal
for pid in pids: os.kill(pid, signal.SIGKILL)
for pid in pids: os.waitpid(pid, 0)
"""
    got = measure(python(text))
    assert got.status == 0 and got.summary["survivors"] == 0
    assert max(got.column("processes")) == 501
    assert got.column("cpu_s")[-1] == pytest.approx(got.summary["cpu_s"], rel=0.002)
    assert got.summary["rows"] >= 0.9 * (got.summary["rows"] + got.summary["missed_slots"])


def test_cpu_of_processes_that_end_between_two_reads_is_not_lost(python: Python) -> None:
    tree = Tree([os.getpid()])
    tree.newest_pid_tells = True
    text = """
for _ in range(40):
    if not os.fork():
        burn(0.012)
        os._exit(0)
    os.wait()
print(time.process_time() + sum(os.times()[2:4]), flush=True)
time.sleep(30)
"""
    with subprocess.Popen(python(text), stdout=subprocess.PIPE) as child:
        before, until = 0, time.monotonic() + 20
        assert child.stdout is not None
        while not select.select([child.stdout], [], [], 0.003)[0] and time.monotonic() < until:
            usage = tree.read(time.monotonic_ns())
            assert usage.cpu_ns is not None and usage.cpu_ns >= before
            before = usage.cpu_ns
        truth_s = float(child.stdout.readline())
        assert (tree.read(time.monotonic_ns()).cpu_ns or 0) / 1e9 == pytest.approx(
            truth_s, rel=0.06
        )
        child.kill()
    assert tree.read(time.monotonic_ns()).processes == 0


def test_between_two_changes_only_clock_and_memory_are_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tree, now = Tree([os.getpid()], walk_every_ns=10**18), time.monotonic_ns()
    tree.newest_pid_tells = True
    with subprocess.Popen(["sleep", "30"]) as child:
        until = time.monotonic() + 5
        while not tree._nothing_new(tree.newest_pid(), now):
            assert tree.read(now).processes == 1 and time.monotonic() < until
        with monkeypatch.context() as patch:
            patch.setattr(
                "evenground.sidecar.linux.parse_stat", lambda raw: pytest.fail("stat was read")
            )
            usage = tree._read_between()
        assert usage is not None and usage.processes == 1 and usage.rss_bytes > 0
        child.kill()
        child.wait()
    assert tree._read_between() is None, "one has gone: everything must be read again"
    assert tree.read(now).processes == 0
