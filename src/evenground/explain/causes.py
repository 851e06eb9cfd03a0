"""What the threads of an engine did in its idle windows: the rows of the table `idle_causes`."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace

from evenground.analysis.groups import Rows
from evenground.analysis.idle import MIN_S
from evenground.explain.kernel import (
    HIDDEN,
    NOT_PERMITTED,
    RUNNING,
    Recording,
    Wait,
    read_recording,
)
from evenground.explain.looks import Looks, Thread, look_into
from evenground.explain.stacks import Stack, read_stacks, shown
from evenground.explain.tracer import NO_PYTHON, TRACE
from evenground.explain.training import KERNEL, Explained
from evenground.explain.windows import Window, windows_of

PY_SPY, BY_KERNEL = "py-spy", "kernel"
# What is seen in less of a window does not make it one.
MIN_SHARE = 0.05
# From here on it is the tracer that made the window.
MAX_HELD = 0.5
# py-spy looks ten times as often, by and large: for longer a stack does not stand unseen.
MAX_STALE_NS = 1_000_000_000
HELD_STILL = "made by the tracer: py-spy held the engine still to read its stacks"
NO_STACK = "py-spy has no stack from then"
NO_LOOK = "the kernel was not asked then: the window is too short"
CALLED_BY = " ← "


def cause_rows(explained: Explained) -> Rows:
    """The rows of one engine on one dataset; EvengroundError when its files cannot be read."""
    named = {"dataset": explained.run.dataset, "engine": explained.run.engine}
    outcome, traced = explained.outcome, explained.traced
    if outcome.reason:
        return [{**named, "reason": f"the training failed: {outcome.reason}: {outcome.detail}"}]
    recording = read_recording(explained.folder / KERNEL)
    stacks: list[Stack] = []
    if traced.started_mono_ns is not None:
        stacks = read_stacks(explained.folder / TRACE, traced.started_mono_ns)
    windows = windows_of(explained)
    rows: Rows = []
    for window in windows.found:
        rows += window_rows(window, recording, stacks, traced.reason)
    return [{**named, **row} for row in rows or [{"reason": windows.why_none}]]


def window_rows(
    window: Window, recording: Recording, stacks: Sequence[Stack], no_stacks: str
) -> Rows:
    """The rows of one window; `no_stacks` is why py-spy has none, empty where it has."""
    looks = look_into(recording, window)
    if _made_by_tracer(window, looks):
        rows: Rows = [{"tracer": PY_SPY, "reason": HELD_STILL}]
    else:
        rows = [*_stack_rows(window, stacks, no_stacks, looks), *_wait_rows(looks)]
    return [{**window.cells, "held_share": looks.held_share, **row} for row in rows]


def _made_by_tracer(window: Window, looks: Looks) -> bool:
    """Whether py-spy held the engine for most of a window, or without those moments it would be none."""
    length_s = window.inside_ns(window.start_ns, window.end_ns) / 1e9
    free_s = length_s * (1 - looks.held_share)
    return looks.held_share >= MAX_HELD or (bool(looks.held) and free_s < MIN_S)


def _stack_rows(window: Window, stacks: Sequence[Stack], no_stacks: str, looks: Looks) -> Rows:
    """A row per stack of Python's threads, by its share of the window's length; why there is none."""
    if no_stacks == NO_PYTHON:
        return []
    inside_ns: dict[tuple[str, str, tuple[str, ...]], Counter[Thread]] = defaultdict(Counter)
    for stack in dated(stacks, window, looks):
        thread = (stack.pid, stack.tid)
        kind = (looks.processes.get(thread, ""), stack.thread, shown(stack.frames))
        inside_ns[kind][thread] += window.inside_ns(stack.start_ns, stack.end_ns)
    rows = [
        {
            "tracer": PY_SPY,
            "process": process,
            "thread": name,
            "threads": len(by_thread),
            "frames": CALLED_BY.join(frames),
            "share": max(by_thread.values()) / window.inside_ns(window.start_ns, window.end_ns),
        }
        for (process, name, frames), by_thread in inside_ns.items()
    ]
    return _largest(rows) or [{"tracer": PY_SPY, "reason": _why_no_stack(no_stacks, looks)}]


def _why_no_stack(no_stacks: str, looks: Looks) -> str:
    """Why py-spy has no stack in a window; it may take a refusal for the engine's end."""
    if no_stacks.startswith(NOT_PERMITTED):
        return no_stacks
    refused = (wait.call for wait in looks.seen if wait.call.startswith(NOT_PERMITTED))
    return next(refused, no_stacks or NO_STACK)


def dated(stacks: Sequence[Stack], window: Window, looks: Looks) -> list[Stack]:
    """The stacks of a window, that from before it no longer than it can have been.

    A stack stands until py-spy reads the next one, which may be a while. Where the kernel saw the thread in
    one wait all that while, it had the next stack already. py-spy keeps the last stack of a thread that has
    ended; the kernel does not know that thread any more.
    """
    by_thread: dict[Thread, list[Stack]] = defaultdict(list)
    for stack in stacks:
        thread = (stack.pid, stack.tid)
        there = thread in looks.processes or not looks.processes
        if there and window.inside_ns(stack.start_ns, stack.end_ns):
            by_thread[thread].append(stack)
    for thread, found in by_thread.items():
        if found[0].start_ns < window.start_ns and [stack.start_ns for stack in found[1:2]] == [
            found[0].end_ns
        ]:
            border_ns = looks.in_one_wait_since(thread, found[0].end_ns)
            border_ns = max(border_ns, found[0].end_ns - MAX_STALE_NS)
            found[:2] = [replace(found[0], end_ns=border_ns), replace(found[1], start_ns=border_ns)]
    return [stack for found in by_thread.values() for stack in found]


def _wait_rows(looks: Looks) -> Rows:
    """A row per wait that the kernel named, by the share of looks at which any thread was seen so."""
    if not looks.asked:
        return [{"tracer": BY_KERNEL, "reason": NO_LOOK}]
    rows = [
        {
            "tracer": BY_KERNEL,
            "process": wait.process,
            "thread": wait.thread,
            "threads": len(threads),
            "frames": "" if wait.call.startswith(NOT_PERMITTED) else wait_text(wait),
            "share": len(set().union(*threads.values())) / looks.asked,
            "reason": wait.call if wait.call.startswith(NOT_PERMITTED) else "",
        }
        for wait, threads in looks.seen.items()
    ]
    return _largest(rows)


def wait_text(wait: Wait) -> str:
    """A wait in words: the system call, and the function of the kernel in which it waits."""
    if wait.state == RUNNING:
        return "runs, or waits for a core"
    where = "the kernel does not say where" if wait.channel == HIDDEN else f"in {wait.channel}"
    return f"{wait.call or 'no system call'} ({where})"


def _largest(rows: Rows) -> Rows:
    """The rows that matter, the largest share first."""
    large = [row for row in rows if float(str(row["share"])) >= MIN_SHARE]
    return sorted(
        large, key=lambda row: (-float(str(row["share"])), str(row["thread"]), str(row["frames"]))
    )
