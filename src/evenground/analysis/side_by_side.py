"""Recorded experiments beside each other, two by two: what each measured. Nothing is averaged over them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from evenground.analysis.devices import devices_of, unlike
from evenground.analysis.energy import ENERGY, NET, with_energy
from evenground.analysis.normalise import normalise
from evenground.analysis.pairs import Blocks, blocks_of
from evenground.analysis.quality import quality_table
from evenground.analysis.ratios import Pair, Runs, of_ratios, unpaired, within
from evenground.analysis.resources import trainings, use_of
from evenground.analysis.statistics import Ratio, Repeated, summarise
from evenground.analysis.tables import runs_table
from evenground.analysis.times import MEASURES
from evenground.records.index import Index

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
    """One of them: its name in tables, its index, its table `runs`, its blocks.

    `values`: what each of its runs measured, by dataset, engine and measure, then by repetition.
    """

    name: str
    index: Index
    values: dict[tuple[str, str, str], Repeated]
    runs: pd.DataFrame
    blocks: Blocks

    def of(self, dataset: str, engine: str, measure: str) -> list[float]:
        """Values over repetitions; none of what this side does not have."""
        return [*self.values.get((dataset, engine, measure), {}).values()]

    def arm(self, dataset: str, engine: str, measure: str) -> Runs:
        """The same with their repetitions and blocks."""
        values = self.values.get((dataset, engine, measure), {})
        return Runs(blocks=self.blocks, arm=(dataset, engine), values=values)

    def pair(self, dataset: str, engines: tuple[str, str], measure: str) -> Pair:
        """What two of its engines measured."""
        return self.arm(dataset, engines[0], measure), self.arm(dataset, engines[1], measure)

    def unlike_devices(self, dataset: str, engines: Sequence[str]) -> str:
        """In words, what these engines computed on, where that is not the same device; else nothing."""
        chosen = [engine for engine in self.index.engines if engine.name in engines]
        return unlike(devices_of(self.runs, dataset, chosen))


def read_side(name: str, index: Index) -> Side:
    """Read all runs of an index. EvengroundError when one cannot be read."""
    frames = normalise(index)
    runs = runs_table(index)
    quality = quality_table(index, runs, frames.conditions)
    recorded = Recorded(
        runs=with_energy(runs, frames.energy),
        timelines=frames.timelines,
        conditions=frames.conditions,
        quality=quality,
    )
    return side_of(name, index, recorded)


@dataclass(frozen=True)
class Recorded:
    """What a side is made from: its tables `runs` (with energies) and `quality`, and two of its frames."""

    runs: pd.DataFrame
    timelines: pd.DataFrame
    conditions: pd.DataFrame
    quality: pd.DataFrame


def side_of(name: str, index: Index, recorded: Recorded) -> Side:
    """A side from tables and frames that are there already."""
    lines = dict(iter(recorded.timelines.groupby(["dataset", "engine", "repetition"])))
    trained = trainings(recorded.runs, recorded.conditions)
    values: dict[tuple[str, str, str], dict[int, float]] = {}
    done = recorded.runs[recorded.runs["status"] == "finished"]
    for run in done.to_dict("records"):
        dataset, engine, repetition = (
            str(run["dataset"]),
            str(run["engine"]),
            int(run["repetition"]),
        )
        mine = {measure: float(run[measure]) for measure in OF_RUNS}
        line, training = lines[dataset, engine, repetition], trained[dataset, engine, repetition]
        for measure, (_, column, figure) in USES.items():
            mine[measure] = getattr(use_of(line, column, training, index.report.grid_s), figure)
        for measure, value in mine.items():
            values.setdefault((dataset, engine, measure), {})[repetition] = value
    return Side(
        name=name,
        index=index,
        values={**values},
        runs=recorded.runs,
        blocks=blocks_of(recorded.conditions, recorded.quality),
    )


def side_names(sources: Sequence[str]) -> list[str]:
    """What each source is called in tables: the last part of its path, more of it where two are alike.

    Where a source is given twice, all are numbered.
    """
    paths = [Path(source).resolve() for source in sources]
    distinct = list(dict.fromkeys(paths))
    names = [_shown(path.name.removesuffix(".zip")) for path in distinct]
    for depth in range(1, max(len(path.parts) for path in distinct)):
        longer = [_shown("/".join(path.parts[-depth:])) for path in distinct]
        names = [
            long if names.count(name) > 1 else name
            for name, long in zip(names, longer, strict=True)
        ]
    named = dict(zip(distinct, names, strict=True))
    if len(set(names)) == len(paths):
        return names
    return [f"{named[path]} ({k})" for k, path in enumerate(paths, start=1)]


def _shown(name: str) -> str:
    """A name that cannot break a line, a table or a figure."""
    return "".join(sign if sign.isprintable() else "?" for sign in name) or "?"


def against_first(
    sides: Sequence[Side], table: Callable[[Side, Side], pd.DataFrame]
) -> pd.DataFrame:
    """`table` of the first side (a) and each further one (b); of more than two the column `side` names b."""
    tables = {b.name: table(sides[0], b) for b in sides[1:]}
    if len(tables) == 1:
        return tables[sides[1].name]
    rows = [
        {"side": name, **row} for name, found in tables.items() for row in found.to_dict("records")
    ]
    return pd.DataFrame(rows, columns=["side", *next(iter(tables.values())).columns])


def measures(a: Side, b: Side) -> pd.DataFrame:
    """Per dataset, engine and measure: both medians, and b over a as by `ratios.unpaired`.

    Runs of two sources are never paired. What neither side has measured is left out.
    """
    rows: Rows = []
    for dataset, engine in groups_of([a, b]):
        for measure, unit in UNITS.items():
            in_a, in_b = (summarise(side.of(dataset, engine, measure)) for side in (a, b))
            if in_a.n or in_b.n:
                named = {"dataset": dataset, "engine": engine, "measure": measure, "unit": unit}
                shown = {
                    "median_a": in_a.median,
                    "median_b": in_b.median,
                    "n_a": in_a.n,
                    "n_b": in_b.n,
                }
                found = unpaired((a.arm(dataset, engine, measure), b.arm(dataset, engine, measure)))
                of_both = _ratio("b_to_a", found.ratio)
                rows.append({**named, **shown, **of_both, "reason": found.reason})
    columns = [
        "dataset",
        "engine",
        "measure",
        "unit",
        "median_a",
        "median_b",
        "n_a",
        "n_b",
        *_RATIO,
    ]
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
    columns = [
        "dataset",
        "baseline",
        "engine",
        "measure",
        *(f"{k}_{side}" for side in "ab" for k in _SHORT),
    ]
    rows: Rows = []
    for dataset, first, second in _shared_pairs(a.index, b.index):
        for measure in UNITS:
            pairs = [side.pair(dataset, (first, second), measure) for side in (a, b)]
            found = [within(side.index, pair) for side, pair in zip((a, b), pairs, strict=True)]
            if all(math.isnan(one.ratio.ratio) for one in found):
                continue
            named = {"dataset": dataset, "baseline": first, "engine": second, "measure": measure}
            own = {**_short("a", found[0].ratio), **_short("b", found[1].ratio)}
            both = of_ratios((a.index, pairs[0]), (b.index, pairs[1]))
            said = [both.reason]
            for side, one in zip((a, b), found, strict=True):
                words = (one.dropped, side.unlike_devices(dataset, (first, second)))
                said += [f"{side.name}: {what}" for what in words if what]
            rows.append(
                {**named, **own, **_ratio("b_to_a", both), "reason": "; ".join(filter(None, said))}
            )
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
