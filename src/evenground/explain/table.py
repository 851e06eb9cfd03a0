"""The table `idle_causes`, as CSV and Markdown beside the extra trainings it is made from."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from evenground.analysis.columns import (
    GROUP,
    PHASE,
    REASON,
    columns,
    number,
    text,
    whole,
)
from evenground.analysis.groups import Rows
from evenground.analysis.table import Table, frame_of, write_table
from evenground.explain.causes import cause_rows
from evenground.explain.training import Explained

NAME, TITLE = "idle_causes", "What the engines waited for while the CPU was idle"
TABLE = columns(
    text("condition", "Its machine class and values, if the experiment has several conditions."),
    GROUP,
    whole(
        "window",
        "Number of a time during training in which all processes of the engine together used less "
        "than 20 % of one core for 0.3 s or longer.",
    ),
    PHASE,
    number("start_s", "s", "Start of the window, after the start of training."),
    number("length_s", "s", "Length of the window."),
    number(
        "held_share",
        "",
        "The part (0 to 1) in which py-spy held the engine still to read its stacks; from 0.5 on, "
        "or if less than 0.3 s is left without it, the window is the tracer's own.",
    ),
    text(
        "tracer",
        "`py-spy` reads the stacks of Python's threads, native frames among them; `kernel` says "
        "of every thread in which system call and in which function of the kernel it waits.",
    ),
    text("process", "Name of the process."),
    text("thread", "Name of the thread."),
    whole("threads", "How many of that name did the same."),
    text("frames", "What it did, innermost first; ← is `called by`."),
    number(
        "share",
        "",
        "The part of the window (0 to 1) in which it was so, by py-spy right to about 0.1 s; below "
        "0.05 it is left out.",
    ),
    REASON,
)
NOTE = (
    "One extra training per engine and dataset under tracers, which slow it down; it is counted "
    "nowhere. Windows come by chance: another training may have others. Threads that wait "
    "actively use the CPU: such a wait is no window."
)


def write_causes(explained: Iterable[Explained], to: Path) -> None:
    """Write the table into the folder `to`; raises EvengroundError if a file cannot be read."""
    found: Rows = []
    for training in explained:
        found += cause_rows(training)
    rows = frame_of(found, TABLE)
    hidden: tuple[str, ...] = ()
    if not rows["condition"].any():
        hidden = ("condition",)
    causes = Table(
        name=NAME,
        title=TITLE,
        columns=TABLE,
        rows=rows,
        notes=(NOTE,),
        hidden=hidden,
    )
    write_table(causes, to)
