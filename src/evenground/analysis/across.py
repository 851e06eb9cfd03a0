"""Machines or sources against the first of them, at the same values of all swept parameters."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from evenground.analysis.columns import DATASET, ENGINE, MEASURE, columns, interval, number, text
from evenground.analysis.devices import devices_of, unlike
from evenground.analysis.experiment import Experiment, Placed, of_condition, with_lead
from evenground.analysis.groups import Rows
from evenground.analysis.pairs import Arm, blocks_of
from evenground.analysis.ratios import Compared, Pair, Runs, of_ratios, unpaired, within
from evenground.analysis.statistics import Estimate
from evenground.analysis.summary import RATIO_MEASURES, runs_of
from evenground.analysis.table import frame_of
from evenground.records.index import Condition
from evenground.records.plan import Dataset, Engine

TABLE = columns(
    DATASET,
    text("baseline", "The divisor of a ratio of two engines; empty for `engine` itself."),
    ENGINE,
    MEASURE,
    text("over", "The source or machine that the row's is compared with: the first one."),
    number(
        "ratio",
        "",
        "Of the geometric means of `engine`, or of the ratio to `baseline`, here over there.",
    ),
    interval(""),
    text("reason", "Why a number is missing, and which runs do not count."),
)

Comparison = tuple[Dataset, tuple[Engine, Engine]]
"""A dataset with the baseline and the other engine."""


@dataclass(frozen=True)
class Peer:
    """A condition with its rows of the table `runs`, and what its runs measured."""

    placed: Placed
    runs: pd.DataFrame
    measured: Mapping[Arm, Mapping[str, Runs]]
    """Dataset and engine -> measure -> values; of each arm that any of its peers has."""

    @property
    def condition(self) -> Condition:
        """The condition itself."""
        return self.placed.condition

    def pair(self, dataset: str, engines: tuple[Engine, Engine], measure: str) -> Pair:
        """What the baseline and the other engine of a comparison measured."""
        baseline, engine = (self.measured[dataset, one.name][measure] for one in engines)
        return baseline, engine

    def remarks(self, dataset: str, engines: Sequence[Engine], compared: Compared) -> list[str]:
        """Which runs its ratio of two engines leaves out, and on which devices they computed."""
        devices = unlike(devices_of(self.runs, dataset, engines))
        return [f"{self.placed.label}: {words}" for words in (compared.dropped, devices) if words]


def across_table(
    experiment: Experiment, tables: Mapping[str, pd.DataFrame], circumstances: pd.DataFrame
) -> pd.DataFrame:
    """Each condition against the first of its peers; `tables` has `runs` and `quality` of all."""
    # Without rows it has its columns all the same.
    frames = [with_lead(frame_of([], TABLE), experiment.conditions[0])]
    for together in experiment.peers:
        arms = list(dict.fromkeys(arm for placed in together for arm in _arms(placed)))
        first, *others = [_peer(placed, arms, tables, circumstances) for placed in together]
        for other in others:
            frames.append(with_lead(across(first, other), other.placed))
    return experiment.joined(frames, TABLE)


def _arms(placed: Placed) -> list[Arm]:
    return [(dataset.name, engine.name) for dataset, engine in placed.condition.groups()]


def _peer(
    placed: Placed,
    arms: Sequence[Arm],
    tables: Mapping[str, pd.DataFrame],
    circumstances: pd.DataFrame,
) -> Peer:
    quality, runs = (of_condition(tables[name], placed) for name in ("quality", "runs"))
    blocks = blocks_of(of_condition(circumstances, placed), quality)
    measured = {arm: runs_of(runs, blocks, arm) for arm in arms}
    return Peer(placed=placed, runs=runs, measured=measured)


def across(first: Peer, other: Peer) -> pd.DataFrame:
    """Per dataset and measure: each engine, and each ratio of two engines, in `other` over `first`.

    Runs of two conditions are never paired. An engine's rows have no baseline. Whether a comparison
    of engines holds on another machine is the ratio of their ratios: its interval holds 1, or not.
    What neither of them measured is left out.
    """
    rows = _engine_rows(first, other)
    for dataset, pair in _shared_pairs(first, other):
        rows += _pair_rows(first, other, dataset, pair)
    return frame_of([row | {"over": first.placed.label} for row in rows], TABLE)


def _engine_rows(first: Peer, other: Peer) -> Rows:
    """The rows of each engine by itself."""
    rows: Rows = []
    for arm, measured in first.measured.items():
        for measure, in_first in measured.items():
            in_other = other.measured[arm][measure]
            if in_first.measured or in_other.measured:
                compared = unpaired((in_first, in_other))
                named = {"dataset": arm[0], "engine": arm[1], "measure": measure}
                rows.append(named | _numbers(compared.ratio, compared.reason))
    return rows


def _pair_rows(first: Peer, other: Peer, dataset: Dataset, engines: tuple[Engine, Engine]) -> Rows:
    """The rows of a comparison of two engines."""
    peers = first, other
    baseline, engine = (one.name for one in engines)
    named = {"dataset": dataset.name, "baseline": baseline, "engine": engine}
    rows: Rows = []
    for measure in RATIO_MEASURES:
        pairs = [peer.pair(dataset.name, engines, measure) for peer in peers]
        found = [within(peer.condition, pair) for peer, pair in zip(peers, pairs, strict=True)]
        if all(math.isnan(one.ratio.value) for one in found):
            continue
        ratio = of_ratios((first.condition, pairs[0]), (other.condition, pairs[1]))
        reasons = [ratio.reason]
        for peer, one in zip(peers, found, strict=True):
            reasons += peer.remarks(dataset.name, engines, one)
        reason = "; ".join(filter(None, reasons))
        rows.append(named | {"measure": measure} | _numbers(ratio, reason))
    return rows


def _numbers(ratio: Estimate, reason: str) -> dict[str, object]:
    return {
        "ratio": ratio.value,
        "low_95": ratio.low,
        "high_95": ratio.high,
        "reason": reason,
    }


def _shared_pairs(first: Peer, other: Peer) -> list[Comparison]:
    """The comparisons that both conditions make, whichever engine is the baseline of the other's."""
    in_other = [names for names, _ in _pairs(other)]
    return [pair for names, pair in _pairs(first) if names in in_other]


def _pairs(peer: Peer) -> list[tuple[tuple[str, set[str]], Comparison]]:
    """Dataset and engines by name, and as recorded, of comparisons of engines that did like work."""
    found = []
    for dataset in peer.condition.datasets:
        for baseline, engine in peer.condition.pairs(dataset.name):
            if not dataset.unlike(baseline, engine):
                names = dataset.name, {baseline.name, engine.name}
                found.append((names, (dataset, (baseline, engine))))
    return found
