"""What the runs of each group measured, and the ratios of two engines, measure by measure."""

from __future__ import annotations

import math

import pandas as pd

from evenground.analysis.columns import (
    DATASET,
    ENGINE,
    FLAGGED,
    GROUP,
    MEASURE,
    N_WANTED,
    UNIT,
    N,
    columns,
    interval,
    number,
    text,
    whole,
)
from evenground.analysis.devices import devices_of, unlike
from evenground.analysis.energy import OF_RUN as ENERGIES
from evenground.analysis.groups import Rows, counts, group, groups
from evenground.analysis.idle import IDLE_S
from evenground.analysis.normalise import REPORTED
from evenground.analysis.pairs import Arm, Blocks
from evenground.analysis.ratios import Compared, Runs, within
from evenground.analysis.statistics import mean_interval, summarise
from evenground.analysis.table import frame_of
from evenground.analysis.times import MEASURES as TIME_NAMES
from evenground.analysis.times import TIMES
from evenground.records.index import Condition
from evenground.records.plan import Dataset, Engine

USE = (
    number("cpu_s", "s", "CPU seconds during the training."),
    number("peak_rss_bytes", "bytes", "Peak memory of the engine's processes."),
    number("peak_vram_used_bytes", "bytes", "Peak memory in use on the whole card."),
)
# Column of USE -> the resource of the frame `use`, and which of its figures.
USED = {
    "cpu_s": ("cpu_pct", "integral"),
    "peak_rss_bytes": ("rss_bytes", "peak"),
    "peak_vram_used_bytes": ("vram_used_bytes", "peak"),
}
# Most machines have no card: no rows without a value.
OF_CARD = ("peak_vram_used_bytes", "gpu_energy_j", "gpu_net_energy_j")
MEASURED = columns(TIMES, IDLE_S, REPORTED, USE, ENERGIES)
# A ratio of these says nothing: most runs are not idle, and a loss has no scale.
NO_RATIO = ("idle_s", "final_train_loss")
RATIO_MEASURES = tuple(each.name for each in MEASURED if each.name not in NO_RATIO)
SUMMARY = columns(
    GROUP,
    MEASURE,
    UNIT,
    number("median", UNIT, "Median over the runs."),
    number("mean", UNIT, "Mean over the runs."),
    interval(UNIT),
    number(
        "geometric_mean",
        UNIT,
        "The one that ratios are of; missing if a value is zero. Where all runs are paired, the "
        "quotient of two is the ratio in `ratios`.",
    ),
    number("cv", "", "Coefficient of variation (0.1 is 10 %); missing for a single run."),
    number("min", UNIT, "Smallest value of a run."),
    number("max", UNIT, "Largest value of a run."),
    N,
    N_WANTED,
    FLAGGED,
)
RATIOS = columns(
    DATASET,
    text("baseline", "The engine that is the divisor: the first in the configuration."),
    ENGINE,
    MEASURE,
    number("ratio", "", "Of `engine` over `baseline`; above 1, `engine` has more of it."),
    interval(""),
    number("df", "", "Degrees of freedom of the interval."),
    text(
        "method",
        "`pairs`: of the repetitions in which both have a run, made in one pass and neither of "
        "them invalid; `welch`: of independent runs (`design: independent`).",
    ),
    whole("n_pairs", "Pairs of runs; empty if they are not paired."),
    whole("n_baseline", "Runs of `baseline` that count."),
    whole("n_engine", "Runs of `engine` that count."),
    N_WANTED,
    FLAGGED,
    text("reason", "Why a number is missing, which repetitions do not count, unlike devices."),
)


def summary(condition: Condition, runs: pd.DataFrame) -> pd.DataFrame:
    """Per dataset, engine and measure the numbers over the finished runs of the table `runs`.

    `cv` is the coefficient of variation, as a share. `geometric_mean` is missing if a value is
    zero; `cv`, `low_95` and `high_95` if there are fewer than two.
    """
    rows: Rows = []
    for names, of_group in groups(condition, runs):
        for column in MEASURED:
            values = of_group[column.name].tolist()
            found, interval = summarise(values), mean_interval(values)
            if not found.n and column.name in OF_CARD:
                continue
            row = {
                **names,
                "measure": column.name,
                "unit": column.unit,
                "median": found.median,
                "mean": found.mean,
                "low_95": interval.low,
                "high_95": interval.high,
                "geometric_mean": found.geometric_mean,
                "cv": found.variation,
                "min": found.minimum,
                "max": found.maximum,
                **counts(of_group),
                # Not every finished run has every measure: one epoch has no later one.
                "n": found.n,
            }
            rows.append(row)
    return frame_of(rows, SUMMARY)


def ratios(condition: Condition, runs: pd.DataFrame, blocks: Blocks) -> pd.DataFrame:
    """Per dataset, pair of engines and measure: `engine` over `baseline`, with its interval.

    The baseline of a pair is the engine that stands first in the configuration, and that of an arm
    is its engine. The ratio is one of geometric means, of pairs or of independent runs as the
    design has it (`ratios.within`). If one of the two trained on the first examples only, there is
    a reason and no ratio; if they computed on unlike devices, the reason names them beside it.
    """
    rows: Rows = []
    for dataset in condition.datasets:
        for pair in condition.pairs(dataset.name):
            rows += _ratio_rows(condition, runs, blocks, dataset, pair)
    return frame_of(rows, RATIOS)


def _ratio_rows(
    condition: Condition,
    runs: pd.DataFrame,
    blocks: Blocks,
    dataset: Dataset,
    pair: tuple[Engine, Engine],
) -> Rows:
    """The rows of a pair: of each time, and of whatever else has a ratio."""
    unlike_work = dataset.unlike(pair[0], pair[1])
    devices = unlike(devices_of(runs, dataset.name, pair))
    baseline_runs, engine_runs = (group(runs, dataset.name, each.name) for each in pair)
    wanted = counts(pd.concat([baseline_runs, engine_runs]))
    wanted["n_wanted"] = max(len(baseline_runs), len(engine_runs))
    baseline, engine = (runs_of(runs, blocks, (dataset.name, each.name)) for each in pair)
    rows: Rows = []
    for measure in RATIO_MEASURES:
        compared = within(condition, (baseline[measure], engine[measure])).without(unlike_work)
        if measure not in TIME_NAMES and math.isnan(compared.ratio.value):
            continue
        row = {
            "dataset": dataset.name,
            "baseline": pair[0].name,
            "engine": pair[1].name,
            "measure": measure,
            **_columns(compared),
            **wanted,
            "reason": "; ".join(filter(None, (compared.reason, devices))),
        }
        rows.append(row)
    return rows


def runs_of(runs: pd.DataFrame, blocks: Blocks, arm: Arm) -> dict[str, Runs]:
    """Measure -> what the finished runs of an arm measured; `runs` is the table."""
    of_arm = group(runs, arm[0], arm[1])
    done = of_arm[of_arm["status"] == "finished"]
    repetitions = done["repetition"].tolist()
    found = {}
    for measure in RATIO_MEASURES:
        values = dict(zip(repetitions, done[measure].tolist(), strict=True))
        found[measure] = Runs(blocks=blocks, arm=arm, values=values)
    return found


def _columns(compared: Compared) -> dict[str, object]:
    return {
        "ratio": compared.ratio.value,
        "low_95": compared.ratio.low,
        "high_95": compared.ratio.high,
        "df": compared.ratio.df,
        "method": compared.method,
        "n_pairs": compared.n_pairs,
        "n_baseline": compared.n_baseline,
        "n_engine": compared.n_engine,
    }
