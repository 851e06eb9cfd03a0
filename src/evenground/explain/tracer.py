"""The process that starts a training and then becomes py-spy.

Where Yama's ptrace_scope is 1 an ordinary user may only trace descendants. As the command's own
parent py-spy would trace the sidecar, too, and its CPU would be taken for the engine's below the
sidecar. So this process starts the training, waits until the engine's Python runs, and then becomes
py-spy by exec, which keeps its descendants.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, NoReturn

from evenground.explain.processes import engine_processes, runs_python
from evenground.records.base import Record
from evenground.sidecar import linux

RATE_HZ = 10
POLL_S = 0.02
TRACE, LOG, ABOUT = "py-spy.trace.json", "py-spy.log", "py-spy.json"
# With native frames, waiting threads, the engine's other processes, and the numbers of threads.
WHAT = ["--native", "--idle", "--subprocesses", "--threads"]
NO_PYTHON = "no process of the engine is Python's"
NO_OUTPUT = "py-spy ended without a trace and without output"
LAST_LINE = "py-spy ended without a trace; its last line"
_REFUSED = re.compile(r"permission denied|operation not permitted|EPERM", re.IGNORECASE)
_ERROR = re.compile(r"\berror\b|\bfailed\b|panicked", re.IGNORECASE)


class Traced(Record):
    """When py-spy was started (monotonic), or why it was not."""

    WHAT: ClassVar[str] = "start of py-spy"

    started_mono_ns: int | None
    reason: str = ""


def trace(command: Sequence[str], py_spy: Path, folder: Path) -> None:
    """Start `command`; become py-spy when an engine below it runs Python, or return if none does.

    Leaves py-spy's trace, log and start in `folder`. The process ends with its parent.
    """
    linux.prctl(linux.PR_SET_PDEATHSIG, signal.SIGKILL)
    training = subprocess.Popen(command)
    root = _wait_for_python(training)
    if root is not None:
        _become(py_spy, root, folder)
    Traced(started_mono_ns=None, reason=NO_PYTHON).write(folder / ABOUT)
    training.wait()


def _wait_for_python(training: subprocess.Popen[bytes]) -> int | None:
    """Return the engine's first process once any is Python's; None if the training ends before."""
    while training.poll() is None:
        engine = engine_processes(os.getpid())
        if any(runs_python(pid) for pid in engine):
            return engine[0]
        time.sleep(POLL_S)
    return None


def _become(py_spy: Path, root: int, folder: Path) -> NoReturn:
    """Turn this process into py-spy; if that fails, it ends with the reason in the log."""
    command = [str(py_spy), "record", "--pid", str(root)] + WHAT
    command += ["--rate", str(RATE_HZ), "--format", "chrometrace", "--output", str(folder / TRACE)]
    log = os.open(folder / LOG, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    # By default py-spy does not report why it cannot read one process of several.
    env = {**os.environ, "RUST_LOG": "warn"}
    # py-spy's own clock begins once it is loaded: its stacks are dated too early by so much.
    Traced(started_mono_ns=time.monotonic_ns()).write(folder / ABOUT)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.execve(py_spy, command, env)


def read_traced(folder: Path) -> Traced:
    """Return when py-spy was started for the training in `folder`, or why there is no trace.

    Raises EvengroundError if what it left cannot be read.
    """
    if not (folder / ABOUT).is_file():
        reason = "the training ended before py-spy could be started"
        return Traced(started_mono_ns=None, reason=reason)
    traced = Traced.read(folder / ABOUT)
    if traced.reason or (folder / TRACE).is_file():
        return traced
    log = (folder / LOG).read_text(encoding="utf-8", errors="replace")
    return Traced(started_mono_ns=None, reason=refusal(log))


def refusal(log: str) -> str:
    """Return why py-spy left no trace: that the system refused, else its log's first error."""
    lines = [" ".join(line.split()) for line in log.splitlines() if line.strip()]
    for line in lines:
        if _REFUSED.search(line):
            return f"not permitted: {line}"
    for line in lines:
        if _ERROR.search(line):
            return f"py-spy: {line}"
    if lines:
        return f"{LAST_LINE}: {lines[-1]}"
    return NO_OUTPUT
