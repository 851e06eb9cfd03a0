"""The tables, as frames with unrounded numbers; a missing number is NaN beside a reason or an n."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
import pandas as pd

from evenground.analysis.block_effects import block_table
from evenground.analysis.calibration import read_calibration
from evenground.analysis.devices import devices_of, unlike
from evenground.analysis.energy import energy_table, with_energy
from evenground.analysis.groups import Rows, counts, flagged, group, groups, summary
from evenground.analysis.idle import idle_table
from evenground.analysis.index import Index
from evenground.analysis.memory import memory_table
from evenground.analysis.pairs import Blocks, blocks_of
from evenground.analysis.quality import quality_table, with_quality
from evenground.analysis.ratios import Compared, Runs, within
from evenground.analysis.resources import resource_rows, trainings
from evenground.analysis.runs import read_runs
from evenground.analysis.statistics import Repeated, summarise
from evenground.analysis.times import MEASURES, run_times

FINAL = "final_train_loss"


@dataclass(frozen=True)
class Frames:
    """The frames of the normalise step that the tables need; columns as in `normalise.Normalised`."""

    timelines: pd.DataFrame
    mean: pd.DataFrame
    missing: pd.DataFrame
    conditions: pd.DataFrame
    idle: pd.DataFrame
    memory: pd.DataFrame
    energy: pd.DataFrame


def make_tables(index: Index, frames: Frames) -> dict[str, pd.DataFrame]:
    """Name to table. EvengroundError when a run named by the index cannot be read."""
    runs = runs_table(index)
    quality = quality_table(index, runs, frames.conditions)
    runs = with_energy(with_idle(with_quality(runs, quality), frames.conditions), frames.energy)
    blocks = blocks_of(frames.conditions, quality)
    return {
        "training_time": training_time(index, runs),
        "time_ratio": time_ratio(index, runs, blocks),
        "blocks": block_table(index, runs, frames.conditions, blocks),
        "resources": resources(index, runs, frames),
        "energy": energy_table(index, runs, frames.energy),
        "accuracy": accuracy(index, runs),
        "memory_after": memory_table(index, runs, frames.memory, frames.missing),
        "idle_windows": idle_table(index, runs, frames.idle, frames.conditions, frames.missing),
        "quality": quality,
        "runs": runs,
        "lines_of_code": lines_of_code(index),
        "calibration": calibration(index),
    }


def runs_table(index: Index) -> pd.DataFrame:
    """One row per wanted run in the order of the plan, unfinished ones with their reason and no numbers."""
    measured = {run.wanted: run for run in read_runs(index)}
    rows: Rows = []
    for wanted in sorted(index.runs, key=lambda run: run.order):
        row: dict[str, object] = {
            name: getattr(wanted, name)
            for name in ("order", "dataset", "engine", "repetition", "status", "reason", "attempts")
        }
        run = measured.get(wanted)
        row["device"] = run.device if run else ""
        row["cores"] = run.process.cores if run else None
        numbers: dict[str, float] = dict.fromkeys((*MEASURES, "test_accuracy", FINAL), np.nan)
        if run:
            numbers = asdict(run_times(run.events, run.process))
            numbers |= {
                "test_accuracy": run.events.test_accuracy,
                FINAL: run.events.epochs[-1].loss,
            }
        rows.append({**row, **numbers, "quality": "", "key": wanted.key[:12]})
    return pd.DataFrame(rows).astype({"cores": "Int64"})


def with_idle(runs: pd.DataFrame, conditions: pd.DataFrame) -> pd.DataFrame:
    """The table `runs` with the idle time of each run behind its times: `idle_s`, `idle_share`."""
    keys, columns = ["dataset", "engine", "repetition"], ["idle_s", "idle_share"]
    found = runs[keys].merge(conditions[[*keys, *columns]], on=keys, how="left")
    whole = runs.assign(**{name: found[name].astype("float64").to_numpy() for name in columns})
    names = [str(name) for name in runs.columns]
    place = names.index(MEASURES[-1]) + 1
    return whole[[*names[:place], *columns, *names[place:]]]


def lines_of_code(index: Index) -> pd.DataFrame:
    """One row per engine and language, then per trainer of the thesis and instrument."""
    columns = [
        "code",
        "language",
        "instrument",
        "files",
        "lines",
        "code_lines",
        "comment_lines",
        "reason",
    ]
    counts = columns[3:7]
    rows: Rows = []
    for engine in index.lines.engines if index.lines else ():
        row = {"code": engine.engine, "language": engine.language, "instrument": "", "reason": ""}
        rows.append(row | {name: getattr(engine, name) for name in counts})
    for trainer in index.lines.thesis if index.lines else ():
        row = {
            "code": f"thesis: {trainer.code}",
            "language": "Elixir",
            "instrument": trainer.instrument,
        }
        found = {name: None if trainer.absent else getattr(trainer, name) for name in counts}
        rows.append(row | found | {"reason": trainer.absent or ""})
    return pd.DataFrame(rows, columns=columns).astype(dict.fromkeys(counts, "Int64"))


def calibration(index: Index) -> pd.DataFrame:
    """One row per figure of the sampler's calibration; none where this class of machine has none."""
    figures = read_calibration(index)
    rows: Rows = [
        {
            "figure": figure.what,
            "bound": "" if figure.goal is None else "at least" if figure.at_least else "at most",
            "goal": np.nan if figure.goal is None else figure.goal,
            "measured": np.nan if figure.measured is None else figure.measured,
            "unit": figure.unit,
            "passed": {True: "yes", False: "no", None: ""}[figure.passed],
            "reason": figure.reason or "",
        }
        for figure in figures
    ]
    columns = ["figure", "bound", "goal", "measured", "unit", "passed", "reason"]
    return pd.DataFrame(rows, columns=columns)


