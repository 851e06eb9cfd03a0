"""The tables, as frames with unrounded numbers; a missing number is NaN beside a reason or an n."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import asdict, dataclass

import numpy as np
import pandas as pd

from evenground.analysis.block_effects import block_table
from evenground.analysis.calibration import read_calibration
from evenground.analysis.devices import devices_of, unlike
from evenground.analysis.energy import energy_table, with_energy
from evenground.analysis.groups import Rows, counts, flagged, group, groups, with_columns
from evenground.analysis.idle import idle_table
from evenground.analysis.memory import memory_table
from evenground.analysis.pairs import Blocks, blocks_of
from evenground.analysis.quality import quality_table, with_quality
from evenground.analysis.ratios import Compared, Runs, within
from evenground.analysis.resources import resource_rows, trainings
from evenground.analysis.runs import read_runs
from evenground.analysis.statistics import Repeated, summarise
from evenground.analysis.times import MEASURES, run_times
from evenground.records.index import Index
from evenground.records.plan import Dataset, Engine

FINAL = "final_train_loss"
# Columns from the index.
PLANNED = ("order", "dataset", "engine", "repetition", "status", "reason", "attempts")
# The table may be empty: one engine alone has no ratio.
TIME_RATIO = [
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


@dataclass(frozen=True)
class Frames:
    """The frames that the tables need; columns as in `normalise.Normalised`."""

    timelines: pd.DataFrame
    mean: pd.DataFrame
    missing: pd.DataFrame
    conditions: pd.DataFrame
    idle: pd.DataFrame
    memory: pd.DataFrame
    energy: pd.DataFrame


def make_tables(index: Index, frames: Frames) -> dict[str, pd.DataFrame]:
    """All tables by name.

    Raises EvengroundError if a run of the index cannot be read.
    """
    runs = runs_table(index)
    quality = quality_table(index, runs, frames.conditions)
    # The gates need the runs, and the runs show what the gates found.
    runs = with_quality(runs, quality)
    runs = with_columns(runs, frames.conditions, ["idle_s", "idle_share"], before="test_accuracy")
    runs = with_energy(runs, frames.energy)
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
    """One row per wanted run in the order of the plan; an unfinished one has no numbers."""
    measured = {run.wanted: run for run in read_runs(index)}
    rows: Rows = []
    for wanted in sorted(index.runs, key=lambda run: run.order):
        row: dict[str, object] = {name: getattr(wanted, name) for name in PLANNED}
        row |= {"device": "", "cores": None}
        row |= dict.fromkeys(MEASURES + ("test_accuracy", FINAL), np.nan)
        run = measured.get(wanted)
        if run is not None:
            row |= {"device": run.device, "cores": run.process.cores}
            row |= asdict(run_times(run.events, run.process))
            row["test_accuracy"] = run.events.test_accuracy
            row[FINAL] = run.events.epochs[-1].loss
        # `with_quality` fills the column when the findings are there.
        rows.append(row | {"quality": "", "key": wanted.key[:12]})
    return pd.DataFrame(rows).astype({"cores": "Int64"})


def lines_of_code(index: Index) -> pd.DataFrame:
    """One row per engine and language, then one per trainer of the thesis and instrument."""
    counted = ["files", "lines", "code_lines", "comment_lines"]
    rows: Rows = []
    if index.lines is not None:
        for engine in index.lines.engines:
            rows.append({**vars(engine), "code": engine.engine, "instrument": "", "reason": ""})
        for trainer in index.lines.thesis:
            row: dict[str, object] = {"reason": trainer.absent}
            if trainer.absent is None:
                row = {**vars(trainer), "reason": ""}
            row |= {"code": f"thesis: {trainer.code}", "language": "Elixir"}
            rows.append(row | {"instrument": trainer.instrument})
    columns = ["code", "language", "instrument"] + counted + ["reason"]
    return pd.DataFrame(rows, columns=columns).astype(dict.fromkeys(counted, "Int64"))


def calibration(index: Index) -> pd.DataFrame:
    """One row per figure of the sampler's calibration; empty if this machine class has none."""
    bounds = {True: "at least", False: "at most"}
    passed = {True: "yes", False: "no", None: ""}
    rows: Rows = []
    for figure in read_calibration(index):
        bound = ""
        if figure.goal is not None:
            bound = bounds[figure.at_least]
        row: dict[str, object] = {
            "figure": figure.what,
            "bound": bound,
            "goal": figure.goal,
            "measured": figure.measured,
            "unit": figure.unit,
            "passed": passed[figure.passed],
            "reason": figure.reason or "",
        }
        rows.append(row)
    columns = ["figure", "bound", "goal", "measured", "unit", "passed", "reason"]
    table = pd.DataFrame(rows, columns=columns)
    # A column without any number would have no type.
    return table.astype({"goal": "float64", "measured": "float64"})


