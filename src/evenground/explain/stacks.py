"""The stacks that py-spy recorded, with the time of each on the monotonic clock.

py-spy writes the events of Chrome's tracing: "B" where a frame is entered, "E" where it is left, in
microseconds since py-spy itself began (its src/chrometrace.rs). A thread that ended keeps its last stack.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evenground.files import read_json

# The innermost frames of each kind that a table shows.
MAX_INNERMOST, MAX_PYTHON = 12, 3
MAX_NAME = 120
LEFT_OUT = "..."
_THREAD = re.compile(r"thread \((\d+)\)(?:: (.*))?")


@dataclass(frozen=True)
class Frame:
    """One frame: name of the function, file name and line; native frames have no line."""

    name: str
    file: str
    line: int

    @property
    def is_python(self) -> bool:
        """Whether it is Python's: only those have lines."""
        return self.line > 0

    def __str__(self) -> str:
        """As a table shows it: `name (file:line)` in Python, `name [library]` elsewhere."""
        name = "?" if self.name.startswith("0x") else self.name[:MAX_NAME]
        return f"{name} ({self.file}:{self.line})" if self.is_python else f"{name} [{self.file}]"


@dataclass(frozen=True)
class Stack:
    """A thread had these frames, innermost first, from one moment to the other, in monotonic nanoseconds."""

    start_ns: int
    end_ns: int
    pid: int
    tid: int
    thread: str
    frames: tuple[Frame, ...]


def read_stacks(path: Path, started_ns: int) -> list[Stack]:
    """Every stack of a trace of py-spy that began at monotonic `started_ns`.

    EvengroundError where the file is missing or broken.
    """
    open_frames: dict[tuple[int, int], list[Frame]] = {}
    since_us: dict[tuple[int, int], int] = {}
    stacks: list[Stack] = []
    for event in read_json(path):
        key = (event["pid"], event["tid"])
        frames, now_us = open_frames.setdefault(key, []), event["ts"]
        if frames and now_us > since_us[key]:
            times_ns = (started_ns + since_us[key] * 1000, started_ns + now_us * 1000)
            stacks += _stack(*times_ns, key[0], frames)
        since_us[key] = now_us
        if event["ph"] == "B":
            frames.append(_frame(event))
        elif event["ph"] == "E":
            frames.pop()
    return stacks


def _frame(event: dict[str, Any]) -> Frame:
    file = event["args"].get("filename") or "?"
    return Frame(event["name"], _short(file), event["args"].get("line") or 0)


def _short(file: str) -> str:
    """A file as it can stand in a table: Python's below this folder or a package's, else the name only."""
    path = Path(file)
    packages = file.partition("/site-packages/")[2]
    if path.suffix == ".py" and packages:
        return packages
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else path.name


def _stack(start_ns: int, end_ns: int, pid: int, outermost_first: Sequence[Frame]) -> list[Stack]:
    """The stack of a thread; none of a moment at which only its process or its name is known."""
    for depth, frame in enumerate(outermost_first):
        if named := _THREAD.fullmatch(frame.name):
            frames = tuple(reversed(outermost_first[depth + 1 :]))
            found = Stack(start_ns, end_ns, pid, int(named[1]), named[2] or "", frames)
            return [found] if frames else []
    return []


def shown(frames: Sequence[Frame]) -> tuple[str, ...]:
    """The innermost frames as a table shows them, and where those are all native the innermost of Python.

    The same function several times in a row, as compilers leave it, stands once.
    """
    once = [
        frame for frame, before in zip(frames, [None, *frames], strict=False) if frame != before
    ]
    innermost, rest = once[:MAX_INNERMOST], once[MAX_INNERMOST:]
    wanted = max(0, MAX_PYTHON - sum(frame.is_python for frame in innermost))
    python = [frame for frame in rest if frame.is_python][:wanted]
    left_out = [LEFT_OUT] if python else []
    return (*map(str, innermost), *left_out, *map(str, python))
