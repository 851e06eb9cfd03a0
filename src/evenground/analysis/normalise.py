"""The tidy frames from which tables and figures are made; each run's files are read here once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from evenground.analysis import by_phase, circumstances, energy, idle, memory, resources, taken
from evenground.analysis.by_phase import mean_by_phase, phase_means
from evenground.analysis.circumstances import circumstances_row, read_locks
from evenground.analysis.columns import (
    DEVICE,
    GROUP,
    PHASE,
    RUN,
    TIME,
    Columns,
    N,
    columns,
    names_of,
    number,
    text,
    whole,
)
from evenground.analysis.energy import energy_row
from evenground.analysis.experiment import (
    Experiment,
    Placed,
    alone,
    of_condition,
    read_led,
    with_lead,
)
from evenground.analysis.extrapolation import Sample, find_sample
from evenground.analysis.files import typed, write_csv
from evenground.analysis.groups import Rows
from evenground.analysis.memory import memory_of
from evenground.analysis.resources import uses_of
from evenground.analysis.runs import Run, read_runs
from evenground.analysis.seen import Seen, see
from evenground.analysis.table import frame_of
from evenground.analysis.taken import measures_of
from evenground.analysis.timeline import (
    COLUMNS,
    RESOURCES,
    Timeline,
    mean_timeline,
    step_ns,
    why_missing,
)
from evenground.analysis.times import TIMES, run_times
from evenground.errors import EvengroundError, set_aside
from evenground.files import empty_folder, replacing, unreadable
from evenground.locks import Lock
from evenground.records.index import Condition, Index, WantedRun

NO_RUN = "no finished run"
TIMELINES = "timelines"
COUNTS = tuple(whole(f"n_{name}", f"Runs behind the mean of `{name}`.") for name in COLUMNS)
PHASES = (
    PHASE,
    number("start_s", "s", "Its start, after the start of training."),
    number("end_s", "s", "Its end, after the start of training."),
)
MISSING = (
    text("column", "Column of the timelines that a finished run never measured."),
    whole("n_missing", "Runs that did not measure it."),
    whole("n", "Finished runs."),
    text("reason", "Why they did not."),
)
REPORTED = (
    number("test_accuracy", "", "Share of the test examples recognised after training (0 to 1)."),
    number("final_train_loss", "", "Mean loss over the steps of the last epoch."),
)
TRAINED = columns(DEVICE, whole("cores", "Cores of the machine."), TIMES, REPORTED)
TIMELINE = columns(TIME, RESOURCES)
FRAMES: dict[str, Columns] = {
    "trained": columns(RUN, TRAINED),
    "use": columns(RUN, resources.FRAME),
    "mean": columns(GROUP, TIME, N, RESOURCES, COUNTS),
    "phases": columns(RUN, PHASES),
    "missing": columns(GROUP, MISSING),
    "by_phase": by_phase.FRAME,
    "circumstances": columns(RUN, circumstances.FRAME, idle.CIRCUMSTANCES),
    "idle": columns(RUN, idle.FRAME),
    "memory": columns(RUN, memory.FRAME),
    "energy": columns(RUN, energy.FRAME),
    "measures": columns(RUN, taken.FRAME),
}


# A run may have no idle window.
NOT_OF_ALL = ("idle",)


@dataclass(frozen=True)
class Normalised:
    """Tidy frames with the columns that FRAMES declares, for an experiment those of its `columns`."""

    trained: pd.DataFrame
    use: pd.DataFrame
    mean: pd.DataFrame
    phases: pd.DataFrame
    missing: pd.DataFrame
    by_phase: pd.DataFrame
    circumstances: pd.DataFrame
    idle: pd.DataFrame
    memory: pd.DataFrame
    energy: pd.DataFrame
    measures: pd.DataFrame

    def of(self, placed: Placed) -> Normalised:
        """The rows of one condition."""
        return Normalised(**{name: of_condition(rows, placed) for name, rows in vars(self).items()})


def write_normalised(index: Index, to: Path) -> None:
    """Write each frame of `Normalised` as NAME.csv, and the timeline of each run by itself.

    Raises EvengroundError if a run cannot be read.
    """
    timelines = to / TIMELINES
    empty_folder(timelines)
    for name, frame in vars(normalise_all(alone(index), timelines)).items():
        write_csv(frame, to / f"{name}.csv")


def normalise_all(experiment: Experiment, timelines: Path | None = None) -> Normalised:
    """The frames of all conditions, each as by `normalise`, which also raises."""
    frames: dict[str, list[pd.DataFrame]] = defaultdict(list)
    for placed in experiment.conditions:
        for name, frame in vars(normalise(placed.condition, timelines)).items():
            frames[name].append(with_lead(frame, placed))
    return Normalised(**{name: experiment.joined(frames[name], FRAMES[name]) for name in FRAMES})


def read_normalised(experiment: Experiment, normalised: Path) -> Normalised:
    """What `write_normalised` wrote; raises EvengroundError if a file is missing or broken."""
    return Normalised(**{name: read_frame(experiment, normalised, name) for name in FRAMES})


def read_frame(experiment: Experiment, normalised: Path, name: str) -> pd.DataFrame:
    """One of the frames that `write_normalised` wrote.

    Raises EvengroundError if the file is missing or broken, or is of other runs than the finished
    ones of the experiment.
    """
    path = normalised / f"{name}.csv"
    frame = read_led(path, experiment, FRAMES[name])
    if "repetition" in frame and name not in NOT_OF_ALL:
        columns = [*experiment.lead, *names_of(RUN)]
        found = frame[columns].drop_duplicates().itertuples(index=False, name=None)
        # The folder may be left from another index.
        if set(found) != _finished(experiment):
            what = "its runs are not the finished runs of the index"
            fix = "run scripts/normalise.py again with this index"
            raise EvengroundError(what, str(path), fix)
    return frame


def _finished(experiment: Experiment) -> set[tuple[object, ...]]:
    """The values of `lead` and what identifies a run, of every finished run."""
    runs: set[tuple[object, ...]] = set()
    for placed in experiment.conditions:
        for run in placed.condition.finished:
            runs.add((*placed.lead.values(), run.dataset, run.engine, run.repetition))
    return runs


def timeline_file(timelines: Path, condition: Condition, run: WantedRun) -> Path:
    """The file of a run's normalised timeline below the folder `timelines`.

    An array (K, columns of TIMELINE) as NumPy writes it: CSV took sixteen times as long to write
    and to read.
    """
    return timelines / run.path_on(condition.machine.class_name).with_suffix(".npy")


def read_timeline(file: Path) -> pd.DataFrame:
    """A run's normalised timeline; raises EvengroundError if the file is missing or broken."""
    names = list(names_of(TIMELINE))
    try:
        return pd.DataFrame(np.load(file), columns=names)
    except OSError as error:
        fix = "run the pipeline again to make it"
        raise EvengroundError(unreadable(file, error), str(file), fix) from error
    except ValueError as error:
        raise EvengroundError(f"broken timeline, {error}", str(file), set_aside(file)) from error


