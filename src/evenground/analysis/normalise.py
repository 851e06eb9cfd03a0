"""The tidy frames that tables and figures are made of; each run's samples are read here once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from evenground.analysis import by_phase, conditions, energy, idle, memory, taken
from evenground.analysis.by_phase import mean_by_phase, phase_means
from evenground.analysis.conditions import condition_row, read_locks
from evenground.analysis.energy import energy_row
from evenground.analysis.extrapolation import find_sample
from evenground.analysis.groups import Rows
from evenground.analysis.index import Index
from evenground.analysis.memory import memory_rows
from evenground.analysis.runs import Run, read_runs
from evenground.analysis.seen import see
from evenground.analysis.taken import measure_rows
from evenground.analysis.timeline import (
    COLUMNS,
    MeanTimeline,
    Timeline,
    mean_timeline,
    step_ns,
    why_missing,
)
from evenground.errors import EvengroundError
from evenground.locks import Lock

# Of all runs together; they take about 4 GiB of memory.
MAX_STEPS = 10_000_000
NO_RUN = "no finished run"
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
    "measures": (*_RUN, *taken.COLUMNS),
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
    measures: dataset, engine, repetition, then the COLUMNS of `taken`: what verdicts are made of.
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
    """Align and resample every finished run of the index. EvengroundError when a run cannot be read."""
    grouped: dict[tuple[str, str], list[Run]] = {(d.name, e.name): [] for d, e in index.groups()}
    for run in sorted(read_runs(index), key=lambda run: run.wanted.repetition):
        grouped[run.wanted.dataset, run.wanted.engine].append(run)
    _refuse_endless(grouped, index.report.grid_s)
    locks = read_locks(index)
    frames: dict[str, list[pd.DataFrame]] = {name: [] for name in ("timelines", "mean", "by_phase")}
    few = ("phases", "missing", "conditions", "idle", "memory", "energy", "measures")
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


def _one_run(
    run: Run, index: Index, lock: Lock | None
) -> tuple[Timeline, pd.DataFrame, dict[str, Rows]]:
    """Its timeline, its parts of phases, and its rows of the frames that have few rows per run."""
    seen = see(run, index.report.grid_s)
    sample = find_sample(index, run.wanted.dataset, run.wanted.engine)
    rows = {
        "phases": seen.phases,
        "conditions": [{**condition_row(seen, index, lock), **seen.idle.condition}],
        "idle": seen.idle.rows,
        "memory": memory_rows(run, seen.samples),
        "energy": [energy_row(run, seen.samples)],
        "measures": measure_rows(seen, sample),
    }
    means = phase_means(run.process, seen.samples, run.events.train_start_ns, seen.phases)
    return seen.line, means, rows


def _refuse_endless(grouped: dict[tuple[str, str], list[Run]], grid_s: float) -> None:
    """Runs of years, or a grid of microseconds, would fill the memory: one of the two is wrong."""
    runs = [run for group in grouped.values() for run in group]
    steps = 0.0
    for run in runs:
        steps += (run.process.exited_ns - run.process.launched_ns) / 1e9 / grid_s
        if steps > MAX_STEPS:
            what = f"the runs up to this one have more than {MAX_STEPS} steps of {grid_s} s"
            raise EvengroundError(what, str(run.folder), "set a larger grid_s")


def _timeline_frame(named: dict[str, object], line: Timeline, grid_s: float) -> pd.DataFrame:
    return pd.DataFrame({**named, "t_s": line.step * step_ns(grid_s) / 1e9, **line.columns})


def _mean_frame(named: dict[str, str], mean: MeanTimeline, grid_s: float) -> pd.DataFrame:
    counts = {f"n_{name}": mean.counts[name] for name in COLUMNS}
    columns = {"t_s": mean.step * step_ns(grid_s) / 1e9, "n": np.full(mean.step.shape, mean.n)}
    return pd.DataFrame({**named, **columns, **mean.columns, **counts})


def _joined(frames: list[pd.DataFrame], columns: Sequence[str]) -> pd.DataFrame:
    """All frames below each other; an empty frame with these columns when there is none."""
    return (
        pd.concat(frames, ignore_index=True)[[*columns]]
        if frames
        else pd.DataFrame(columns=[*columns])
    )


def _missing_rows(runs: list[Run], lines: list[Timeline]) -> Rows:
    """One row per column that at least one finished run lacks throughout, or per column without a run."""
    if not runs:
        return [{"column": name, "n_missing": 0, "n": 0, "reason": NO_RUN} for name in COLUMNS]
    rows: Rows = []
    for name in COLUMNS:
        lacking = [
            run for run, line in zip(runs, lines, strict=True) if np.isnan(line.columns[name]).all()
        ]
        if lacking:
            reasons = dict.fromkeys(why_missing(run.process, name) for run in lacking)
            counts = {"n_missing": len(lacking), "n": len(runs)}
            rows.append({"column": name, **counts, "reason": "; ".join(reasons)})
    return rows
