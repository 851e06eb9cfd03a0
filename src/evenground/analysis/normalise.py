"""The four tidy frames that tables and figures are made of: timelines, means, phases, what is missing."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from evenground.analysis.index import Index
from evenground.analysis.runs import COUNTER, Events, Process, Run, read_runs
from evenground.analysis.timeline import COLUMNS, MeanTimeline, Timeline, align, mean_timeline, step_ns
from evenground.errors import EvengroundError

# Of all runs together; they take about 4 GiB of memory.
MOST_STEPS = 10_000_000
NO_RUN = "no finished run"
NO_REASON = "no value was written and no reason given"


@dataclass(frozen=True)
class Normalised:
    """Four frames; times `t_s`, `start_s`, `end_s` are seconds after the start of training.

    timelines: dataset, engine, repetition, t_s, then one column per resource.
    mean: dataset, engine, t_s, n, the means, and per column n_COLUMN, the runs behind its mean.
    phases: dataset, engine, repetition, phase, start_s, end_s.
    missing: dataset, engine, column, n_missing, n, reason; a column some finished run lacks throughout.
    """

    timelines: pd.DataFrame
    mean: pd.DataFrame
    phases: pd.DataFrame
    missing: pd.DataFrame


def normalise(index: Index) -> Normalised:
    """Align and resample every finished run of the index. EvengroundError when a run cannot be read."""
    grouped: dict[tuple[str, str], list[Run]] = {(d.name, e.name): [] for d, e in index.groups()}
    for run in sorted(read_runs(index), key=lambda run: run.wanted.repetition):
        grouped[run.wanted.dataset, run.wanted.engine].append(run)
    _refuse_endless(grouped, index.report.grid_s)
    timelines: list[pd.DataFrame] = []
    means: list[pd.DataFrame] = []
    phases: list[pd.DataFrame] = []
    missing: list[dict[str, object]] = []
    for (dataset, engine), runs in grouped.items():
        lines = [align(run.events, run.process, run.samples(), index.report.grid_s) for run in runs]
        named = {"dataset": dataset, "engine": engine}
        for run, line in zip(runs, lines, strict=True):
            mine = {**named, "repetition": run.wanted.repetition}
            timelines.append(_timeline_frame(mine, line, index.report.grid_s))
            phases.append(_prefixed(mine, pd.DataFrame(phase_rows(run.events, run.process))))
        if lines:
            means.append(_mean_frame(named, mean_timeline(lines), index.report.grid_s))
        missing += [{**named, **row} for row in _missing_rows(runs, lines)]
    return Normalised(
        _joined(timelines, ["dataset", "engine", "repetition", "t_s", *COLUMNS]),
        _joined(means, ["dataset", "engine", "t_s", "n", *COLUMNS, *(f"n_{name}" for name in COLUMNS)]),
        _joined(phases, ["dataset", "engine", "repetition", "phase", "start_s", "end_s"]),
        pd.DataFrame(missing, columns=["dataset", "engine", "column", "n_missing", "n", "reason"]),
    )


def _refuse_endless(grouped: dict[tuple[str, str], list[Run]], grid_s: float) -> None:
    """Runs of years, or a grid of microseconds, would fill the memory: one of the two is wrong."""
    runs = [run for group in grouped.values() for run in group]
    steps = 0.0
    for run in runs:
        steps += (run.process.exited_ns - run.process.launched_ns) / 1e9 / grid_s
        if steps > MOST_STEPS:
            what = f"the runs up to this one have more than {MOST_STEPS} steps of {grid_s} s"
            raise EvengroundError(what, str(run.folder), "set a larger grid_s")


def phase_rows(events: Events, process: Process) -> list[dict[str, object]]:
    """What the run was doing when, in order; seconds after the start of training.

    load: launch to start of training (start of the interpreter, imports, reading, building);
    first batch: until its result is there, compilation inside; epoch 1: the rest of that epoch.
    """
    first, *later = events.epochs
    spans = [
        ("load", process.launched_ns, events.train_start_ns),
        ("first batch", events.train_start_ns, events.first_batch_end_ns),
        (f"epoch {first.number}", events.first_batch_end_ns, first.end_ns),
        *((f"epoch {epoch.number}", epoch.start_ns, epoch.end_ns) for epoch in later),
        ("evaluate", events.evaluate_start_ns, events.evaluate_end_ns),
        ("linger", events.evaluate_end_ns, events.linger_end_ns),
        ("exit", events.linger_end_ns, process.exited_ns),
    ]
    zero_ns = events.train_start_ns
    return [
        {"phase": phase, "start_s": (start - zero_ns) / 1e9, "end_s": (end - zero_ns) / 1e9}
        for phase, start, end in spans
    ]


def _timeline_frame(named: dict[str, object], line: Timeline, grid_s: float) -> pd.DataFrame:
    return _prefixed(named, pd.DataFrame({"t_s": line.step * step_ns(grid_s) / 1e9, **line.columns}))


def _mean_frame(named: dict[str, str], mean: MeanTimeline, grid_s: float) -> pd.DataFrame:
    counts = {f"n_{name}": mean.counts[name] for name in COLUMNS}
    columns = {"t_s": mean.step * step_ns(grid_s) / 1e9, "n": np.full(mean.step.shape, mean.n)}
    return _prefixed(named, pd.DataFrame({**columns, **mean.columns}).assign(**counts))


def _prefixed(named: dict[str, object] | dict[str, str], frame: pd.DataFrame) -> pd.DataFrame:
    """The frame with constant columns put before its own."""
    for position, (name, value) in enumerate(named.items()):
        frame.insert(position, name, value)  # type: ignore[arg-type]
    return frame


def _joined(frames: list[pd.DataFrame], columns: list[str]) -> pd.DataFrame:
    """All frames below each other; an empty frame with these columns when there is none."""
    return pd.concat(frames, ignore_index=True)[columns] if frames else pd.DataFrame(columns=columns)


def _missing_rows(runs: list[Run], lines: list[Timeline]) -> list[dict[str, object]]:
    """One row per column that at least one finished run lacks throughout, or per column without a run."""
    if not runs:
        return [{"column": name, "n_missing": 0, "n": 0, "reason": NO_RUN} for name in COLUMNS]
    rows: list[dict[str, object]] = []
    for name in COLUMNS:
        lacking = [run for run, line in zip(runs, lines, strict=True) if np.isnan(line.columns[name]).all()]
        if lacking:
            source = COUNTER if name == "cpu_pct" else name
            reasons = dict.fromkeys(run.process.missing.get(source, NO_REASON) for run in lacking)
            counts = {"n_missing": len(lacking), "n": len(runs)}
            rows.append({"column": name, **counts, "reason": "; ".join(reasons)})
    return rows
