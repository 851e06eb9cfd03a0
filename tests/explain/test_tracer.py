"""The process that starts a training and becomes py-spy: the real one, and some that fail or are refused."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from evenground.explain.stacks import read_stacks
from evenground.explain.tracer import (
    ABOUT,
    LAST_LINE,
    LOG,
    NO_OUTPUT,
    NO_PYTHON,
    TRACE,
    Traced,
    read_traced,
    refusal,
)
from explain.made import py_spy

ENGINE = """
import time

def wait_for_it():
    time.sleep(1.5)

print(time.monotonic_ns(), flush=True)
wait_for_it()
print(time.monotonic_ns(), flush=True)
"""
# As the sidecar does, a process of our session starts the engine in a session of its own.
SIDECAR = "import subprocess, sys; subprocess.run(sys.argv[1:], start_new_session=True)"
TRACER = """
import sys
from pathlib import Path

sys.path.insert(0, "src")
from evenground.explain.tracer import trace

trace(sys.argv[3:], Path(sys.argv[1]), Path(sys.argv[2]))
"""


def traced(program: Path, folder: Path, *engine: str) -> str:
    """Trace a command as an engine; what the engine printed."""
    command = [
        sys.executable,
        "-c",
        TRACER,
        str(program),
        str(folder),
        sys.executable,
        "-c",
        SIDECAR,
        *engine,
    ]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout


def fake(folder: Path, script: str) -> Path:
    """A py-spy that does what the script says."""
    path = folder / "fake-py-spy"
    path.write_text(f"#!/bin/sh\n{textwrap.dedent(script)}")
    path.chmod(0o755)
    return path


def test_py_spy_sees_where_the_engine_sleeps_and_when(tmp_path: Path) -> None:
    (tmp_path / "engine.py").write_text(ENGINE)
    began_ns, ended_ns = map(
        int, traced(py_spy(), tmp_path, "python3", str(tmp_path / "engine.py")).split()
    )
    about = read_traced(tmp_path)
    assert about.reason == "" and about.started_mono_ns is not None
    stacks = read_stacks(tmp_path / TRACE, about.started_mono_ns)
    asleep = [
        stack for stack in stacks if any(frame.name == "wait_for_it" for frame in stack.frames)
    ]
    assert asleep, "a stack of the sleep"
    innermost = [str(frame) for frame in asleep[0].frames]
    # The C library's own frame above it has a name on some systems only.
    assert any("nanosleep" in frame or "select" in frame for frame in innermost[:2]), innermost
    assert any(
        name.startswith("wait_for_it (") and name.endswith("engine.py:5)") for name in innermost
    )
    # py-spy counts from a moment of its own start, which we know a little too early: by the time
    # that the system takes to load it, 50 ms and more where other tests keep the disk busy.
    assert asleep[0].start_ns >= began_ns - 500_000_000
    # A stack is dated when it has been read, and stands until the next one is, a few periods later.
    assert asleep[-1].end_ns <= ended_ns + 1_000_000_000


def test_an_engine_without_python_needs_no_py_spy(tmp_path: Path) -> None:
    traced(fake(tmp_path, "exit 3"), tmp_path, "sleep", "0.3")
    assert read_traced(tmp_path) == Traced(started_mono_ns=None, reason=NO_PYTHON)


def test_a_refused_py_spy_says_so_and_the_engine_goes_on(tmp_path: Path) -> None:
    script = """
        echo "py-spy> Sampling process 10 times a second"
        echo "Error: Permission Denied: Try running again with elevated permissions" >&2
        exit 1
    """
    said = traced(fake(tmp_path, script), tmp_path, "python3", "-c", ENGINE)
    read = read_traced(tmp_path)
    assert read.started_mono_ns is None
    assert read.reason.startswith("not permitted: Error: Permission Denied")
    # The tracer's end is not the engine's: whoever waits for the engine waits longer.
    assert len(said.split()) == 2


def test_a_py_spy_that_is_not_there_is_the_reason(tmp_path: Path) -> None:
    said = traced(tmp_path / "nowhere", tmp_path, "python3", "-c", ENGINE)
    reason = read_traced(tmp_path).reason
    assert reason.startswith(LAST_LINE) and "No such file or directory" in reason
    assert len(said.split()) == 2


def test_a_training_that_never_began_has_no_trace(tmp_path: Path) -> None:
    assert read_traced(tmp_path).reason == "the training ended before py-spy could be started"


def test_a_py_spy_that_said_nothing_has_a_reason_too(tmp_path: Path) -> None:
    (tmp_path / LOG).touch()
    Traced(started_mono_ns=1).write(tmp_path / ABOUT)
    assert read_traced(tmp_path).reason == NO_OUTPUT


@pytest.mark.parametrize(
    ("log", "reason"),
    [
        ("", NO_OUTPUT),
        ("warn: EPERM: x\nError: y", "not permitted: warn: EPERM: x"),
        (
            "hello\n\nError: Unsupported version of Python: 3.99\n",
            "py-spy: Error: Unsupported version of Python: 3.99",
        ),
        ("Sampling\nsomething  else\n", f"{LAST_LINE}: something else"),
    ],
)
def test_the_reason_is_the_line_that_gives_it(log: str, reason: str) -> None:
    assert refusal(log) == reason
