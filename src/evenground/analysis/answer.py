"""The answer first: a row per engine, against the first one, and what speaks against it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

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
from evenground.analysis.experiment import Experiment, of_condition, words_of
from evenground.analysis.groups import INVALID, Rows, group, with_columns
from evenground.analysis.shown import plain, rounded
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
MAX_TOLD = 4
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
        words = str(finding)
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


def answers(experiment: Experiment, rows: pd.DataFrame) -> list[str]:
    """The answer of each condition in sentences, as Markdown; `rows` is the table `answer`.

    Of more conditions than anybody reads one by one, the least and the greatest ratio.
    """
    if len(experiment.conditions) > MAX_TOLD:
        return _over_conditions(experiment, rows)
    found = []
    for placed in experiment.conditions:
        words = ", ".join(words_of(placed, experiment))
        for sentence in sentences(placed.condition, of_condition(rows, placed)):
            if words:
                sentence = f"{plain(words)}: {sentence}"
            found.append(sentence)
    return found


def _over_conditions(experiment: Experiment, rows: pd.DataFrame) -> list[str]:
    """Per dataset and engine, between which ratios of times it lies, and under which conditions."""
    labels = {engine.name: plain(engine.label) for engine in experiment.engines}
    main = [engine.name for engine in experiment.engines if engine.arm_of is None]
    known = rows[rows["ratio"].notna() & rows["engine"].isin(main)]
    titles = {
        data.name: data.title for one in experiment.conditions for data in one.condition.datasets
    }
    found = []
    for (dataset, engine), of_engine in known.groupby(["dataset", "engine"], sort=False):
        ordered = of_engine.sort_values("ratio", kind="stable")
        least, greatest = ordered.iloc[0], ordered.iloc[-1]
        baseline = labels[str(least["baseline"])]
        sentence = (
            f"**{plain(titles[str(dataset)])}**: {labels[str(engine)]} takes "
            f"{_with_interval(least)} times {baseline}'s time at {_place(experiment, least)}, "
            f"{_with_interval(greatest)} times at {_place(experiment, greatest)}; the other "
            f"{max(0, len(ordered) - 2)} conditions that have both lie between."
        )
        found.append(sentence)
    return found


def _with_interval(row: pd.Series[Any]) -> str:
    """A ratio with its interval, if it has one."""
    text = three_digits(row["ratio"])
    if not math.isnan(row["low_95"]):
        text += f" ({three_digits(row['low_95'])} to {three_digits(row['high_95'])})"
    return text


def _place(experiment: Experiment, row: pd.Series[Any]) -> str:
    """The condition that a row is of, in words."""
    (words,) = [
        words_of(placed, experiment)
        for placed in experiment.conditions
        if all(row[name] == value for name, value in placed.lead.items())
    ]
    return plain(", ".join(words))


def sentences(condition: Condition, rows: pd.DataFrame) -> list[str]:
    """A sentence or two per dataset: which engine is faster, by how much, and how sure it is.

    `rows` is the table `answer` of this condition.
    """
    labels = {engine.name: plain(engine.label) for engine in condition.engines}
    main = [engine.name for engine in condition.main]
    found = []
    for dataset in condition.datasets:
        of_dataset = rows[(rows["dataset"] == dataset.name) & rows["engine"].isin(main)]
        by_engine = {row["engine"]: row for row in of_dataset.to_dict("records")}
        found.append(f"**{plain(dataset.title)}**: {_sentence(by_engine, labels)}")
    return found


def _sentence(rows: Mapping[str, Mapping[Any, Any]], labels: Mapping[str, str]) -> str:
    """What is said of one dataset; `rows` are its main engines in the order of the configuration."""
    first = next(iter(rows))
    if rows[first]["n"] == 0:
        finished = [name for name in rows if rows[name]["n"]]
        if not finished:
            return "no training has finished."
        alone = "; ".join(_alone(rows[name], labels[name]) for name in finished)
        return f"{labels[first]}, which all are compared with, has no finished training. {alone}."
    others = [name for name in rows if name != first and not math.isnan(rows[name]["ratio"])]
    if not others:
        return f"{_alone(rows[first], labels[first])}.{_not_compared(rows, labels)}"
    by_time = sorted(others, key=lambda name: float(rows[name]["ratio"]))
    told = [by_time[0]]
    # Of many engines the two ends; all of them are in the table.
    if len(by_time) > 1:
        told.append(by_time[-1])
    parts = [_against_first(rows[name], labels[name], labels[first]) for name in told]
    text = f"{'; '.join(parts)}."
    if len(by_time) > len(told):
        text += f" {len(by_time) - len(told)} other engines lie between."
    text += _not_compared(rows, labels)
    doubts = []
    for name in [first] + told:
        if rows[name]["against"]:
            doubts.append(f"{labels[name]}: {rows[name]['against']}")
    if doubts:
        text += f" What speaks against it: {'; '.join(doubts)}."
    return text


def _not_compared(rows: Mapping[str, Mapping[Any, Any]], labels: Mapping[str, str]) -> str:
    """The engines without a ratio, each with its reason, as a sentence; empty if there is none."""
    told = []
    for name, row in rows.items():
        if row["baseline"] and math.isnan(row["ratio"]):
            told.append(f"{labels[name]} ({row['reason'] or 'no finished run'})")
    if not told:
        return ""
    return f" Not compared: {'; '.join(told)}."


def _alone(row: Mapping[Any, Any], label: str) -> str:
    """What one engine took, without comparison."""
    words = f"{label} trains it in {three_digits(row['training_s'])} s (n = {row['n']})"
    if not math.isnan(row["peak_rss_bytes"]):
        words += f", with {three_digits(row['peak_rss_bytes'] / 2**20)} MiB of memory at its peak"
    return words


def _against_first(row: Mapping[Any, Any], label: str, first: str) -> str:
    """An engine against the first one: time with its interval, then memory."""
    ratio, low, high = row["ratio"], row["low_95"], row["high_95"]
    times = f"{three_digits(ratio)} times {first}'s time"
    counted = f"n = {row['n']}"
    if pd.notna(row["n_pairs"]):
        counted = f"n = {row['n_pairs']} pairs"
        if row["n_pairs"] == 1:
            counted = "1 pair of runs"
    if math.isnan(low):
        sure = f"{counted}, without an interval"
    else:
        sure = f"{three_digits(low)} to {three_digits(high)}, {counted}"
    words = f"{label} takes {times} ({sure})"
    if low <= 1 <= high:
        words = f"no difference in time is shown between {label} and {first}: {times} ({sure})"
    if not math.isnan(row["memory_ratio"]):
        words += f", with {three_digits(row['memory_ratio'])} times its memory"
    return words


def three_digits(value: float) -> str:
    """A number for a sentence, e.g. `0.179`, `12.4`, `1076`."""
    return rounded(value, 3)
