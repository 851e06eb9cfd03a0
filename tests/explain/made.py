"""Made traces of py-spy and of the kernel, and who calls the pipeline as an ordinary user."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

NOBODY = 65534
# An ordinary user for all that is traced; it may read the environment of the tests, wherever that lies.
ORDINARY = (
    *("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "--no-new-privs"),
    *("--inh-caps=-all,+dac_read_search", "--ambient-caps=-all,+dac_read_search"),
    *("--bounding-set=-all,+dac_read_search", "--"),
)
FrameOf = tuple[str, str, int]


def py_spy() -> Path:
    """The real one; the tests' environment has it."""
    path = Path(sys.executable).with_name("py-spy")
    if not path.is_file():
        pytest.skip("no py-spy beside this Python: build the environment `test`")
    return path


def as_user(name: str) -> tuple[str, ...]:
    """What stands before a command that `root` or an `ordinary` user calls."""
    if name == "ordinary" and os.geteuid() == 0:
        if not shutil.which("setpriv"):
            pytest.skip("no setpriv here to become an ordinary user")
        return ORDINARY
    if name == "root" and os.geteuid() != 0:
        pytest.skip("these tests are not root's: the ordinary user is tested")
    return ()


def give(folder: Path) -> None:
    """Let the ordinary user own a folder with all that is in it."""
    for path in [folder, *folder.rglob("*")]:
        os.chown(path, NOBODY, NOBODY, follow_symlinks=False)


def trace_of(
    samples: Sequence[tuple[int, Sequence[FrameOf]]], end_us: int, pid: int, tid: int
) -> list[Any]:
    """py-spy's events of one thread: (microseconds, frames from the innermost on) of each change."""
    events: list[Any] = []
    before: list[FrameOf] = []
    for at_us, frames in [*samples, (end_us, [])]:
        now = [
            (f'process {pid}:"made"', "", 0),
            (f"thread ({tid}): Main", "", 0),
            *reversed(frames),
        ]
        now = now if frames else []
        same = next((k for k, (a, b) in enumerate(zip(before, now, strict=False)) if a != b), None)
        kept = min(len(before), len(now)) if same is None else same
        events += [_event("E", frame, at_us, pid, tid) for frame in reversed(before[kept:])]
        events += [_event("B", frame, at_us, pid, tid) for frame in now[kept:]]
        before = now
    return events


def _event(phase: str, frame: FrameOf, at_us: int, pid: int, tid: int) -> dict[str, Any]:
    name, file, line = frame
    args = {"filename": file, "line": line}
    # py-spy names a thread by its address.
    return {
        "args": args,
        "cat": "py-spy",
        "name": name,
        "ph": phase,
        "pid": pid,
        "tid": tid << 20,
        "ts": at_us,
    }
