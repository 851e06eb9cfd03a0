"""Engines by machines: what each side measured, and its own ratios. Nothing is averaged over sides."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pandas as pd

from evenground.analysis.ratios import Compared, within
from evenground.analysis.side_by_side import UNITS, Rows, Side, groups_of
from evenground.analysis.statistics import mean_interval, summarise
from evenground.analysis.tables import ratio_columns
from evenground.records.index import Index

_SIDE = ("side", "machine")
_MEAN = ("n", "median", "mean", "mean_low_95", "mean_high_95", "geometric_mean", "cv", "reason")
_RATIO = (
    "ratio",
    "low_95",
    "high_95",
    "df",
    "method",
    "n_pairs",
    "n_baseline",
    "n_engine",
    "reason",
)
MEANS = ("dataset", "engine", "measure", "unit", *_SIDE, *_MEAN)
RATIOS = ("dataset", "baseline", "engine", "measure", *_SIDE, *_RATIO)
Pair = tuple[str, str, str]


def engines_by_machine(sides: Sequence[Side]) -> pd.DataFrame:
    """Per dataset, engine and measure a row for each side: median, means, and the mean's 95 % interval.

    The interval is Student's (`statistics.mean_interval`), in the unit of the measure; below two runs there
    is a reason instead. What no side has measured is left out.
    """
    rows: Rows = []
    for dataset, engine in groups_of(sides):
        for measure, unit in UNITS.items():
            named = {"dataset": dataset, "engine": engine, "measure": measure, "unit": unit}
            mine = [
                {**named, **_of(side), **_mean(side.of(dataset, engine, measure))} for side in sides
            ]
            rows += mine if any(row["n"] for row in mine) else []
    return pd.DataFrame(rows, columns=MEANS)


def _of(side: Side) -> dict[str, object]:
    return {"side": side.name, "machine": side.index.machine.class_name}


def _mean(values: Sequence[float]) -> dict[str, object]:
    found, interval = summarise(values), mean_interval(values)
    return {
        "n": found.n,
        "median": found.median,
        "mean": found.mean,
        "mean_low_95": interval.low,
        "mean_high_95": interval.high,
        "geometric_mean": found.geometric_mean,
        "cv": found.variation,
        "reason": interval.reason,
    }


def ratios_by_machine(sides: Sequence[Side]) -> pd.DataFrame:
    """Per dataset, pair of engines and measure a row for each side: the ratio within it, as in `time_ratio`.

    A pair is named as the first side that compares it does. What no side can give is left out.
    """
    rows: Rows = []
    for pair in _pairs(sides):
        dataset, baseline, engine = pair
        for measure in UNITS:
            named = {"dataset": dataset, "baseline": baseline, "engine": engine, "measure": measure}
            found = [_within(side, pair, measure) for side in sides]
            if not all(math.isnan(one.ratio.ratio) for one in found):
                for side, one in zip(sides, found, strict=True):
                    devices = side.unlike_devices(dataset, (baseline, engine))
                    reason = "; ".join(filter(None, (one.reason, devices)))
                    rows.append({**named, **_of(side), **ratio_columns(one), "reason": reason})
    return pd.DataFrame(rows, columns=RATIOS).astype({"n_pairs": "Int64"})


def _pairs(sides: Sequence[Side]) -> list[Pair]:
    """Dataset, baseline and engine of the comparisons that any side makes, each once, whichever way round."""
    found: dict[tuple[str, frozenset[str]], Pair] = {}
    for side in sides:
        for dataset in side.index.datasets:
            for first, second in side.index.pairs(dataset.name):
                names = frozenset((first.name, second.name))
                found.setdefault((dataset.name, names), (dataset.name, first.name, second.name))
    return list(found.values())


def _within(side: Side, pair: Pair, measure: str) -> Compared:
    dataset, baseline, engine = pair
    found = within(side.index, side.pair(dataset, (baseline, engine), measure))
    return found.without(_unlike(side.index, pair))


def _unlike(index: Index, pair: Pair) -> str:
    """Why two engines did not do the same work in this experiment; empty where they did, or one is absent."""
    dataset = next((d for d in index.datasets if d.name == pair[0]), None)
    engines = {engine.name: engine for engine in index.engines}
    if dataset is None or not engines.keys() >= set(pair[1:]):
        return ""
    return dataset.unlike(engines[pair[1]], engines[pair[2]])
