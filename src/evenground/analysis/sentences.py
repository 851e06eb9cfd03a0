"""The table `answer` in sentences: which engine is faster, by how much, and how sure it is."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pandas as pd

from evenground.analysis.experiment import Experiment, of_condition, words_of
from evenground.analysis.shown import plain, rounded
from evenground.records.index import Condition

MAX_TOLD = 4


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
    titles = {}
    for placed in experiment.conditions:
        for dataset in placed.condition.datasets:
            titles[dataset.name] = plain(dataset.title)
    found = []
    # Where the first engine is not installed, another one is the baseline.
    keys = ["dataset", "baseline", "engine"]
    for (name, baseline, engine), of_engine in known.groupby(keys, sort=False):
        ordered = of_engine.sort_values("ratio", kind="stable")
        least, greatest = ordered.iloc[0], ordered.iloc[-1]
        text = f"**{titles[str(name)]}**: {labels[str(engine)]} takes {_with_interval(least)} "
        text += f"times {labels[str(baseline)]}'s time at {_place(experiment, least)}"
        if len(ordered) > 1:
            text += f", {_with_interval(greatest)} times at {_place(experiment, greatest)}"
        if len(ordered) > 2:
            text += f"; the other {len(ordered) - 2} conditions that have both lie between"
        found.append(f"{text}.")
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
        sure = f"95 % interval {three_digits(low)} to {three_digits(high)}, {counted}"
    words = f"{label} takes {times} ({sure})"
    if low <= 1 <= high:
        words = f"no difference in time is shown between {label} and {first}: {times} ({sure})"
    if not math.isnan(row["memory_ratio"]):
        words += f", with {three_digits(row['memory_ratio'])} times its memory"
    return words


def three_digits(value: float) -> str:
    """A number for a sentence, e.g. `0.179`, `12.4`, `1076`."""
    return rounded(value, 3)
