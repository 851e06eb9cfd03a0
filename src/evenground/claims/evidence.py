"""The runs behind a claim under an instrument, and what they lack to judge it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Literal

import pandas as pd

from evenground.analysis.extrapolation import Sample, find_sample
from evenground.analysis.groups import INVALID, WARNED
from evenground.analysis.index import Index, ThesisLines, WantedRun
from evenground.analysis.instruments import Instrument
from evenground.analysis.measured import Measured
from evenground.analysis.measures import TIMES
from evenground.analysis.pairs import blocks_of, told
from evenground.claims.cast import Cast
from evenground.claims.code import counted
from evenground.claims.estimators import Group, Sampled
from evenground.claims.model import Claim
from evenground.records.events import kind_of

NO_FORMULA_ERROR = (
    "how exactly its time can be extrapolated is not known, as half of its epochs have no step after the "
    "first one: train it for more epochs, or on more examples"
)
Reading = Literal["value", "without_idle"]
"""Which number of a run is taken: as measured, or with the time taken off in which it did nothing."""


@dataclass(frozen=True)
class Used:
    """A run behind a verdict and what was taken of it, in the claim's unit; NaN where it has none.

    `without_idle`: the same without idle time. `low`, `high`: between which the value could have come to lie
    here. `idle_share`: of its training (0 to 1). `up_s`: how long the machine had been up. `states`: of its
    quality findings. `sample` says from what it is extrapolated, if it is; `remark` what has to be said of
    how it came about, `reason` why it is missing.
    """

    wanted: WantedRun
    value: float
    without_idle: float
    resolution: float
    low: float
    high: float
    formula_error: float
    remark: str
    reason: str
    device: str
    processor_only: bool
    idle_share: float
    up_s: float
    states: frozenset[str]
    sample: Sample | None = None


@dataclass(frozen=True)
class Evidence:
    """A claim under an instrument: its runs by role and dataset, or what it `lacks` to be judged.

    `blocks`: the repetitions of which all groups have a value, made in one pass; None where the runs are not
    paired. `dropped`: repetition -> why it is no such block. `counted` has the trainers whose lines were
    counted, `remarks` in words what stands for more than was trained, and how values came about,
    `computed_on` the kinds of devices of the runs, but for arms without a GPU by design.
    """

    claim: Claim
    instrument: Instrument
    lacks: str = ""
    used: Mapping[Group, Sequence[Used]] = field(default_factory=dict)
    blocks: frozenset[int] | None = None
    dropped: Mapping[int, str] = field(default_factory=dict)
    counted: tuple[ThesisLines, ...] = ()
    remarks: tuple[str, ...] = ()
    computed_on: frozenset[str] = frozenset()

    def sampled(self, reading: Reading, group: Group) -> Sampled:
        """The values of a group's runs that count, and what beside their spread makes the mean uncertain."""
        runs = self.counting(group)
        return Sampled(
            values={one.wanted.repetition: getattr(one, reading) for one in runs},
            resolution=_mean(one.resolution for one in runs),
            formula_error=_mean(one.formula_error for one in runs),
        )

    def counting(self, group: Group) -> list[Used]:
        """The runs of a group with a value that the estimate rests on."""
        runs = [one for one in self.used[group] if not math.isnan(one.value)]
        if self.blocks is None:
            return [one for one in runs if INVALID not in one.states]
        return [one for one in runs if one.wanted.repetition in self.blocks]

    @property
    def runs(self) -> list[Used]:
        """All runs that the estimate rests on."""
        return [one for group in self.used for one in self.counting(group)]

    @property
    def n(self) -> int:
        """Complete blocks, or runs of the smallest group."""
        if self.blocks is not None:
            return len(self.blocks)
        return min((len(self.counting(group)) for group in self.used), default=0)

    def of_role(self, role: str | None) -> list[Used]:
        """The runs of a role that the estimate rests on."""
        return [one for group in self.used if group[0] == role for one in self.counting(group)]

    def flagged(self, state: str) -> int:
        """How many runs of the groups have a finding of this state, those included that are left out."""
        return sum(state in one.states for runs in self.used.values() for one in runs)


def _mean(values: Iterator[float]) -> float:
    found = list(values)
    return math.fsum(found) / len(found) if found else 0.0


