"""The tidy frames that tables and figures are made of; each run's samples are read here once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pandas as pd

from evenground.analysis import by_phase, conditions, energy, idle, memory
from evenground.analysis.by_phase import mean_by_phase, phase_means
from evenground.analysis.conditions import Lock, condition_row, read_locks
from evenground.analysis.energy import energy_row
from evenground.analysis.groups import Rows
from evenground.analysis.idle import idle_of
from evenground.analysis.index import Index
from evenground.analysis.memory import memory_rows
from evenground.analysis.runs import COUNTER, Run, read_runs
from evenground.analysis.timeline import COLUMNS, MeanTimeline, Timeline, align, mean_timeline, step_ns
from evenground.errors import EvengroundError
from evenground.records.times import Moments, Process

# Of all runs together; they take about 4 GiB of memory.
MOST_STEPS = 10_000_000
NO_RUN = "no finished run"
NO_REASON = "no value was written and no reason given"
_GROUP = ("dataset", "engine")
_RUN = (*_GROUP, "repetition")
COLUMNS_OF = {
    "timelines": (*_RUN, "t_s", *COLUMNS),
    "mean": (*_GROUP, "t_s", "n", *COLUMNS, *(f"n_{name}" for name in COLUMNS)),
    "phases": (*_RUN, "phase", "start_s", "end_s"),
    "missing": (*_GROUP, "column", "n_missing", "n", "reason"),
    "by_phase": by_phase.FRAME,
    "conditions": (*_RUN, *conditions.COLUMNS, *idle.CONDITIONS),
    "idle": (*_RUN, *idle.COLUMNS),
    "memory": (*_RUN, *memory.COLUMNS),
    "energy": (*_RUN, *energy.COLUMNS),
}


@dataclass(frozen=True)
class Normalised:
    """Tidy frames; times `t_s`, `start_s`, `end_s` are seconds after the start of training.

    timelines: dataset, engine, repetition, t_s, then one column per resource.
    mean: dataset, engine, t_s, n, the means, and per column n_COLUMN, the runs behind its mean.
    phases: dataset, engine, repetition, phase, start_s, end_s.
    missing: dataset, engine, column, n_missing, n, reason; a column some finished run lacks throughout.
    by_phase: dataset, engine, column, phase, place, n, mean, min, max (see `by_phase`).
    conditions, idle, memory, energy: dataset, engine, repetition, then the COLUMNS of the modules so named;
    conditions has those of `idle.CONDITIONS` too.
    """

    timelines: pd.DataFrame
    mean: pd.DataFrame
    phases: pd.DataFrame
    missing: pd.DataFrame
    by_phase: pd.DataFrame
    conditions: pd.DataFrame
    idle: pd.DataFrame
    memory: pd.DataFrame
    energy: pd.DataFrame


def normalise(index: Index) -> Normalised:
    """Align and resample every finished run of the index. EvengroundError when a run cannot be read."""
    grouped: dict[tuple[str, str], list[Run]] = {(d.name, e.name): [] for d, e in index.groups()}
    for run in sorted(read_runs(index), key=lambda run: run.wanted.repetition):
        grouped[run.wanted.dataset, run.wanted.engine].append(run)
    _refuse_endless(grouped, index.report.grid_s)
    locks = read_locks(index)
    frames: dict[str, list[pd.DataFrame]] = {name: [] for name in ("timelines", "mean", "by_phase")}
    few = ("phases", "missing", "conditions", "idle", "memory", "energy")
    rows: dict[str, Rows] = {name: [] for name in few}
    for (dataset, engine), runs in grouped.items():
        named = {"dataset": dataset, "engine": engine}
        lines, parts = [], []
        for run in runs:
            mine = {**named, "repetition": run.wanted.repetition}
            line, part, own = _one_run(run, index, locks.get(engine))
            lines.append(line)
            parts.append(part)
            frames["timelines"].append(_timeline_frame(mine, line, index.report.grid_s))
            for name, found in own.items():
                rows[name] += [{**mine, **row} for row in found]
        if lines:
            frames["mean"].append(_mean_frame(named, mean_timeline(lines), index.report.grid_s))
            frames["by_phase"].append(mean_by_phase(parts).assign(**named))
        rows["missing"] += [{**named, **row} for row in _missing_rows(runs, lines)]
    joined = {name: _joined(parts, COLUMNS_OF[name]) for name, parts in frames.items()}
    tidy = {name: pd.DataFrame(found, columns=[*COLUMNS_OF[name]]) for name, found in rows.items()}
    return Normalised(**joined, **tidy)


def _one_run(run: Run, index: Index, lock: Lock | None) -> tuple[Timeline, pd.DataFrame, dict[str, Rows]]:
    """Its timeline, its parts of phases, and its rows of the frames that have few rows per run."""
    samples, phases = run.samples(), phase_rows(run.events, run.process)
    line = align(run.events, run.process, samples, index.report.grid_s)
    idled = idle_of(run, samples, phases)
    rows = {
        "phases": phases,
        "conditions": [{**condition_row(run, samples, index, lock), **idled.condition}],
        "idle": idled.rows,
        "memory": memory_rows(run, samples),
        "energy": [energy_row(run, samples)],
    }
    return line, phase_means(run.process, samples, run.events.train_start_ns, phases), rows


def _refuse_endless(grouped: dict[tuple[str, str], list[Run]], grid_s: float) -> None:
    """Runs of years, or a grid of microseconds, would fill the memory: one of the two is wrong."""
    runs = [run for group in grouped.values() for run in group]
    steps = 0.0
    for run in runs:
        steps += (run.process.exited_ns - run.process.launched_ns) / 1e9 / grid_s
        if steps > MOST_STEPS:
            what = f"the runs up to this one have more than {MOST_STEPS} steps of {grid_s} s"
            raise EvengroundError(what, str(run.folder), "set a larger grid_s")


def phase_rows(events: Moments, process: Process) -> Rows:
    """What the run was doing when, from launch to exit without a gap; seconds after the start of training.

    load: launch to start of training (start of the interpreter, imports, reading, building);
    first batch: until its result is there, compilation inside; epoch 1: the rest of that epoch;
    after epoch N: until the next epoch starts, or the training ends; before evaluate: until it starts.
    """
    first = events.epochs[0]
    ends = [
        ("load", events.train_start_ns),
        ("first batch", events.first_batch_end_ns),
        (f"epoch {first.number}", first.end_ns),
    ]
    for before, epoch in pairwise(events.epochs):
        ends += [(f"after epoch {before.number}", epoch.start_ns), (f"epoch {epoch.number}", epoch.end_ns)]
    ends += [
        (f"after epoch {events.epochs[-1].number}", events.train_end_ns),
        ("before evaluate", events.evaluate_start_ns),
        ("evaluate", events.evaluate_end_ns),
        ("linger", events.linger_end_ns),
        ("exit", process.exited_ns),
    ]
    starts_ns = [process.launched_ns, *(end_ns for _, end_ns in ends)]
    zero_ns = events.train_start_ns
    return [
        {"phase": phase, "start_s": (start_ns - zero_ns) / 1e9, "end_s": (end_ns - zero_ns) / 1e9}
        for start_ns, (phase, end_ns) in zip(starts_ns, ends, strict=False)
    ]


def _timeline_frame(named: dict[str, object], line: Timeline, grid_s: float) -> pd.DataFrame:
    return pd.DataFrame({**named, "t_s": line.step * step_ns(grid_s) / 1e9, **line.columns})


def _mean_frame(named: dict[str, str], mean: MeanTimeline, grid_s: float) -> pd.DataFrame:
    counts = {f"n_{name}": mean.counts[name] for name in COLUMNS}
    columns = {"t_s": mean.step * step_ns(grid_s) / 1e9, "n": np.full(mean.step.shape, mean.n)}
    return pd.DataFrame({**named, **columns, **mean.columns, **counts})


def _joined(frames: list[pd.DataFrame], columns: Sequence[str]) -> pd.DataFrame:
    """All frames below each other; an empty frame with these columns when there is none."""
    return pd.concat(frames, ignore_index=True)[[*columns]] if frames else pd.DataFrame(columns=[*columns])


def _missing_rows(runs: list[Run], lines: list[Timeline]) -> Rows:
    """One row per column that at least one finished run lacks throughout, or per column without a run."""
    if not runs:
        return [{"column": name, "n_missing": 0, "n": 0, "reason": NO_RUN} for name in COLUMNS]
    rows: Rows = []
    for name in COLUMNS:
        lacking = [run for run, line in zip(runs, lines, strict=True) if np.isnan(line.columns[name]).all()]
        if lacking:
            source = COUNTER if name == "cpu_pct" else name
            reasons = dict.fromkeys(run.process.missing.get(source, NO_REASON) for run in lacking)
            counts = {"n_missing": len(lacking), "n": len(runs)}
            rows.append({"column": name, **counts, "reason": "; ".join(reasons)})
    return rows