def training_time(index: Index, runs: pd.DataFrame) -> pd.DataFrame:
    """Per dataset and engine the times of `times.Times` and the idle time: median, means, spread, in seconds.

    `cv` is the coefficient of variation, as a share. `geometric_mean` is missing where a value is zero, and
    `cv` of fewer than two.
    """
    rows: Rows = []
    for named, mine in groups(index, runs):
        for measure in (*MEASURES, "idle_s"):
            found = summarise(mine[measure].tolist())
            rows.append(
                {
                    **named,
                    "measure": measure,
                    "median": found.median,
                    "mean": found.mean,
                    "geometric_mean": found.geometric_mean,
                    "cv": found.variation,
                    "min": found.minimum,
                    "max": found.maximum,
                    **counts(mine),
                    "n": found.n,
                }
            )
    return pd.DataFrame(rows)


def time_ratio(index: Index, runs: pd.DataFrame, blocks: Blocks) -> pd.DataFrame:
    """Per dataset and pair of engines: time of `engine` over time of `baseline`, with its 95 % interval.

    The baseline of a pair is the engine that stands first in the configuration, of an arm its engine.
    The ratio is one of geometric means, of pairs or of independent runs as the design has it
    (`ratios.within`). Where one of the two trained on the first examples only there is none, but the reason;
    where they computed on unlike devices the reason says so beside it.
    """
    columns = [
        "dataset",
        "baseline",
        "engine",
        "measure",
        "ratio",
        "low_95",
        "high_95",
        "df",
        "method",
        "n_pairs",
        "n_baseline",
        "n_engine",
        "n_wanted",
        "n_invalid",
        "n_warned",
        "reason",
    ]
    rows: Rows = []
    for dataset in index.datasets:
        for first, second in index.pairs(dataset.name):
            names = (first.name, second.name)
            a, b = (group(runs, dataset.name, name) for name in names)
            devices = unlike(devices_of(runs, dataset.name, (first, second)))
            for measure in MEASURES:
                pair = [
                    Runs(blocks, (dataset.name, name), by_repetition(mine, measure))
                    for name, mine in zip(names, (a, b), strict=True)
                ]
                found = within(index, (pair[0], pair[1])).without(dataset.unlike(first, second))
                rows.append(
                    {
                        "dataset": dataset.name,
                        "baseline": first.name,
                        "engine": second.name,
                        "measure": measure,
                        **ratio_columns(found),
                        "n_wanted": max(len(a), len(b)),
                        **flagged(pd.concat([a, b])),
                        "reason": "; ".join(filter(None, (found.reason, devices))),
                    }
                )
    return pd.DataFrame(rows, columns=columns).astype({"n_pairs": "Int64"})


def by_repetition(runs: pd.DataFrame, measure: str) -> Repeated:
    """What the finished runs among a group's rows of the table `runs` measured."""
    done = runs[runs["status"] == "finished"]
    return {
        int(number): float(value)
        for number, value in zip(done["repetition"], done[measure], strict=True)
    }


def ratio_columns(found: Compared) -> dict[str, object]:
    """A ratio within one experiment as a table's columns."""
    return {
        "ratio": found.ratio.ratio,
        "low_95": found.ratio.low,
        "high_95": found.ratio.high,
        "df": found.ratio.df,
        "method": found.method,
        "n_pairs": found.n_pairs,
        "n_baseline": found.ratio.n_baseline,
        "n_engine": found.ratio.n_other,
    }


def resources(index: Index, runs: pd.DataFrame, frames: Frames) -> pd.DataFrame:
    """Per dataset, engine and resource: peak, 95th percentile, range and integral during training."""
    trained = trainings(runs, frames.conditions)
    rows: Rows = []
    for named, mine in groups(index, runs):
        names = (named["dataset"], named["engine"])
        own = {key[2]: training for key, training in trained.items() if key[:2] == names}
        timelines, mean, missing = (
            group(frame, **named) for frame in (frames.timelines, frames.mean, frames.missing)
        )
        reasons = {str(row["column"]): _why(row) for row in missing.to_dict("records")}
        use = resource_rows(timelines, mean, own, index.report.grid_s, reasons)
        rows += [{**named, "n_wanted": len(mine), **flagged(mine), **row} for row in use]
    return pd.DataFrame(rows)


def accuracy(index: Index, runs: pd.DataFrame) -> pd.DataFrame:
    """Per dataset and engine: test accuracy (0 to 1) and the last epoch's mean training loss."""
    rows = [
        {**named, "measure": measure, **summary(mine[measure]), **counts(mine)}
        for named, mine in groups(index, runs)
        for measure in ("test_accuracy", FINAL)
    ]
    return pd.DataFrame(rows)


def _why(row: dict[object, object]) -> str:
    """A reason of `missing.csv`, with the number of runs it holds for where that is not all."""
    few = row["n_missing"] != row["n"]
    return f"{row['reason']} ({row['n_missing']} of {row['n']} runs)" if few else str(row["reason"])