class Material:
    """What is recorded of an index's finished runs, and the cast that plays the claims' roles."""

    def __init__(self, index: Index, measured: Measured, cast: Cast) -> None:
        self.index = index
        self.cast = cast
        self.blocks = blocks_of(measured.conditions, measured.quality)
        self._conditions = _by_run(measured.conditions)
        self._states = _states(measured.quality)
        self._taken = cache(self._measured)
        self._measures = dict(
            iter(measured.measures.groupby(["instrument", "measure", "resource"]))
        )
        wanted = sorted(index.finished, key=lambda run: run.repetition)
        self._wanted = {(run.dataset, run.engine, run.repetition): run for run in wanted}

    def evidence(self, claim: Claim, instrument: Instrument) -> Evidence:
        """The runs behind a claim under an instrument, or what is lacking for it."""
        if claim.code:
            return self._of_code(claim, instrument)
        lacks = self.cast.lacks(claim)
        if lacks or claim.arguments is None:
            return Evidence(claim, instrument, lacks)
        used = {group: self._used(claim, instrument, group) for group in claim.arguments.groups}
        lacks = self._lacks(claim, instrument, used)
        found = Evidence(claim, instrument, lacks, used=used, computed_on=_computed_on(used))
        if lacks:
            return found
        remarks = self._remarks(used)
        if self.index.report.design == "independent":
            return replace(found, remarks=(*remarks, *self._left_out(used)))
        blocks, dropped = self._complete(used)
        return replace(found, remarks=remarks, blocks=blocks, dropped=dropped)

    def _of_code(self, claim: Claim, instrument: Instrument) -> Evidence:
        assert claim.code is not None
        trainers = counted(claim.code, instrument, self.index.lines)
        if isinstance(trainers, str):
            return Evidence(claim, instrument, trainers)
        return Evidence(claim, instrument, counted=trainers)

    def _player(self, group: Group) -> tuple[str, str]:
        """Dataset and engine of the index that play a dataset and a role of the claim."""
        role, dataset = group
        return self.cast.dataset(dataset), self.cast.engine(role)

    def where(self, group: Group) -> str:
        """A group in words."""
        dataset, engine = self._player(group)
        return f"{engine} on {dataset}"

    def _used(self, claim: Claim, instrument: Instrument, group: Group) -> list[Used]:
        assert claim.arguments is not None
        measure = (instrument, claim.arguments.taken(instrument), claim.arguments.resource or "")
        return self._taken(measure, self._player(group))

    def _measured(self, measure: tuple[str, str, str], player: tuple[str, str]) -> list[Used]:
        """The runs of one dataset and engine, by repetition; several claims ask for the same."""
        taken = self._measures.get(measure)
        if taken is None:
            return []
        dataset, engine = player
        mine = taken[(taken["dataset"] == dataset) & (taken["engine"] == engine)]
        sample = find_sample(self.index, dataset, engine)
        rows = sorted(mine.to_dict("records"), key=lambda row: row["repetition"])
        return [self._one(row, sample) for row in rows]

    def _one(self, row: Mapping[Hashable, object], sample: Sample | None) -> Used:
        key = (str(row["dataset"]), str(row["engine"]), int(str(row["repetition"])))
        conditions = self._conditions[key]
        return Used(
            wanted=self._wanted[key],
            value=_number(row["value"]),
            without_idle=_number(row["without_idle"]),
            resolution=_number(row["resolution"]),
            low=_number(row["low_attainable"]),
            high=_number(row["high_attainable"]),
            formula_error=_number(row["formula_error"]),
            remark=str(row["remark"]),
            reason=str(row["reason"]),
            device=str(conditions["device"]),
            processor_only=bool(conditions["processor_only"]),
            idle_share=_number(conditions["idle_share"]),
            up_s=_number(conditions["up_s"]),
            states=self._states.get(key, frozenset()),
            sample=sample,
        )

    def _lacks(
        self, claim: Claim, instrument: Instrument, used: Mapping[Group, Sequence[Used]]
    ) -> str:
        """Why these runs cannot judge the claim, however many there are; empty where they can."""
        assert claim.arguments is not None
        if why := self._off_device(used, claim.needs.accelerator):
            return why
        for group, runs in used.items():
            if not runs:
                return f"no finished runs: {self.where(group)}"
        if why := self._too_little(used, claim.arguments.taken(instrument)):
            return why
        for group, runs in used.items():
            if all(math.isnan(one.value) for one in runs):
                return f"{runs[0].reason} ({self.where(group)})"
            if any(math.isnan(one.formula_error) for one in runs if not math.isnan(one.value)):
                return f"{self.where(group)}: {NO_FORMULA_ERROR}"
        return ""

    def _off_device(self, used: Mapping[Group, Sequence[Used]], needed: str | None) -> str:
        """Which runs did not compute on what the claim needs; empty where all did."""
        for group, runs in used.items():
            others = [one for one in runs if kind_of(one.device) != needed]
            if needed and others:
                few = f"{len(others)} of {len(runs)} " if len(others) < len(runs) else ""
                lacking = "GPU" if needed == "cuda" else "processor"
                return f"no {lacking}: {few}trainings of {self.where(group)} computed on {others[0].device}"
        return ""

    def _too_little(self, used: Mapping[Group, Sequence[Used]], measure: str) -> str:
        """Why a training on the first examples only tells nothing of one on all; empty where it does."""
        for engine, sample in self._samples(used):
            why = (
                sample.lacks
                if measure in TIMES
                else f"'{measure}' of the whole is not known from that"
            )
            if why:
                return f"{engine} trained on {sample.words} only: {why}"
        return ""

    def _samples(self, used: Mapping[Group, Sequence[Used]]) -> list[tuple[str, Sample]]:
        """Engine and sample of every group that was trained on the first examples only."""
        firsts = [
            (self.cast.engine(role), runs[0].sample) for (role, _), runs in used.items() if runs
        ]
        return list(
            dict.fromkeys((engine, sample) for engine, sample in firsts if sample is not None)
        )

    def _remarks(self, used: Mapping[Group, Sequence[Used]]) -> tuple[str, ...]:
        """What stands for more than was trained, and how values came about."""
        words = [
            f"{engine} extrapolated from {sample.words}" for engine, sample in self._samples(used)
        ]
        for group, runs in used.items():
            counts = Counter(one.remark for one in runs if one.remark)
            words += [
                f"{self.where(group)}: {remark} ({n} of {len(runs)} runs)"
                for remark, n in counts.items()
            ]
        return tuple(words)

    def _left_out(self, used: Mapping[Group, Sequence[Used]]) -> tuple[str, ...]:
        """Which runs that are not paired do not count, and why."""
        words = []
        for group, runs in used.items():
            valid, why = self.blocks.valid(self._player(group))
            for repetition in sorted(set(valid) - _with_value(runs)):
                why[repetition] = "it has no value"
            if why:
                words.append(f"left out of {self.where(group)}: {told(dict(sorted(why.items())))}")
        return tuple(words)

    def _complete(
        self, used: Mapping[Group, Sequence[Used]]
    ) -> tuple[frozenset[int], dict[int, str]]:
        """The complete blocks, and why the others are not."""
        blocks, dropped = self.blocks.complete([self._player(group) for group in used])
        known = {group: _with_value(runs) for group, runs in used.items()}
        kept = set()
        for block in blocks:
            missing = [group for group in used if block not in known[group]]
            if missing:
                dropped[block] = f"no value of {self.where(missing[0])}"
            else:
                kept.add(block)
        return frozenset(kept), dict(sorted(dropped.items()))


