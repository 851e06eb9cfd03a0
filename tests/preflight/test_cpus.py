"""Preflight of cores: what a run would be flagged for is said before anything is trained."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from cpus.made_system import cgroup_v2, hybrid, neighbours, set_cpu, stat_v2
from evenground.config import load_experiment
from evenground.cpus.choice import Threads, choose
from evenground.cpus.watch import Watch
from evenground.preflight import cpus
from evenground.preflight.gate import gate
from evenground.records.cpus import CpuRecord
from evenground.runs.plan import Plan
from planned import make_plan
from working_copy import WorkingCopy, fresh_copy

TOP = {
    "/": {"cgroup.controllers": "cpu"},
    "/own": {"cpu.max": "max 100000", "cpu.stat": stat_v2(0, 0)},
}
CLOCK = {
    "scaling_driver": "acpi-cpufreq",
    "scaling_governor": "performance",
    "scaling_max_freq": 3000000,
    "cpuinfo_max_freq": 3000000,
}


def good(root: Path) -> Path:
    """Four cores of two threads, of which everything is known and nothing is wrong."""
    replace(neighbours(4), clock=CLOCK).write(root)
    return cgroup_v2(root, TOP, "/own")


def here(system: Path, threads: Threads, allowed: int = 8) -> CpuRecord:
    return Watch(choose(threads, system, range(allowed)), system).end()


def test_nothing_is_said_against_a_machine_that_has_all(tmp_path: Path) -> None:
    record = here(good(tmp_path), 4)
    found = [cpus.cores(record), cpus.clock(record), cpus.throttling(record)]
    assert [finding.line() for finding in found] == [
        " ok  cores: 4 threads on CPU 0,2,4,6",
        " ok  CPU clock: not held down",
        " ok  CPU throttling: counted",
    ]


@pytest.mark.parametrize(
    ("make", "threads", "allowed", "seen", "fix"),
    [
        (good, 9, 8, "9 threads, 8 CPUs allowed", "set threads to what there is"),
        (good, 4, 2, "4 threads, 2 CPUs allowed", "set threads to what there is"),
        (good, 6, 8, "6 CPUs of 4 cores", "set threads: 4"),
        (good, "all", 8, "8 CPUs of 4 cores", "set threads: 4"),
        (hybrid, 6, 12, "6 CPUs of 2 kinds of core", "set fewer threads"),
    ],
)
def test_cores_that_lack_are_a_warning_with_the_mend(
    tmp_path: Path,
    make: Callable[[Path], Path],
    threads: Threads,
    allowed: int,
    seen: str,
    fix: str,
) -> None:
    found = cpus.cores(here(make(tmp_path), threads, allowed))
    assert (found.state, found.seen) == ("warning", seen) and fix in found.fix


def test_a_containers_limit_is_a_warning(tmp_path: Path) -> None:
    cgroup_v2(good(tmp_path), {**TOP, "/own": {"cpu.max": "150000 100000"}}, "/own")
    found = cpus.cores(here(tmp_path, 2))
    assert (found.state, found.seen) == (
        "warning",
        "2 threads, 8 CPUs allowed, a cgroup's limit of 1.5",
    )


def test_a_clock_that_is_held_down_is_a_warning(tmp_path: Path) -> None:
    set_cpu(good(tmp_path), 2, "cpufreq/scaling_max_freq", 1500000)
    found = cpus.clock(here(tmp_path, 2))
    assert (found.state, found.seen) == (
        "warning",
        "scaling_max_freq allows 1.50 of 3.00 GHz (cpu 2)",
    )
    assert "cpupower" in found.fix


def test_what_is_not_known_is_said_with_its_reason(tmp_path: Path) -> None:
    record = here(tmp_path, 2)
    found = [cpus.cores(record), cpus.clock(record), cpus.throttling(record)]
    assert [finding.state for finding in found] == ["ok"] * 3
    assert all("not known: " in finding.seen and "\n" not in finding.line() for finding in found)


@pytest.fixture
def copy(tmp_path: Path) -> WorkingCopy:
    return fresh_copy(tmp_path / "copy")


def plan_of(copy: WorkingCopy, threads: Threads) -> Plan:
    return make_plan(load_experiment({**copy.settings, "threads": threads}), copy.root)


def test_each_number_of_threads_is_looked_at_once(copy: WorkingCopy) -> None:
    found = cpus.findings([plan_of(copy, 1), plan_of(copy, 5000), plan_of(copy, 1)])
    assert [finding.what for finding in found] == ["cores", "cores", "CPU clock", "CPU throttling"]
    assert found[1].state == "warning"


def test_every_call_that_trains_says_that_cores_lack(
    copy: WorkingCopy, capsys: pytest.CaptureFixture[str]
) -> None:
    gate([plan_of(copy, 1)], [])
    assert "cores" not in capsys.readouterr().err
    plan = plan_of(copy, 5000)
    gate([plan, plan], [])
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and " warning: too few cores: 5000 threads, " in said
    gate([replace(plan, trains=False)], [])
    gate([replace(plan, machine="another-class")], [])
    assert capsys.readouterr().err == ""
