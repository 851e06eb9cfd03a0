"""When the GPU did nothing during a training, and what the run was doing meanwhile."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from evenground.analysis.groups import Rows, group, groups
from evenground.analysis.index import Index
from evenground.analysis.runs import Events, Floats, Ints, Process, Run, Samples

COLUMN = "gpu_util_pct"
# The sampler asks the driver at most twenty times a second (docs/sidecar.md); rows between repeat the value.
DRIVER_PERIOD_S = 0.05
# One zero alone may be a moment shorter than the driver's own window.
FEWEST = 2
# Two values further apart than this many periods have a missing one between them.
FARTHEST = 1.5
NONE = "no idle window"
UNSEEN = "no value during training"
COLUMNS = (
    *("phase", "phases", "start_s", "end_s", "length_s", "plus_minus_s", "in_training_s", "samples"),
    *("util_window_s", "open"),
)


@dataclass(frozen=True)
class Span:
    """Rows `first` to `last` of the samples, all zero; whether the value before and after it is known."""

    first: int
    last: int
    closed_before: bool
    closed_after: bool


def zero_spans(t_ns: Ints, values: Floats, farthest_ns: float) -> list[Span]:
    """Runs of at least `FEWEST` zeros among `values` (N,), none across a missing value or a gap in `t_ns`.

    Values more than `farthest_ns` apart are not consecutive: one is missing between them.
    """
    zero, known = values == 0, ~np.isnan(values)
    near = np.diff(t_ns) <= farthest_ns
    joined = zero[1:] & zero[:-1] & near
    edges = np.diff(np.concatenate(([0], joined.astype(np.int8), [0])))
    firsts, lasts = np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)
    neighbour = np.concatenate(([False], known[1:] & known[:-1] & near, [False]))
    return [
        Span(int(first), int(last), bool(neighbour[first]), bool(neighbour[last + 1]))
        for first, last in zip(firsts, lasts, strict=True)
        if last - first + 1 >= FEWEST
    ]


def segments(phases: Sequence[tuple[str, float, float]]) -> list[tuple[str, float, float]]:
    """The phases of a run (name, start, end) with names for what lies between them."""
    found: list[tuple[str, float, float]] = []
    for phase in phases:
        if found and phase[1] > found[-1][2]:
            both = found[-1][0].startswith("epoch") and phase[0].startswith("epoch")
            found.append(("between epochs" if both else f"before {phase[0]}", found[-1][2], phase[1]))
        found.append(phase)
    return found


def idle_windows(
    events: Events, process: Process, samples: Samples, phases: Sequence[tuple[str, float, float]]
) -> Rows:
    """One row per idle window that surely overlaps the training; seconds after its start.

    A value at t is the driver's mean over a window of length w that ended within w before t; values come
    every p. From the first zero at a and the last at b follows: the GPU fell idle between a - p - 2w and
    a - w, and was busy again between b - w and b + p. `start_s` and `end_s` are the middles, so that
    `length_s` = b - a + p + w, `plus_minus_s` = p + w. Where w is not known it counts as zero.
    """
    period_s = max(process.period_s(COLUMN), DRIVER_PERIOD_S)
    window_s = process.util_window_s or 0.0
    training_s = (events.train_end_ns - events.train_start_ns) / 1e9
    named = segments(phases)
    rows: Rows = []
    for span in zero_spans(samples.t_ns, samples.columns[COLUMN], FARTHEST * period_s * 1e9):
        first_ns, last_ns = (int(samples.t_ns[k]) - events.train_start_ns for k in (span.first, span.last))
        start_s = first_ns / 1e9 - period_s / 2 - 1.5 * window_s
        end_s = last_ns / 1e9 + period_s / 2 - window_s / 2
        inside_s = min(end_s, training_s) - max(start_s, 0.0)
        # Nearer to its edges than that, a window may as well lie outside of the training.
        if inside_s > (period_s + window_s) / 2:
            times = {"start_s": start_s, "end_s": end_s, "length_s": end_s - start_s}
            times |= {"plus_minus_s": period_s + window_s, "in_training_s": inside_s}
            rows.append({**_phases(named, start_s, end_s), **times, **_about(span, process)})
    return rows


def _about(span: Span, process: Process) -> dict[str, object]:
    """Its samples, and on which sides the window may go on, as the next value there is missing."""
    sides = (("before", span.closed_before), ("after", span.closed_after))
    window_s = np.nan if process.util_window_s is None else process.util_window_s
    is_open = " and ".join(side for side, closed in sides if not closed)
    return {"samples": span.last - span.first + 1, "util_window_s": window_s, "open": is_open}


def _phases(named: Sequence[tuple[str, float, float]], start_s: float, end_s: float) -> dict[str, object]:
    """All phases the window touches, in order, and the one that holds most of it."""
    shares = [(min(end_s, end) - max(start_s, start), name) for name, start, end in named]
    touched = [(share, name) for share, name in shares if share > 0]
    most = max(touched, default=(0.0, ""), key=lambda pair: pair[0])[1]
    return {"phase": most, "phases": ", ".join(name for _, name in touched)}


def idle_rows(run: Run, samples: Samples, phases: Rows) -> Rows:
    """The idle windows of one run, named as in COLUMNS; `phases` as by `normalise.phase_rows`."""
    spans = [(str(p["phase"]), float(str(p["start_s"])), float(str(p["end_s"]))) for p in phases]
    return idle_windows(run.events, run.process, samples, spans)


def idle_table(
    index: Index, runs: pd.DataFrame, idle: pd.DataFrame, conditions: pd.DataFrame, missing: pd.DataFrame
) -> pd.DataFrame:
    """Every idle window of every run; a row that says so for a run without one and a group without values."""
    rows: list[Mapping[Any, object]] = []
    for named, wanted in groups(index, runs):
        mine, known, lacking = (group(frame, **named) for frame in (idle, conditions, missing))
        seen = known[known["gpu_samples"] > 0]["repetition"].tolist()
        rows += mine.assign(window=mine.groupby("repetition").cumcount() + 1).to_dict("records")
        none = sorted(set(seen) - set(mine["repetition"]))
        rows += [{**named, "repetition": repetition, "reason": NONE} for repetition in none]
        done = int((wanted["status"] == "finished").sum())
        if len(seen) < done or not done:
            reasons = lacking[lacking["column"] == COLUMN]["reason"].tolist() or [UNSEEN]
            few = f" ({done - len(seen)} of {done} runs)" if seen else ""
            rows.append({**named, "reason": f"{reasons[0]}{few}"})
    table = pd.DataFrame(rows, columns=["dataset", "engine", "repetition", "window", *COLUMNS, "reason"])
    return table.astype(dict.fromkeys(("repetition", "window", "samples"), "Int64"))
