"""What the threads of an engine did in its idle windows: the rows of the table `idle_causes`."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence

from evenground.analysis.groups import Rows
from evenground.analysis.idle import MIN_S
from evenground.explain.kernel import (
    HIDDEN,
    NOT_PERMITTED,
    RUNNING,
    Recording,
    Wait,
)
from evenground.explain.looks import Looks, look_into
from evenground.explain.stacks import Stack, Thread, read_stacks, shown
from evenground.explain.tracer import NO_PYTHON, TRACE
from evenground.explain.training import KERNEL, Explained
from evenground.explain.windows import Window, windows_of

PY_SPY, BY_KERNEL = "py-spy", "kernel"
# A stack or wait with a smaller share of a window is not its cause.
MIN_SHARE = 0.05
# With a larger share of held moments the tracer made the window.
MAX_HELD = 0.5
HELD_STILL = "made by the tracer: py-spy held the engine still to read its stacks"
NO_STACK = "py-spy has no stack from then"
NO_LOOK = "the kernel was not asked then: the window is too short"
CALLED_BY = " ← "


def cause_rows(explained: Explained) -> Rows:
    """Return the rows of an engine on a dataset; raises EvengroundError for unreadable files."""
    record = explained.record
    names = {
        "condition": explained.condition,
        "dataset": record.dataset,
        "engine": record.engine,
    }
    outcome, traced = record.outcome, record.traced
    if outcome.reason:
        reason = f"the training failed: {outcome.reason}: {outcome.detail}"
        return [{**names, "reason": reason}]
    recording = Recording.read(explained.folder / KERNEL)
    stacks: list[Stack] = []
    if traced.started_mono_ns is not None:
        stacks = read_stacks(explained.folder / TRACE, traced.started_mono_ns)
    windows, why_none = windows_of(explained)
    rows: Rows = []
    for window in windows:
        rows += window_rows(window, recording, stacks, traced.reason)
    if not rows:
        rows = [{"reason": why_none}]
    return [{**names, **row} for row in rows]


def window_rows(
    window: Window, recording: Recording, stacks: Sequence[Stack], no_stacks: str
) -> Rows:
    """Return the rows of one window; `no_stacks` is why py-spy has none, or empty."""
    looks = look_into(recording, window)
    if _is_made_by_tracer(window, looks):
        rows: Rows = [{"tracer": PY_SPY, "reason": HELD_STILL}]
    else:
        rows = _wait_rows(looks)
        # A program without Python has no stacks, and needs no reason for it.
        if no_stacks != NO_PYTHON:
            rows = _stack_rows(window, stacks, no_stacks, looks) + rows
    return [{**window.cells, "held_share": looks.held_share, **row} for row in rows]


def _is_made_by_tracer(window: Window, looks: Looks) -> bool:
    """Whether py-spy held the engine for most of a window, or little is left otherwise."""
    free_s = window.length_ns / 1e9 * (1 - looks.held_share)
    return looks.held_share >= MAX_HELD or (bool(looks.held) and free_s < MIN_S)


def _stack_rows(window: Window, stacks: Sequence[Stack], no_stacks: str, looks: Looks) -> Rows:
    """Return a row for each stack of Python's threads with its share, or why there is none."""
    # Threads of one name with the same frames are one row, with the largest of their shares.
    inside_ns: dict[tuple[str, str, tuple[str, ...]], Counter[Thread]] = defaultdict(Counter)
    for stack in stacks:
        # py-spy keeps the last stack of a thread that has ended, which the kernel no longer lists.
        is_there = stack.key in looks.processes or not looks.processes
        stack_ns = window.inside_ns(stack.start_ns, stack.end_ns)
        if is_there and stack_ns:
            kind = (looks.processes.get(stack.key, ""), stack.thread, shown(stack.frames))
            inside_ns[kind][stack.key] += stack_ns
    rows: Rows = []
    for (process, name, frames), by_thread in inside_ns.items():
        row = {
            "tracer": PY_SPY,
            "process": process,
            "thread": name,
            "threads": len(by_thread),
            "frames": CALLED_BY.join(frames),
            "share": max(by_thread.values()) / window.length_ns,
        }
        rows.append(row)
    return _largest(rows) or [{"tracer": PY_SPY, "reason": _why_no_stack(no_stacks, looks)}]


def _why_no_stack(no_stacks: str, looks: Looks) -> str:
    if no_stacks.startswith(NOT_PERMITTED):
        return no_stacks
    # py-spy may take a refusal for the engine's end; the kernel does not.
    for wait in looks.seen:
        if wait.is_refused:
            return wait.call
    return no_stacks or NO_STACK


def _wait_rows(looks: Looks) -> Rows:
    """Return a row for each wait by the share of looks at which any thread was in it."""
    if not looks.n_free:
        return [{"tracer": BY_KERNEL, "reason": NO_LOOK}]
    rows: Rows = []
    for wait, threads in looks.seen.items():
        seen_at = set().union(*threads.values())
        row = {
            "tracer": BY_KERNEL,
            "process": wait.process,
            "thread": wait.thread,
            "threads": len(threads),
            "frames": "" if wait.is_refused else _wait_text(wait),
            "share": len(seen_at) / looks.n_free,
            "reason": wait.call if wait.is_refused else "",
        }
        rows.append(row)
    return _largest(rows)


def _wait_text(wait: Wait) -> str:
    """Return the system call, and the function of the kernel in which the thread waits."""
    if wait.state == RUNNING:
        return "runs, or waits for a core"
    where = f"in {wait.channel}"
    if wait.channel == HIDDEN:
        where = "the kernel does not say where"
    return f"{wait.call or 'no system call'} ({where})"


def _largest(rows: Rows) -> Rows:
    """Return the rows of at least MIN_SHARE, the largest first."""

    def share(row: dict[str, object]) -> float:
        return float(str(row["share"]))

    large = [row for row in rows if share(row) >= MIN_SHARE]
    return sorted(large, key=lambda row: (-share(row), str(row["thread"]), str(row["frames"])))
