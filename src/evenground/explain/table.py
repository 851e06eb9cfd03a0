"""The table `idle_causes`, as CSV and Markdown beside the extra trainings it is made from."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from evenground.analysis.files import write_csv, write_markdown
from evenground.analysis.groups import Rows
from evenground.explain.causes import cause_rows
from evenground.explain.training import Explained

NAME, HEADING = "idle_causes", "What the engines waited for while the CPU was idle"
COLUMNS = [
    "dataset",
    "engine",
    "window",
    "phase",
    "start_s",
    "length_s",
    "held_share",
    "tracer",
    "process",
    "thread",
    "threads",
    "frames",
    "share",
    "reason",
]
NOTES = (
    "One extra training per engine and dataset under tracers, which slow it down; it is counted "
    "nowhere. `window`: a time during training in which all processes of the engine together used "
    "less than 20 % of one core for 0.3 s or longer, from `start_s` after the start of training "
    "on, in `phase`. Windows come by chance: another training may have others. `tracer`: `py-spy` "
    "reads the stacks of Python's threads, native frames among them; `kernel` says of every "
    "thread in which system call and in which function of the kernel it waits. `frames`: "
    "innermost first, ← is `called by`. `share`: the part of the window (0 to 1) in which it was "
    "so, by py-spy right to about 0.1 s; below 0.05 it is left out. `threads`: how many of that "
    "name did the same. `held_share`: the part in which py-spy held the engine still to read its "
    "stacks; from 0.5 on, or where less than 0.3 s is left without it, the window is the tracer's "
    "own. Threads that wait actively use the CPU: such a wait is no window."
)


def write_table(explained: Iterable[Explained], to: Path) -> None:
    """Write the table into the folder `to`; raises EvengroundError if a file cannot be read."""
    rows: Rows = []
    for training in explained:
        rows += cause_rows(training)
    # Whole numbers also where a row has none.
    kinds = {"window": "Int64", "threads": "Int64"}
    table = pd.DataFrame(rows, columns=COLUMNS).astype(kinds)
    write_csv(table, to / f"{NAME}.csv")
    write_markdown(table, HEADING, NOTES, to / f"{NAME}.md")
