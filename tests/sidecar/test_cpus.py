"""`run --cpus`: the command, and nothing else, is bound to just these CPUs."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evenground import sidecar
from evenground.sidecar.cpus import cpu_list, list_text

Call = Callable[..., Any]
MINE = sorted(os.sched_getaffinity(0))
SHOWN = "print(*sorted(os.sched_getaffinity(0)), *sorted(os.sched_getaffinity(os.getppid())))"
NONE_HAS = 60_000


@pytest.mark.parametrize("options", [[], ["--no-cgroup"]], ids=["default", "no cgroup"])
def test_the_command_alone_is_bound(options: list[str], measure: Call, python: Call) -> None:
    got = measure(python(SHOWN), "--cpus", str(MINE[-1]), *options)
    assert (got.status, got.stdout.split()) == (0, list(map(str, [MINE[-1], *MINE])))


def test_what_it_starts_is_bound_too_and_no_program_called_taskset_is(
    measure: Call, tmp_path: Path
) -> None:
    other = tmp_path / "taskset"
    other.write_text("#!/bin/sh\nexit 9\n")
    other.chmod(0o755)
    words = ["sh", "-c", "grep Cpus_allowed_list /proc/self/status; exit 4"]
    got = measure(words, "--cpus", str(MINE[0]), env={"PATH": f"{tmp_path}:{os.environ['PATH']}"})
    assert (got.status, got.stdout) == (4, f"Cpus_allowed_list:\t{MINE[0]}\n")


# The kernel itself would take the second list, and leave out the CPU that is not there.
@pytest.mark.parametrize("cpus", [f"{NONE_HAS}", f"{MINE[0]},{NONE_HAS}"])
def test_cpus_that_it_does_not_get_are_one_line_and_nothing_is_started(
    cpus: str, measure: Call, tmp_path: Path
) -> None:
    got = measure(["touch", str(tmp_path / "ran")], "--cpus", cpus)
    assert got.status == 126 and not (tmp_path / "ran").exists()
    why = f"touch: cannot be bound to CPUs {cpus}: not all are this process's to use, give others"
    assert got.stderr == f"sidecar: {why}\n"
    assert (got.summary["not_started"], got.summary["exit_code"], got.rows) == (why, 126, [])


def test_a_command_that_is_not_found_is_said_as_without(measure: Call) -> None:
    got = measure(["no-such-command"], "--cpus", str(MINE[0]))
    assert (got.status, got.summary["not_started"]) == (127, "no-such-command: command not found")


def test_from_python(tmp_path: Path) -> None:
    files = {"samples": tmp_path / "s.csv", "header": tmp_path / "s.json"}
    with (tmp_path / "log").open("w") as log:
        summary = sidecar.run(["nproc"], cpus={MINE[0]}, stdout=log, **files)
        assert summary.exit_code == 0
        refused = sidecar.run(["nproc"], cpus=[NONE_HAS], stdout=log, **files)
        assert refused.not_started and refused.exit_code == 126
    assert (tmp_path / "log").read_text() == "1\n"


def test_from_python_no_cpu_at_all_is_an_error(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(sidecar.SidecarError, match="status 2"):
        sidecar.run(["true"], samples=tmp_path / "s.csv", header=tmp_path / "s.json", cpus=())
    assert "cpu_list value: ''" in capfd.readouterr().err


@given(st.sets(st.integers(0, 300), min_size=1))
def test_a_list_is_read_as_it_is_written(cpus: set[int]) -> None:
    assert cpu_list(list_text(cpus)) == cpus


@pytest.mark.parametrize(
    ("text", "cpus"),
    [("0-3,8", {0, 1, 2, 3, 8}), ("7", {7}), ("8, 0-1\n", {0, 1, 8}), ("2-2", {2})],
)
def test_lists_of_the_kernel(text: str, cpus: set[int]) -> None:
    assert cpu_list(text) == cpus


def test_neighbours_are_written_as_a_range() -> None:
    assert list_text([8, 0, 1, 2, 3, 3]) == "0-3,8" and list_text([]) == ""


@pytest.mark.parametrize(
    "text", ["", ",", "0,", "x", "-1", "3-1", "0-65536", "99999", "1.5", "0-3:1/2", "٣"]
)
def test_what_is_no_list_is_said(text: str) -> None:
    with pytest.raises(ValueError, match="is no list of CPUs"):
        cpu_list(text)