def normalise(condition: Condition, timelines: Path | None = None) -> Normalised:
    """Align and resample every finished run; the timelines go to files at once, if to any.

    Raises EvengroundError if a run cannot be read.
    """
    grid_s = condition.report.grid_s
    # The order of rows does not depend on the order in which the plan made the runs.
    runs = sorted(read_runs(condition), key=lambda run: run.wanted.repetition)
    locks = read_locks(condition)
    # The frames with many rows per run are joined, the others are made of their rows.
    frames: dict[str, list[pd.DataFrame]] = {"mean": [], "by_phase": []}
    rows: dict[str, Rows] = defaultdict(list)
    for dataset, engine in condition.groups():
        names = {"dataset": dataset.name, "engine": engine.name}
        sample = find_sample(condition, dataset.name, engine.name)
        group = [
            run
            for run in runs
            if (run.wanted.dataset, run.wanted.engine) == (dataset.name, engine.name)
        ]
        lines, means = [], []
        for run in group:
            seen = see(run, grid_s)
            if timelines:
                _write_timeline(seen, timeline_file(timelines, condition, run.wanted))
            lines.append(seen.line)
            means.append(
                phase_means(run.process, seen.samples, run.events.train_start_ns, seen.phases)
            )
            run_names = {**names, "repetition": run.wanted.repetition}
            lock = locks.get(engine.name)
            for name, records in _records(seen, condition, lock, sample).items():
                rows[name] += [{**run_names, **record} for record in records]
        if lines:
            frames["mean"].append(_mean_frame(names, lines, grid_s))
            frames["by_phase"].append(mean_by_phase(means).assign(**names))
        rows["missing"] += [{**names, **row} for row in _missing_rows(group, lines)]
    tidy = {name: typed(_joined(parts), FRAMES[name]) for name, parts in frames.items()}
    for name in FRAMES.keys() - frames.keys():
        tidy[name] = frame_of(rows[name], FRAMES[name])
    return Normalised(**tidy)


def _records(
    seen: Seen, condition: Condition, lock: Lock | None, sample: Sample | None
) -> dict[str, Rows]:
    """Frame -> the records of one run in it; of the frames with few rows per run."""
    run = seen.run
    circumstances = circumstances_row(seen, condition, lock) | seen.idle.time
    phases: Rows = []
    for phase in seen.phases:
        phases.append({"phase": phase.name, "start_s": phase.start_s, "end_s": phase.end_s})
    return {
        "trained": [_trained_row(run)],
        "use": uses_of(seen),
        "phases": phases,
        "circumstances": [circumstances],
        "idle": [vars(row) for row in seen.idle.rows],
        "memory": memory_of(run, seen.samples),
        "energy": [energy_row(run, seen.samples)],
        "measures": measures_of(seen, sample),
    }


def _trained_row(run: Run) -> dict[str, object]:
    """What a run reports, and its times."""
    return {
        "device": run.device,
        "cores": run.process.cores,
        **run_times(run.events, run.process),
        "test_accuracy": run.events.test_accuracy,
        "final_train_loss": run.events.epochs[-1].loss,
    }


def _write_timeline(seen: Seen, file: Path) -> None:
    t_s = seen.line.step * step_ns(seen.grid_s) / 1e9
    with replacing(file) as beside, beside.open("wb") as opened:
        np.save(opened, np.column_stack([t_s, *seen.line.columns.values()]))


def _mean_frame(
    names: Mapping[str, object], lines: Sequence[Timeline], grid_s: float
) -> pd.DataFrame:
    """The mean over the runs of a group."""
    mean = mean_timeline(lines)
    t_s = mean.step * step_ns(grid_s) / 1e9
    counts = {f"n_{name}": count for name, count in mean.counts.items()}
    return pd.DataFrame({**names, "t_s": t_s, "n": mean.n, **mean.columns, **counts})


def _joined(frames: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """All frames below each other; empty if there is none."""
    if not frames:
        return pd.DataFrame()
    return pd.concat(frames, ignore_index=True)


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