def training_time(index: Index, runs: pd.DataFrame) -> pd.DataFrame:
    """Per dataset and engine the times of `times.Times` and the idle time, in seconds.

    `cv` is the coefficient of variation, as a share. `geometric_mean` is missing if a value is
    zero, and `cv` if there are fewer than two.
    """
    rows: Rows = []
    for names, group_runs in groups(index, runs):
        for measure in MEASURES + ("idle_s",):
            summary = summarise(group_runs[measure].tolist())
            row = {
                **names,
                "measure": measure,
                "median": summary.median,
                "mean": summary.mean,
                "geometric_mean": summary.geometric_mean,
                "cv": summary.variation,
                "min": summary.minimum,
                "max": summary.maximum,
                **counts(group_runs),
                # Not every finished run has every time: one epoch has no later one.
                "n": summary.n,
            }
            rows.append(row)
    return pd.DataFrame(rows)


def time_ratio(index: Index, runs: pd.DataFrame, blocks: Blocks) -> pd.DataFrame:
    """Per dataset and pair of engines: time of `engine` over that of `baseline`, with interval.

    The baseline of a pair is the engine that stands first in the configuration, and that of an arm
    is its engine. The ratio is one of geometric means, of pairs or of independent runs as the
    design has it (`ratios.within`). If one of the two trained on the first examples only, there is
    a reason and no ratio; if they computed on unlike devices, the reason names them beside the
    ratio.
    """
    rows: Rows = []
    for dataset in index.datasets:
        for baseline, engine in index.pairs(dataset.name):
            rows += _ratios_of(index, runs, blocks, dataset, (baseline, engine))
    return pd.DataFrame(rows, columns=TIME_RATIO).astype({"n_pairs": "Int64"})


def _ratios_of(
    index: Index, runs: pd.DataFrame, blocks: Blocks, dataset: Dataset, pair: tuple[Engine, Engine]
) -> Rows:
    """The ratios of one pair of engines, a row for each measure."""
    arms = [(dataset.name, engine.name) for engine in pair]
    baseline_runs, engine_runs = (group(runs, dataset, engine) for dataset, engine in arms)
    devices = unlike(devices_of(runs, dataset.name, pair))
    rows: Rows = []
    for measure in MEASURES:
        baseline = Runs(blocks=blocks, arm=arms[0], values=_by_repetition(baseline_runs, measure))
        engine = Runs(blocks=blocks, arm=arms[1], values=_by_repetition(engine_runs, measure))
        compared = within(index, (baseline, engine)).without(dataset.unlike(pair[0], pair[1]))
        row = {
            "dataset": dataset.name,
            "baseline": pair[0].name,
            "engine": pair[1].name,
            "measure": measure,
            **ratio_columns(compared),
            "n_wanted": max(len(baseline_runs), len(engine_runs)),
            **flagged(pd.concat([baseline_runs, engine_runs])),
            "reason": "; ".join(filter(None, (compared.reason, devices))),
        }
        rows.append(row)
    return rows


def _by_repetition(runs: pd.DataFrame, measure: str) -> Repeated:
    """The values of the finished runs among a group's rows of the table `runs`."""
    done = runs[runs["status"] == "finished"]
    return dict(zip(done["repetition"], done[measure], strict=True))


def ratio_columns(compared: Compared) -> dict[str, object]:
    """A ratio within one experiment as a table's columns."""
    return {
        "ratio": compared.ratio.ratio,
        "low_95": compared.ratio.low,
        "high_95": compared.ratio.high,
        "df": compared.ratio.df,
        "method": compared.method,
        "n_pairs": compared.n_pairs,
        "n_baseline": compared.ratio.n_baseline,
        "n_engine": compared.ratio.n_other,
    }


def resources(index: Index, runs: pd.DataFrame, frames: Frames) -> pd.DataFrame:
    """Per dataset, engine and resource: peak, percentile, range and integral in training."""
    trained = trainings(runs, frames.conditions)
    rows: Rows = []
    for names, group_runs in groups(index, runs):
        arm = (names["dataset"], names["engine"])
        own = {key[2]: training for key, training in trained.items() if key[:2] == arm}
        missing = group(frames.missing, **names)
        use = resource_rows(
            timelines=group(frames.timelines, **names),
            mean=group(frames.mean, **names),
            trained=own,
            grid_s=index.report.grid_s,
            reasons={str(row["column"]): _reason(row) for row in missing.to_dict("records")},
        )
        rows += [
            {**names, "n_wanted": len(group_runs), **flagged(group_runs), **row} for row in use
        ]
    return pd.DataFrame(rows)


def _reason(row: dict[Hashable, object]) -> str:
    """A reason of `missing.csv`, with the number of runs unless it holds for all."""
    if row["n_missing"] == row["n"]:
        return str(row["reason"])
    return f"{row['reason']} ({row['n_missing']} of {row['n']} runs)"


def accuracy(index: Index, runs: pd.DataFrame) -> pd.DataFrame:
    """Per dataset and engine: test accuracy (0 to 1) and the last epoch's mean training loss."""
    rows: Rows = []
    for names, group_runs in groups(index, runs):
        for measure in ("test_accuracy", FINAL):
            summary = summarise(group_runs[measure].tolist())
            row = {
                **names,
                "measure": measure,
                "median": summary.median,
                "mean": summary.mean,
                "min": summary.minimum,
                "max": summary.maximum,
                **counts(group_runs),
            }
            rows.append(row)
    return pd.DataFrame(rows)
