"""The answer first: a row per engine, against the first one, and what speaks against it."""

from __future__ import annotations

import pandas as pd

from evenground.analysis.columns import (
    GROUP,
    N_WANTED,
    N,
    columns,
    number,
    text,
    whole,
    with_interval,
)
from evenground.analysis.energy import ENERGY
from evenground.analysis.groups import INVALID, Rows, group, with_columns
from evenground.analysis.quality import BUSY
from evenground.analysis.statistics import summarise
from evenground.analysis.table import frame_of
from evenground.records.index import Condition
from evenground.records.plan import Dataset, Engine

BASELINE = text(
    "baseline",
    "The engine that `ratio` is against: the first in the configuration, or the one that it is an "
    "arm of; empty for the first.",
)
TABLE = columns(
    GROUP,
    BASELINE,
    number("training_s", "s", "Start to end of training: geometric mean over the runs."),
    with_interval("ratio", "", "Its training time over that of `baseline` (table `ratios`)."),
    whole("n_pairs", "Pairs of runs behind the ratio; empty if they are not paired."),
    number("examples_per_s", "1/s", "Examples trained on in a second of training."),
    number("cpu_s", "s", "CPU seconds during the training."),
    number("peak_rss_bytes", "bytes", "Peak memory of the engine's processes."),
    number("memory_ratio", "", "The same over that of `baseline`."),
    number("gpu_energy_j", "J", "Energy of the GPU during training (table `energy`)."),
    number("test_accuracy", "", "Mean share of the test examples recognised after training."),
    number("idle_share", "", "Mean share of the training in which it computed nothing."),
    N,
    N_WANTED,
    text("against", "What speaks against the row, in a line; the whole is in table `quality`."),
    text("reason", "Why there is no ratio or no interval, and which repetitions do not count."),
)
# Geometric means, so that quotients of rows are the ratios; the others may be zero.
GEOMETRIC = ("training_s", "cpu_s", "peak_rss_bytes", ENERGY)
ARITHMETIC = ("test_accuracy", "idle_share")
# A finding -> what it is called in a sentence, where its name alone says too little.
WORDS = {BUSY: "begun on a busy machine"}
# Most machines have no card.
OF_CARD = (ENERGY,)
# Sentences and `against` have them.
NOT_SHOWN = ("n_pairs", "memory_ratio", "n_wanted", "reason")


def answer_table(
    condition: Condition,
    runs: pd.DataFrame,
    ratios: pd.DataFrame,
    findings: pd.DataFrame,
    circumstances: pd.DataFrame,
) -> pd.DataFrame:
    """A row per dataset and engine of a condition, from its tables `runs`, `ratios` and `quality`."""
    runs = with_columns(runs, circumstances, ["steps"])
    rows: Rows = []
    for dataset, engine in condition.groups():
        of_group = group(runs, dataset.name, engine.name)
        row: dict[str, object] = {"dataset": dataset.name, "engine": engine.name}
        row |= _measured(of_group, condition.parameters.batch_size)
        row |= _compared(condition, dataset, engine, ratios)
        row["n"] = int((of_group["status"] == "finished").sum())
        row["n_wanted"] = len(of_group)
        row["against"] = _against(of_group, group(findings, dataset.name, engine.name))
        rows.append(row)
    return frame_of(rows, TABLE)


def _measured(runs: pd.DataFrame, batch_size: int) -> dict[str, object]:
    """The means over the runs of a group."""
    found: dict[str, object] = {}
    for name in GEOMETRIC:
        found[name] = summarise(runs[name].tolist()).geometric_mean
    for name in ARITHMETIC:
        found[name] = summarise(runs[name].tolist()).mean
    speeds = runs["steps"].astype("float64") * batch_size / runs["training_s"]
    found["examples_per_s"] = summarise(speeds.tolist()).geometric_mean
    return found


def baseline_of(condition: Condition, engine: Engine) -> str:
    """The engine that the ratios of `engine` are against; empty for the first one."""
    if engine.arm_of is not None:
        return engine.arm_of
    first = condition.main[0].name
    if engine.name == first:
        return ""
    return first


def _compared(
    condition: Condition, dataset: Dataset, engine: Engine, ratios: pd.DataFrame
) -> dict[str, object]:
    """The ratios of time and memory against the baseline; empty for the first engine."""
    baseline = baseline_of(condition, engine)
    of_engine = group(ratios, dataset.name, engine.name)
    of_pair = of_engine[of_engine["baseline"] == baseline].set_index("measure")
    found: dict[str, object] = {"baseline": baseline}
    if "training_s" in of_pair.index:
        for name in ("ratio", "low_95", "high_95", "n_pairs", "reason"):
            found[name] = of_pair.loc["training_s", name]
    # A measure that nobody measured has no ratio.
    if "peak_rss_bytes" in of_pair.index:
        found["memory_ratio"] = of_pair.loc["peak_rss_bytes", "ratio"]
    return found


def _against(runs: pd.DataFrame, findings: pd.DataFrame) -> str:
    """Runs that did not finish, then each finding once with its number of runs, invalid ones first."""
    parts = []
    unfinished = int((runs["status"] != "finished").sum())
    if unfinished:
        parts.append(f"{unfinished} of {len(runs)} runs did not finish")
    ordered = findings.sort_values("state", key=lambda state: state != INVALID, kind="stable")
    for (state, finding), found in ordered.groupby(["state", "finding"], sort=False):
        words = WORDS.get(str(finding), str(finding))
        of_runs = int(found["repetition"].notna().sum())
        if of_runs:
            words += f" in {of_runs} of {len(runs)} runs"
        if state == INVALID:
            words = f"invalid: {words}"
        parts.append(words)
    return "; ".join(parts)


def hidden_columns(rows: pd.DataFrame) -> tuple[str, ...]:
    """What is left out for reading: what others say too, and a card's columns without a value."""
    return NOT_SHOWN + tuple(name for name in OF_CARD if rows[name].isna().all())
