"""The stacks that py-spy recorded, with the time of each on the monotonic clock.

py-spy writes the events of Chrome's tracing: "B" where a frame is entered, "E" where it is left, in
microseconds since py-spy itself started (its src/chrometrace.rs). A thread that ended keeps its
last stack.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from evenground.files import read_json

# How many of the innermost frames a table shows, and how many of Python's at least.
MAX_INNERMOST, MAX_PYTHON = 12, 3
MAX_NAME = 120
LEFT_OUT = "..."
_THREAD = re.compile(r"thread \((\d+)\)(?:: (.*))?")
Thread = tuple[int, int]
"""Numbers of a process and of one of its threads."""


@dataclass(frozen=True)
class Frame:
    """One frame: name of the function, file name and line; native frames have line 0."""

    name: str
    file: str
    line: int

    @property
    def is_python(self) -> bool:
        """Whether it is Python's: only those have lines."""
        return self.line > 0

    def __str__(self) -> str:
        """Return `name (file:line)` for Python, `name [library]` for native code."""
        # py-spy writes the address where a library has no name for it.
        name = "?" if self.name.startswith("0x") else self.name[:MAX_NAME]
        if self.is_python:
            return f"{name} ({self.file}:{self.line})"
        return f"{name} [{self.file}]"


@dataclass(frozen=True)
class Stack:
    """The frames of a thread, innermost first, between two moments in monotonic nanoseconds."""

    start_ns: int
    end_ns: int
    pid: int
    tid: int
    thread: str
    frames: tuple[Frame, ...]

    @property
    def key(self) -> Thread:
        """The numbers of its thread."""
        return self.pid, self.tid


def read_stacks(path: Path, started_ns: int) -> list[Stack]:
    """Return every stack of a py-spy trace that began at monotonic `started_ns`.

    Raises EvengroundError if the file is missing or broken.
    """
    open_frames: dict[Thread, list[Frame]] = {}
    since_us: dict[Thread, int] = {}
    stacks: list[Stack] = []
    for event in read_json(path):
        # py-spy's own number of a thread: that of the system is in the name of a frame.
        key = (event["pid"], event["tid"])
        now_us = event["ts"]
        frames = open_frames.setdefault(key, [])
        if frames and now_us > since_us[key]:
            start_ns, end_ns = started_ns + since_us[key] * 1000, started_ns + now_us * 1000
            stacks += _stack(start_ns, end_ns, event["pid"], frames)
        since_us[key] = now_us
        if event["ph"] == "B":
            frames.append(_frame(event))
        elif event["ph"] == "E":
            frames.pop()
    return stacks


def _frame(event: dict[str, Any]) -> Frame:
    args = event["args"]
    file = _short(args.get("filename") or "?")
    return Frame(name=event["name"], file=file, line=args.get("line") or 0)


def _short(file: str) -> str:
    """Return the path of a Python file below this folder or site-packages, else the name only."""
    path = Path(file)
    below_packages = file.partition("/site-packages/")[2]
    if path.suffix == ".py" and below_packages:
        return below_packages
    if path.is_relative_to(Path.cwd()):
        return str(path.relative_to(Path.cwd()))
    return path.name


def _stack(start_ns: int, end_ns: int, pid: int, outermost_first: Sequence[Frame]) -> list[Stack]:
    """Return the stack of a thread; empty if only its process or its name is known."""
    for depth, frame in enumerate(outermost_first):
        thread = _THREAD.fullmatch(frame.name)
        if not thread:
            continue
        frames = tuple(reversed(outermost_first[depth + 1 :]))
        if not frames:
            return []
        stack = Stack(
            start_ns=start_ns,
            end_ns=end_ns,
            pid=pid,
            tid=int(thread[1]),
            thread=thread[2] or "",
            frames=frames,
        )
        return [stack]
    return []


def shown(frames: Sequence[Frame]) -> tuple[str, ...]:
    """Return the innermost frames as a table shows them, and at least some of Python's."""
    # Compilers leave the same function several times in a row.
    once = [frame for frame, _ in groupby(frames)]
    innermost, rest = once[:MAX_INNERMOST], once[MAX_INNERMOST:]
    n_missing = MAX_PYTHON - sum(frame.is_python for frame in innermost)
    python = [frame for frame in rest if frame.is_python][: max(0, n_missing)]
    texts = [str(frame) for frame in innermost]
    if python:
        texts.append(LEFT_OUT)
        texts += [str(frame) for frame in python]
    return tuple(texts)