def _with_value(runs: Sequence[Used]) -> set[int]:
    """The repetitions whose run has a value."""
    return {one.wanted.repetition for one in runs if not math.isnan(one.value)}


def _computed_on(used: Mapping[Group, Sequence[Used]]) -> frozenset[str]:
    """Kinds of devices of the runs, but for arms without a GPU by design."""
    runs = [one for group in used.values() for one in group]
    return frozenset(kind_of(one.device) for one in runs if not one.processor_only)


def _by_run(conditions: pd.DataFrame) -> dict[tuple[str, str, int], dict[str, object]]:
    columns = ["dataset", "engine", "repetition", "device", "processor_only", "idle_share", "up_s"]
    rows = conditions[columns].to_dict("records")
    found: dict[tuple[str, str, int], dict[str, object]] = {}
    for row in rows:
        key = (str(row["dataset"]), str(row["engine"]), int(row["repetition"]))
        found[key] = {str(name): value for name, value in row.items()}
    return found


def _states(quality: pd.DataFrame) -> dict[tuple[str, str, int], frozenset[str]]:
    """Run -> states of its findings."""
    found: dict[tuple[str, str, int], set[str]] = {}
    own = quality[quality["repetition"].notna()]
    for row in own[["dataset", "engine", "repetition", "state"]].to_dict("records"):
        key = (str(row["dataset"]), str(row["engine"]), int(row["repetition"]))
        assert row["state"] in (INVALID, WARNED)
        found.setdefault(key, set()).add(str(row["state"]))
    return {key: frozenset(states) for key, states in found.items()}


def _number(value: object) -> float:
    assert isinstance(value, int | float)
    return float(value)
