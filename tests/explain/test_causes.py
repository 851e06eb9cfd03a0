"""The table of causes, of made trainings: what was seen in each window, and why something was not.

The golden files are made anew with: EVENGROUND_REGENERATE=1 python -m pytest tests/explain/test_causes.py
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from analysis.synthetic import BOOT_NS, T0_NS, Made, write_run
from analysis.test_tables import FORMS, compare
from evenground.explain.causes import HELD_STILL, NO_LOOK, NO_STACK, cause_rows, window_rows
from evenground.explain.kernel import HELD, NOT_PERMITTED, RUNNING, Recording, Stretch, Wait
from evenground.explain.places import ExplainedRecord
from evenground.explain.stacks import Frame, Stack
from evenground.explain.table import NAME, write_causes
from evenground.explain.tracer import NO_PYTHON, TRACE, Traced
from evenground.explain.training import KERNEL, Explained, read_explained
from evenground.explain.windows import Window
from evenground.runs.outcome import Outcome
from explain.made import trace_of

GOLDEN = Path(__file__).parent / "golden"
MS = 1_000_000
WINDOW = Window({"window": 1, "phase": "epoch 1", "start_s": 1.0, "length_s": 1.0}, 0, 1000 * MS)
TICKS = list(range(25 * MS, 1000 * MS, 50 * MS))
MAIN = Wait(1, 1, "python3", "python3", "S", "futex_do_wait", "futex")
POOL = [replace(MAIN, tid=tid, thread="pool") for tid in (2, 3)]
WAITING = (Frame("futex_wait", "libc.so.6", 0), Frame("fit", "train.py", 3))


def recorded(*stretches: tuple[Wait, int, int]) -> Recording:
    """Looks every 50 ms; each wait from one of them to the other."""
    return Recording(ticks_ns=TICKS, stretches=[Stretch(*stretch) for stretch in stretches])


def stack(start_ms: int, end_ms: int, tid: int = 1, frames: Sequence[Frame] = WAITING) -> Stack:
    return Stack(start_ms * MS, end_ms * MS, 1, tid, "MainThread", tuple(frames))


def test_a_share_is_the_part_of_the_window() -> None:
    recording = recorded(
        (MAIN, 0, 14), (replace(MAIN, state=RUNNING, channel="0", call=""), 15, 19)
    )
    by_stack, by_wait, runs = window_rows(
        WINDOW, recording, [stack(-500, 350), stack(600, 1500)], ""
    )
    assert (
        by_stack["share"] == 0.75
        and by_stack["frames"] == "futex_wait [libc.so.6] ← fit (train.py:3)"
    )
    assert (by_wait["share"], by_wait["frames"]) == (0.75, "futex (in futex_do_wait)")
    assert (runs["share"], runs["frames"]) == (0.25, "runs, or waits for a core")


def test_threads_that_do_the_same_are_one_row() -> None:
    recording = recorded((MAIN, 0, 19), *((wait, 0, 9) for wait in POOL))
    rows = window_rows(WINDOW, recording, [], NO_PYTHON)
    assert [(row["thread"], row["threads"], row["share"]) for row in rows] == [
        ("python3 (main)", 1, 1.0),
        ("pool", 2, 0.5),
    ]


def test_moments_at_which_py_spy_held_the_engine_are_no_waits_of_it() -> None:
    held = replace(MAIN, state=HELD, channel="0", call="")
    recording = recorded((MAIN, 0, 15), (held, 16, 19))
    _, by_wait = window_rows(WINDOW, recording, [stack(0, 1000)], "")
    assert (by_wait["held_share"], by_wait["share"]) == (0.2, 1.0)


def test_a_window_that_the_tracer_made_says_so_and_nothing_else() -> None:
    held = replace(MAIN, state=HELD, channel="0", call="")
    (row,) = window_rows(WINDOW, recorded((held, 0, 11), (MAIN, 12, 19)), [stack(0, 1000)], "")
    assert row["held_share"] == 0.6 and row["reason"] == HELD_STILL


def test_a_window_that_would_be_none_without_the_tracer_is_the_tracers() -> None:
    held = replace(MAIN, state=HELD, channel="0", call="")
    short = replace(WINDOW, end_ns=400 * MS)
    (row,) = window_rows(short, recorded((held, 0, 2), (MAIN, 3, 19)), [stack(0, 400)], "")
    assert (row["held_share"], row["reason"]) == (0.375, HELD_STILL)
    assert len(window_rows(short, recorded((held, 0, 1), (MAIN, 2, 19)), [stack(0, 400)], "")) == 2


def test_a_thread_that_has_ended_has_no_stack_any_more() -> None:
    recording = recorded((MAIN, 0, 19))
    rows = window_rows(WINDOW, recording, [stack(0, 1000), stack(0, 1000, tid=77)], "")
    assert [row["tracer"] for row in rows] == ["py-spy", "kernel"]


@pytest.mark.parametrize(
    ("stacks", "no_stacks", "reason"),
    [([], "", NO_STACK), ([], "not permitted: x", "not permitted: x"), ([], NO_PYTHON, None)],
)
def test_without_stacks_there_is_a_reason_and_the_kernels_rows(
    stacks: list[Stack], no_stacks: str, reason: str | None
) -> None:
    rows = window_rows(WINDOW, recorded((MAIN, 0, 19)), stacks, no_stacks)
    assert [row["reason"] for row in rows] == ([] if reason is None else [reason]) + [""]


def test_what_the_kernel_refuses_is_the_reason_of_its_row() -> None:
    refused = f"{NOT_PERMITTED}: /proc/PID/syscall: Operation not permitted"
    recording = recorded((replace(MAIN, channel="0", call=refused), 0, 19))
    (row,) = window_rows(WINDOW, recording, [], NO_PYTHON)
    assert (row["frames"], row["reason"]) == ("", refused)


@pytest.mark.parametrize("reason", ["", "py-spy: Error: Failed to get process executable name"])
def test_a_refusal_that_py_spy_took_for_the_end_is_its_reason(reason: str) -> None:
    """It may then leave a trace without a stack from the window, as one of a process that ended."""
    refused = f"{NOT_PERMITTED}: /proc/PID/syscall: Operation not permitted"
    recording = recorded((replace(MAIN, channel="0", call=refused), 0, 19))
    rows = window_rows(WINDOW, recording, [stack(-900, -500)] if not reason else [], reason)
    assert [(row["tracer"], row["reason"]) for row in rows] == [
        ("py-spy", refused),
        ("kernel", refused),
    ]


def test_a_hidden_channel_is_said_to_be_unknown() -> None:
    (row,) = window_rows(WINDOW, recorded((replace(MAIN, channel="0"), 0, 19)), [], NO_PYTHON)
    assert row["frames"] == "futex (the kernel does not say where)"


def test_a_window_that_nobody_looked_into_says_so() -> None:
    rows = window_rows(
        replace(WINDOW, end_ns=20 * MS), recorded((MAIN, 0, 19)), [], "not permitted: x"
    )
    assert [row["reason"] for row in rows] == ["not permitted: x", NO_LOOK]
    assert math.isnan(float(str(rows[0]["held_share"])))


# --------------------------------------------------------------------------------------- the whole table


def explained(
    folder: Path,
    engine: str,
    made: Made,
    reason: str = "",
    outcome: Outcome | None = None,
    condition: str = "",
) -> Explained:
    """A made extra training, in which a thread sleeps and another waits for it from 1.0 s on."""
    zero_ns = T0_NS - BOOT_NS  # the monotonic clock at the start of training
    write_run(folder, made, T0_NS, {})
    ticks = [zero_ns + k * 50 * MS for k in range(60)]
    sleeps = Wait(7, 7, "python3.11", "python3", "S", "hrtimer_nanosleep", "clock_nanosleep")
    waits = replace(sleeps, tid=8, thread="pool", channel="futex_do_wait", call="futex")
    stretches = [Stretch(sleeps, 0, 59), Stretch(waits, 0, 59)]
    Recording(ticks_ns=ticks, stretches=stretches).write(folder / KERNEL)
    fit = ("fit", "train.py", 12)
    sleep = [
        ("clock_nanosleep", "libc.so.6", 0),
        ("time_sleep", "libpython3.so", 0),
        ("wait", "train.py", 3),
    ]
    compute = [("compute", "train.py", 5)]
    at = [(0, [*compute, fit]), (1_000_000, [*sleep, fit]), (2_000_000, [*compute, fit])]
    (folder / TRACE).write_text(json.dumps(trace_of(at, 3_000_000, 7, 7)))
    files = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}
    record = ExplainedRecord(
        dataset="digits",
        engine=engine,
        key="0123",
        outcome=outcome or Outcome(None),
        traced=Traced(started_mono_ns=None if reason else zero_ns, reason=reason),
        files=files,
    )
    return Explained(folder, condition, record)


@pytest.mark.parametrize("form", FORMS)
def test_golden(tmp_path: Path, form: str) -> None:
    idle, busy = Made(cpu_idle=((1.0, 2.0),)), Made()
    crashed = Outcome("crashed", "exit code 1; last line: no | such file")
    refused = "not permitted: Error: Permission Denied"
    trainings = [
        explained(tmp_path / "python", "keras", idle),
        explained(tmp_path / "refused", "keras_refused", idle, reason=refused),
        explained(tmp_path / "other", "shell", idle, reason=NO_PYTHON),
        explained(tmp_path / "busy", "jax", busy),
        explained(tmp_path / "failed", "jax_eager", busy, outcome=crashed),
    ]
    write_causes(trainings, tmp_path)
    compare(tmp_path / f"{NAME}.{form}", GOLDEN / f"{NAME}.{form}")


def test_each_row_names_its_condition(tmp_path: Path) -> None:
    """Two trainings of one engine and dataset are told apart by it alone, also one that failed."""
    idle, crashed = Made(cpu_idle=((1.0, 2.0),)), Outcome("crashed", "exit code 1")
    rows = []
    for number, outcome in ((1, None), (2, crashed)):
        name, folder = f"epochs-{number}", tmp_path / str(number)
        rows += cause_rows(explained(folder, "keras", idle, outcome=outcome, condition=name))
    assert [row["condition"] for row in rows] == ["epochs-1"] * 3 + ["epochs-2"]


def test_a_training_has_the_name_that_its_condition_has_today(tmp_path: Path) -> None:
    """It is made for an experiment of one condition, and stays when others are added."""
    record = ExplainedRecord(
        dataset="digits",
        engine="keras",
        key="0123",
        outcome=Outcome(None),
        traced=Traced(started_mono_ns=5),
        files={},
    )
    record.write(tmp_path / "explained.json")
    for name in ("", "epochs-1"):
        assert read_explained(tmp_path / "explained.json", name).condition == name
