"""Recorded experiments beside each other, two by two: what each measured. Nothing is averaged over them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from evenground.analysis.devices import devices_of, unlike
from evenground.analysis.energy import ENERGY, NET, with_energy
from evenground.analysis.index import Index
from evenground.analysis.normalise import normalise
from evenground.analysis.resources import use_of
from evenground.analysis.statistics import Ratio, ratio_interval, ratio_of_ratios, summarise
from evenground.analysis.tables import runs_table
from evenground.analysis.times import MEASURES

# Measure -> its unit; of a resource also the column and which of its figures. Energy is the card's counter's.
TIMES = {**dict.fromkeys(MEASURES, "s"), "test_accuracy": "1"}
USES = {
    "cpu_s": ("s", "cpu_pct", "integral"),
    "peak_rss_bytes": ("bytes", "rss_bytes", "peak"),
    "peak_vram_used_bytes": ("bytes", "vram_used_bytes", "peak"),
}
ENERGIES = {ENERGY: "J", NET: "J"}
OF_RUNS = TIMES | ENERGIES
UNITS = TIMES | {name: unit for name, (unit, _, _) in USES.items()} | ENERGIES
Rows = list[dict[str, object]]


@dataclass(frozen=True)
class Side:
    """One of them: its name in tables, its index, the table `runs`, values by dataset, engine and measure."""

    name: str
    index: Index
    values: dict[tuple[str, str, str], list[float]]
    runs: pd.DataFrame

    def of(self, dataset: str, engine: str, measure: str) -> list[float]:
        """Values over repetitions; none of what this side does not have."""
        return self.values.get((dataset, engine, measure), [])

    def unlike_devices(self, dataset: str, engines: Sequence[str]) -> str:
        """In words, what these engines computed on, where that is not the same device; else nothing."""
        chosen = [engine for engine in self.index.engines if engine.name in engines]
        return unlike(devices_of(self.runs, dataset, chosen))


def read_side(name: str, index: Index) -> Side:
    """Read all runs of an index. EvengroundError when one cannot be read."""
    frames = normalise(index)
    return side_of(name, index, with_energy(runs_table(index), frames.energy), frames.timelines)


def side_of(name: str, index: Index, runs: pd.DataFrame, timelines: pd.DataFrame) -> Side:
    """The same from the table `runs`, with its energies, and the frame `timelines` of an index."""
    lines = dict(iter(timelines.groupby(["dataset", "engine", "repetition"])))
    values: dict[tuple[str, str, str], list[float]] = {}
    for run in runs[runs["status"] == "finished"].itertuples():
        key = (str(run.dataset), str(run.engine))
        mine = lines[(*key, run.repetition)]
        for measure in OF_RUNS:
            values.setdefault((*key, measure), []).append(float(getattr(run, measure)))
        for measure, (_, column, figure) in USES.items():
            use = use_of(mine, column, float(str(run.training_s)), index.report.grid_s)
            values.setdefault((*key, measure), []).append(getattr(use, figure))
    return Side(name, index, values, runs)


def side_names(sources: Sequence[str]) -> list[str]:
    """What each source is called in tables: the last part of its path, more of it where two are alike.

    Where a source is given twice, all are numbered.
    """
    paths = [Path(source).resolve() for source in sources]
    distinct = list(dict.fromkeys(paths))
    names = [_shown(path.name.removesuffix(".zip")) for path in distinct]
    for depth in range(1, max(len(path.parts) for path in distinct)):
        longer = [_shown("/".join(path.parts[-depth:])) for path in distinct]
        names = [long if names.count(name) > 1 else name for name, long in zip(names, longer, strict=True)]
    named = dict(zip(distinct, names, strict=True))
    if len(set(names)) == len(paths):
        return names
    return [f"{named[path]} ({k})" for k, path in enumerate(paths, start=1)]


def _shown(name: str) -> str:
    """A name that cannot break a line, a table or a figure."""
    return "".join(sign if sign.isprintable() else "?" for sign in name) or "?"


def against_first(sides: Sequence[Side], table: Callable[[Side, Side], pd.DataFrame]) -> pd.DataFrame:
    """`table` of the first side (a) and each further one (b); of more than two the column `side` names b."""
    tables = {b.name: table(sides[0], b) for b in sides[1:]}
    if len(tables) == 1:
        return tables[sides[1].name]
    rows = [{"side": name, **row} for name, found in tables.items() for row in found.to_dict("records")]
    return pd.DataFrame(rows, columns=["side", *next(iter(tables.values())).columns])


def measures(a: Side, b: Side) -> pd.DataFrame:
    """Per dataset, engine and measure: both medians, and b over a as in `statistics.ratio_interval`.

    What neither side has measured is left out.
    """
    rows: Rows = []
    for dataset, engine in groups_of([a, b]):
        for measure, unit in UNITS.items():
            of_a, of_b = a.of(dataset, engine, measure), b.of(dataset, engine, measure)
            in_a, in_b = summarise(of_a), summarise(of_b)
            if in_a.n or in_b.n:
                named = {"dataset": dataset, "engine": engine, "measure": measure, "unit": unit}
                shown = {"median_a": in_a.median, "median_b": in_b.median, "n_a": in_a.n, "n_b": in_b.n}
                rows.append({**named, **shown, **_ratio("b_to_a", ratio_interval(of_a, of_b))})
    columns = ["dataset", "engine", "measure", "unit", "median_a", "median_b", "n_a", "n_b", *_RATIO]
    return pd.DataFrame(rows, columns=columns)


def groups_of(sides: Sequence[Side]) -> list[tuple[str, str]]:
    """Names of datasets and engines that any side has, those of the first side first."""
    return list(dict.fromkeys((d.name, e.name) for side in sides for d, e in side.index.groups()))


_RATIO = ("b_to_a", "low_95", "high_95", "reason")


def _ratio(name: str, found: Ratio) -> dict[str, object]:
    return {name: found.ratio, "low_95": found.low, "high_95": found.high, "reason": found.reason}


def ratios(a: Side, b: Side) -> pd.DataFrame:
    """Per dataset and pair of engines that both sides have: the ratio of the engines in each, and b over a.

    Whether a comparison of engines holds on another machine is this last ratio: its interval holds 1, or not.
    """
    columns = ["dataset", "baseline", "engine", "measure", *(f"{k}_{side}" for side in "ab" for k in _SHORT)]
    rows: Rows = []
    for dataset, first, second in _shared_pairs(a.index, b.index):
        for measure in UNITS:
            pairs = [(s.of(dataset, first, measure), s.of(dataset, second, measure)) for s in (a, b)]
            in_a, in_b = (ratio_interval(*pair) for pair in pairs)
            if not (math.isnan(in_a.ratio) and math.isnan(in_b.ratio)):
                named = {"dataset": dataset, "baseline": first, "engine": second, "measure": measure}
                own = {**_short("a", in_a), **_short("b", in_b)}
                of_both = _ratio("b_to_a", ratio_of_ratios(pairs[0], pairs[1]))
                devices = {side.name: side.unlike_devices(dataset, (first, second)) for side in (a, b)}
                told = [f"{name}: {words}" for name, words in devices.items() if words]
                of_both["reason"] = "; ".join(filter(None, (str(of_both["reason"]), *told)))
                rows.append({**named, **own, **of_both})
    return pd.DataFrame(rows, columns=[*columns, *_RATIO])


def _shared_pairs(a: Index, b: Index) -> list[tuple[str, str, str]]:
    """Dataset, baseline and engine of the comparisons that both sides make, of like work only."""
    in_a, in_b = (
        [
            (dataset.name, first.name, second.name)
            for dataset in index.datasets
            for first, second in index.pairs(dataset.name)
            if not dataset.unlike(first, second)
        ]
        for index in (a, b)
    )
    return [pair for pair in in_a if pair in in_b]


_SHORT = ("ratio", "low", "high")


def _short(side: str, found: Ratio) -> dict[str, object]:
    return {f"{name}_{side}": getattr(found, name) for name in _SHORT}
