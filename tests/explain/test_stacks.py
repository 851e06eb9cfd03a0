"""Stacks as py-spy records them: their times, and what a table shows of their frames."""

from __future__ import annotations

import json
from pathlib import Path

from evenground.explain.stacks import LEFT_OUT, MAX_INNERMOST, Frame, read_stacks, shown
from explain.made import trace_of

MAIN = ("main", "train.py", 9)
SLEEP = [("clock_nanosleep", "/usr/lib/libc.so.6", 0), ("wait", "train.py", 3), MAIN]
COMPUTE = [("compute", "train.py", 5), MAIN]


def test_each_stack_has_its_time_its_thread_and_its_frames_from_the_innermost_on(
    tmp_path: Path,
) -> None:
    path = tmp_path / "trace.json"
    events = trace_of([(100, COMPUTE), (300, SLEEP), (900, COMPUTE)], 1000, pid=7, tid=8)
    path.write_text(json.dumps(events))
    stacks = read_stacks(path, started_ns=5_000_000)
    times = [(stack.start_ns, stack.end_ns) for stack in stacks]
    assert times == [(5_100_000, 5_300_000), (5_300_000, 5_900_000), (5_900_000, 6_000_000)]
    assert {(stack.pid, stack.tid, stack.thread) for stack in stacks} == {(7, 8, "Main")}
    assert [frame.name for frame in stacks[1].frames] == ["clock_nanosleep", "wait", "main"]
    assert [frame.name for frame in stacks[2].frames] == ["compute", "main"]


def test_files_are_named_without_the_machines_folders(tmp_path: Path) -> None:
    here = str(Path.cwd() / "scripts/x.py")
    frames = [("a", "/opt/lib/libx.so", 0), ("b", "/opt/lib/python3/site-packages/keras/fit.py", 4)]
    path = tmp_path / "trace.json"
    path.write_text(
        json.dumps(trace_of([(0, [*frames, ("c", here, 5), ("0x7f12", "?", 0)])], 9, 1, 1))
    )
    (stack,) = read_stacks(path, 0)
    assert shown(stack.frames) == (
        "a [libx.so]",
        "b (keras/fit.py:4)",
        "c (scripts/x.py:5)",
        "? [?]",
    )


def test_of_many_native_frames_the_innermost_stand_and_then_pythons() -> None:
    native = [Frame(f"n{k}", "lib.so", 0) for k in range(20)]
    python = [Frame(f"p{k}", "train.py", k + 1) for k in range(5)]
    found = shown([*native, *python])
    assert len(found) == MAX_INNERMOST + 1 + 3 and found[MAX_INNERMOST] == LEFT_OUT
    assert found[MAX_INNERMOST - 1] == "n11 [lib.so]"
    assert found[-3:] == ("p0 (train.py:1)", "p1 (train.py:2)", "p2 (train.py:3)")
    assert shown(native) == tuple(f"n{k} [lib.so]" for k in range(MAX_INNERMOST))


def test_a_function_several_times_in_a_row_stands_once() -> None:
    twice = Frame("~Iterator", "lib.so", 0)
    assert shown([twice, twice, Frame("fit", "x.py", 1)]) == ("~Iterator [lib.so]", "fit (x.py:1)")
