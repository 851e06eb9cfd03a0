"""The tidy frames from which tables and figures are made; each run's samples are read here once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from evenground.analysis import by_phase, conditions, energy, idle, memory, taken
from evenground.analysis.by_phase import mean_by_phase, phase_means
from evenground.analysis.conditions import condition_row, read_locks
from evenground.analysis.energy import energy_row
from evenground.analysis.extrapolation import Sample, find_sample
from evenground.analysis.groups import Rows
from evenground.analysis.memory import memory_of
from evenground.analysis.runs import Run, read_runs
from evenground.analysis.seen import Seen, see
from evenground.analysis.taken import measures_of
from evenground.analysis.timeline import (
    COLUMNS,
    Timeline,
    mean_timeline,
    step_ns,
    why_missing,
)
from evenground.locks import Lock
from evenground.records.index import Index

NO_RUN = "no finished run"
_GROUP = ("dataset", "engine")
_RUN = ("dataset", "engine", "repetition")
COLUMNS_OF: dict[str, tuple[str, ...]] = {
    "timelines": _RUN + ("t_s",) + COLUMNS,
    "mean": _GROUP + ("t_s", "n") + COLUMNS + tuple(f"n_{name}" for name in COLUMNS),
    "phases": _RUN + ("phase", "start_s", "end_s"),
    "missing": _GROUP + ("column", "n_missing", "n", "reason"),
    "by_phase": by_phase.FRAME,
    "conditions": _RUN + conditions.COLUMNS + idle.CONDITIONS,
    "idle": _RUN + idle.COLUMNS,
    "memory": _RUN + memory.COLUMNS,
    "energy": _RUN + energy.COLUMNS,
    "measures": _RUN + taken.COLUMNS,
}


@dataclass(frozen=True)
class Normalised:
    """Tidy frames; times `t_s`, `start_s`, `end_s` are seconds after the start of training.

    timelines: dataset, engine, repetition, t_s, then one column per resource.
    mean: dataset, engine, t_s, n, the means, and per column n_COLUMN, the runs behind its mean.
    phases: dataset, engine, repetition, phase, start_s, end_s.
    missing: dataset, engine, column, n_missing, n, reason; a column that a finished run never
    measured.
    by_phase: dataset, engine, column, phase, place, n, mean, min, max (see `by_phase`).
    conditions, idle, memory, energy: dataset, engine, repetition, then COLUMNS of the module of
    that name; conditions also has `idle.CONDITIONS`.
    measures: dataset, engine, repetition, then COLUMNS of `taken`, from which verdicts are made.
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
    measures: pd.DataFrame


def normalise(index: Index) -> Normalised:
    """Align and resample every finished run of the index.

    Raises EvengroundError if a run cannot be read.
    """
    grid_s = index.report.grid_s
    # The order of rows does not depend on the order in which the plan made the runs.
    runs = sorted(read_runs(index), key=lambda run: run.wanted.repetition)
    locks = read_locks(index)
    # The frames with many rows per run are joined, the others are made of their rows.
    frames: dict[str, list[pd.DataFrame]] = {"timelines": [], "mean": [], "by_phase": []}
    rows: dict[str, Rows] = defaultdict(list)
    for dataset, engine in index.groups():
        names = {"dataset": dataset.name, "engine": engine.name}
        sample = find_sample(index, dataset.name, engine.name)
        group = [
            run
            for run in runs
            if (run.wanted.dataset, run.wanted.engine) == (dataset.name, engine.name)
        ]
        lines, means = [], []
        for run in group:
            seen = see(run, grid_s)
            lines.append(seen.line)
            means.append(
                phase_means(run.process, seen.samples, run.events.train_start_ns, seen.phases)
            )
            run_names = {**names, "repetition": run.wanted.repetition}
            frames["timelines"].append(_timeline_frame(run_names, seen.line, grid_s))
            for name, records in _records(seen, index, locks.get(engine.name), sample).items():
                rows[name] += [{**run_names, **record} for record in records]
        if lines:
            frames["mean"].append(_mean_frame(names, lines, grid_s))
            frames["by_phase"].append(mean_by_phase(means).assign(**names))
        rows["missing"] += [{**names, **row} for row in _missing_rows(group, lines)]
    tidy = {name: _joined(parts, COLUMNS_OF[name]) for name, parts in frames.items()}
    for name in COLUMNS_OF.keys() - frames.keys():
        tidy[name] = pd.DataFrame(rows[name], columns=list(COLUMNS_OF[name]))
    return Normalised(**tidy)


def _records(seen: Seen, index: Index, lock: Lock | None, sample: Sample | None) -> dict[str, Rows]:
    """Frame -> the records of one run in it; of the frames with few rows per run."""
    run = seen.run
    condition = condition_row(seen, index, lock) | vars(seen.idle.time)
    phases: Rows = []
    for phase in seen.phases:
        phases.append({"phase": phase.name, "start_s": phase.start_s, "end_s": phase.end_s})
    return {
        "phases": phases,
        "conditions": [condition],
        "idle": [vars(row) for row in seen.idle.rows],
        "memory": [vars(memory) for memory in memory_of(run, seen.samples)],
        "energy": [energy_row(run, seen.samples)],
        "measures": [vars(measure) for measure in measures_of(seen, sample)],
    }


def _timeline_frame(names: Mapping[str, object], line: Timeline, grid_s: float) -> pd.DataFrame:
    return pd.DataFrame({**names, "t_s": line.step * step_ns(grid_s) / 1e9, **line.columns})


def _mean_frame(
    names: Mapping[str, object], lines: Sequence[Timeline], grid_s: float
) -> pd.DataFrame:
    """The mean over the runs of a group."""
    mean = mean_timeline(lines)
    t_s = mean.step * step_ns(grid_s) / 1e9
    counts = {f"n_{name}": count for name, count in mean.counts.items()}
    return pd.DataFrame({**names, "t_s": t_s, "n": mean.n, **mean.columns, **counts})


def _joined(frames: Sequence[pd.DataFrame], columns: Sequence[str]) -> pd.DataFrame:
    """All frames below each other; empty with these columns if there is none."""
    if not frames:
        return pd.DataFrame(columns=list(columns))
    return pd.concat(frames, ignore_index=True)[list(columns)]


def _missing_rows(runs: Sequence[Run], lines: Sequence[Timeline]) -> Rows:
    """One row per column that a finished run never measured; without a run, one per column."""
    if not runs:
        return [{"column": name, "n_missing": 0, "n": 0, "reason": NO_RUN} for name in COLUMNS]
    rows: Rows = []
    for name in COLUMNS:
        reasons = []
        for run, line in zip(runs, lines, strict=True):
            if np.isnan(line.columns[name]).all():
                reasons.append(why_missing(run.process, name))
        if reasons:
            reason = "; ".join(dict.fromkeys(reasons))
            rows.append(
                {"column": name, "n_missing": len(reasons), "n": len(runs), "reason": reason}
            )
    return rows
