"""The process between us and a training that becomes py-spy: a tracer must be an ancestor of what it traces.

Where Yama's ptrace_scope is 1 an ordinary user may only trace descendants. py-spy as the command's own
parent would trace the sidecar, too, and its CPU would be taken for the engine's below the sidecar. So this
process starts the training, waits until the engine's Python runs, and then becomes py-spy by exec: its
descendants stay.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from evenground.explain.processes import engine_processes, runs_python
from evenground.files import read_json, write_json
from evenground.sidecar import linux

RATE_HZ = 10
POLL_S = 0.02
TRACE, LOG, ABOUT = "py-spy.trace.json", "py-spy.log", "py-spy.json"
NO_PYTHON = "no process of the engine is Python's"
NO_WORD = "py-spy ended without a trace and without a word"
LAST_WORD = "py-spy ended without a trace; it said last"
_REFUSED = re.compile(r"permission denied|operation not permitted|EPERM", re.IGNORECASE)
_ERROR = re.compile(r"\berror\b|\bfailed\b|panicked", re.IGNORECASE)


@dataclass(frozen=True)
class Traced:
    """When py-spy was started (monotonic), or why it was not."""

    started_mono_ns: int | None
    reason: str = ""


def trace(command: Sequence[str], py_spy: Path, folder: Path) -> None:
    """Start `command`, and become py-spy as soon as an engine below it runs Python; returns where none does.

    py-spy's trace, log and start are left in `folder`. It ends with the process that called this.
    """
    linux.prctl(linux.PR_SET_PDEATHSIG, signal.SIGKILL)
    training = subprocess.Popen(command)
    root = _wait_for_python(training)
    reason = NO_PYTHON
    if root is not None:
        reason = _become(py_spy, root, folder)
    write_json(folder / ABOUT, asdict(Traced(None, reason)))
    training.wait()


def _wait_for_python(training: subprocess.Popen[bytes]) -> int | None:
    """The engine's first process, once any of them is Python's; None where the training ends before."""
    while training.poll() is None:
        engine = engine_processes(os.getpid())
        if any(runs_python(pid) for pid in engine):
            return engine[0]
        time.sleep(POLL_S)
    return None


def _become(py_spy: Path, root: int, folder: Path) -> str:
    """Turn this process into py-spy; returns only where that fails, with the reason."""
    command = [str(py_spy), "record", "--pid", str(root), *_options(folder)]
    log = os.open(folder / LOG, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    # Without it py-spy keeps to itself why it cannot read one process of several.
    env = {**os.environ, "RUST_LOG": "warn"}
    write_json(folder / ABOUT, asdict(Traced(time.monotonic_ns())))
    out, err = os.dup(1), os.dup(2)
    os.dup2(log, 1)
    os.dup2(log, 2)
    try:
        os.execve(py_spy, command, env)
    except OSError as error:
        os.dup2(out, 1)
        os.dup2(err, 2)
        return f"py-spy could not be started: {error.strerror}"


def _options(folder: Path) -> list[str]:
    """Native frames, threads that wait, other processes of the engine, and the numbers of threads."""
    what = ["--native", "--idle", "--subprocesses", "--threads"]
    how = ["--rate", str(RATE_HZ), "--format", "chrometrace", "--output", str(folder / TRACE)]
    return [*what, *how]


def read_traced(folder: Path) -> Traced:
    """When py-spy was started beside a training that left its files in `folder`, or why there is no trace."""
    if not (folder / ABOUT).is_file():
        return Traced(None, "the training ended before py-spy could be started")
    traced = Traced(**read_json(folder / ABOUT))
    if traced.reason or (folder / TRACE).is_file():
        return traced
    return Traced(None, refusal((folder / LOG).read_text(encoding="utf-8", errors="replace")))


def refusal(log: str) -> str:
    """Why py-spy left no trace, by what it wrote: where the system refused, that."""
    lines = [" ".join(line.split()) for line in log.splitlines() if line.strip()]
    for line in lines:
        if _REFUSED.search(line):
            return f"not permitted: {line}"
    for line in lines:
        if _ERROR.search(line):
            return f"py-spy: {line}"
    return f"{LAST_WORD}: {lines[-1]}" if lines else NO_WORD
