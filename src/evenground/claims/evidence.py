"""The runs behind a claim under an instrument, and what is missing to judge it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any, Literal

import pandas as pd

from evenground.analysis.extrapolation import Sample, find_sample
from evenground.analysis.groups import INVALID, RUN
from evenground.analysis.measured import Measured
from evenground.analysis.measures import TIMES
from evenground.analysis.pairs import blocks_of, told
from evenground.claims.cast import Cast
from evenground.claims.code import counted
from evenground.claims.estimators import Group, Sampled
from evenground.claims.model import Claim
from evenground.records.events import kind_of
from evenground.records.index import CodeLines, Condition, ThesisLines, WantedRun
from evenground.records.verdicts import Instrument

NO_FORMULA_ERROR = (
    "how exactly its time can be extrapolated is not known, as half of its epochs have no step "
    "after the first one: train it for more epochs, or on more examples"
)
Reading = Literal["value", "without_idle"]
"""Which number of a run is taken: as measured, or without the time in which it was idle."""
# Columns of the frame `circumstances` that verdicts need.
_CIRCUMSTANCES = ["device", "processor_only", "idle_share", "up_s"]


@dataclass(frozen=True)
class Used:
    """A run behind a verdict and what was measured of it, in the claim's unit; NaN is missing."""

    wanted: WantedRun
    value: float
    # The same value without idle time.
    without_idle: float
    # The step in which values come.
    resolution: float
    # The least and the greatest value that were possible on this machine.
    low: float
    high: float
    formula_error: float
    # How the value came about, if a reader has to know.
    remark: str
    # Why the value is missing.
    reason: str
    device: str
    processor_only: bool
    # Of its training, from 0 to 1.
    idle_share: float
    # How long the machine had been up.
    up_s: float
    # States of its quality findings.
    states: frozenset[str]
    # What its time is extrapolated from; None for a training on all examples.
    sample: Sample | None = None


@dataclass(frozen=True)
class Evidence:
    """A claim under an instrument with its runs by role and dataset, or why it cannot be judged."""

    claim: Claim
    instrument: Instrument
    # Why it cannot be judged; empty if it can.
    missing: str = ""
    used: Mapping[Group, Sequence[Used]] = field(default_factory=dict)
    # Repetitions in which every group has a value, made in one pass; None for unpaired runs.
    blocks: frozenset[int] | None = None
    # Repetition -> why it is no such block.
    dropped: Mapping[int, str] = field(default_factory=dict)
    # Trainers of the thesis whose lines were counted, the numerator first.
    counted: tuple[ThesisLines, ...] = ()
    # What a reader has to know of the values.
    remarks: tuple[str, ...] = ()
    # Kinds of devices of the runs, without those of arms that have no GPU by design.
    computed_on: frozenset[str] = frozenset()

    def sampled(self, reading: Reading, group: Group) -> Sampled:
        """Return the values of a group's runs that count, and the errors of their mean."""
        runs = self.counting(group)
        return Sampled(
            values={run.wanted.repetition: getattr(run, reading) for run in runs},
            resolution=_mean([run.resolution for run in runs]),
            formula_error=_mean([run.formula_error for run in runs]),
        )

    def counting(self, group: Group) -> list[Used]:
        """Return the runs of a group that the estimate rests on."""
        runs = _with_value(self.used[group])
        # Blocks have no invalid run: `Blocks.complete` drops them.
        if self.blocks is None:
            return [run for run in runs if INVALID not in run.states]
        return [run for run in runs if run.wanted.repetition in self.blocks]

    @property
    def runs(self) -> list[Used]:
        """All runs that the estimate rests on."""
        runs = []
        for group in self.used:
            runs.extend(self.counting(group))
        return runs

    @property
    def n(self) -> int:
        """Complete blocks, or runs of the smallest group."""
        if self.blocks is not None:
            return len(self.blocks)
        return min((len(self.counting(group)) for group in self.used), default=0)

    def of_role(self, role: str | None) -> list[list[Used]]:
        """Return the runs of a role that the estimate rests on, one list per dataset."""
        return [self.counting(group) for group in self.used if group[0] == role]

    def flagged(self, state: str) -> int | None:
        """Return how many runs have a finding of this state, including those that are left out.

        None without any runs, e.g. for lines of code.
        """
        if not self.used:
            return None
        count = 0
        for runs in self.used.values():
            count += sum(state in run.states for run in runs)
        return count


def _mean(values: Sequence[float]) -> float:
    if not values:
        return 0.0
    return math.fsum(values) / len(values)


def _with_value(runs: Iterable[Used]) -> list[Used]:
    return [run for run in runs if not math.isnan(run.value)]


def _repetitions(runs: Iterable[Used]) -> set[int]:
    """Return the repetitions whose run has a value."""
    return {run.wanted.repetition for run in _with_value(runs)}


class Material:
    """The recorded measures of a condition's finished runs, and the cast that plays the roles."""

    def __init__(
        self, condition: Condition, measured: Measured, cast: Cast, lines: CodeLines | None
    ) -> None:
        self.condition = condition
        self._lines = lines
        self.cast = cast
        self.blocks = blocks_of(measured.circumstances, measured.quality)
        self._wanted = {
            (run.dataset, run.engine, run.repetition): run for run in condition.finished
        }
        self._states = _states(measured.quality)
        rows = measured.measures.merge(measured.circumstances[RUN + _CIRCUMSTANCES], on=RUN)
        # Groups keep the order of their rows.
        grouped = rows.sort_values("repetition").groupby(
            ["instrument", "measure", "resource", "engine", "dataset"]
        )
        self._rows = dict(iter(grouped))
        # Several claims use the same measure of the same runs.
        self._used = cache(self._read)

    def evidence(self, claim: Claim, instrument: Instrument) -> Evidence:
        """Return the runs behind a claim under an instrument, or what is missing to judge it."""
        evidence = Evidence(claim=claim, instrument=instrument)
        if claim.code:
            trainers = counted(claim.code, instrument, self._lines)
            if isinstance(trainers, str):
                return replace(evidence, missing=trainers)
            return replace(evidence, counted=trainers)
        missing = self.cast.missing(claim)
        if missing or claim.arguments is None:
            return replace(evidence, missing=missing)
        measure = claim.arguments.measure_under(instrument)
        resource = claim.arguments.resource or ""
        used = {}
        for group in claim.arguments.groups:
            used[group] = self._used(instrument, measure, resource, group)
        missing = next(self._obstacles(used, measure, claim.needs.accelerator), "")
        evidence = replace(evidence, missing=missing, used=used, computed_on=_computed_on(used))
        if missing:
            return evidence
        remarks = list(self._remarks(used))
        if self.condition.report.design == "independent":
            remarks.extend(self._left_out(used))
            return replace(evidence, remarks=tuple(remarks))
        blocks, dropped = self._complete(used)
        return replace(evidence, remarks=tuple(remarks), blocks=blocks, dropped=dropped)

    def _player(self, group: Group) -> tuple[str, str]:
        """Return dataset and engine of the condition that play a role on a dataset of the claim."""
        role, dataset = group
        return self.cast.dataset(dataset), self.cast.engine(role)

    def where(self, group: Group) -> str:
        """Return the engine and the dataset of a group as text."""
        dataset, engine = self._player(group)
        return f"{engine} on {dataset}"

    def _read(
        self, instrument: Instrument, measure: str, resource: str, group: Group
    ) -> list[Used]:
        """Return the runs of a group by repetition."""
        dataset, engine = self._player(group)
        rows = self._rows.get((instrument, measure, resource, engine, dataset))
        if rows is None:
            return []
        sample = find_sample(self.condition, dataset, engine)
        return [self._use(row, sample) for row in rows.to_dict("records")]

    def _use(self, row: Mapping[Hashable, Any], sample: Sample | None) -> Used:
        key = (row["dataset"], row["engine"], row["repetition"])
        return Used(
            wanted=self._wanted[key],
            value=row["value"],
            without_idle=row["without_idle"],
            resolution=row["resolution"],
            low=row["low_attainable"],
            high=row["high_attainable"],
            formula_error=row["formula_error"],
            remark=row["remark"],
            reason=row["reason"],
            device=row["device"],
            processor_only=bool(row["processor_only"]),
            idle_share=row["idle_share"],
            up_s=row["up_s"],
            states=self._states.get(key, frozenset()),
            sample=sample,
        )

    def _obstacles(
        self, used: Mapping[Group, Sequence[Used]], measure: str, needed: str | None
    ) -> Iterator[str]:
        """Yield why these runs, however many, cannot judge a claim; the first cause is reported.

        `needed`: the kind of device that they must have computed on; None for any.
        """
        if needed:
            yield from self._other_devices(used, needed)
        for group, runs in used.items():
            if not runs:
                yield f"no finished runs: {self.where(group)}"
        # From here on every group has a run.
        for engine, sample in self._samples(used):
            why = sample.lacks
            if measure not in TIMES:
                why = f"'{measure}' of the whole is not known from that"
            if why:
                yield f"{engine} trained on {sample.words} only: {why}"
        for group, runs in used.items():
            measured = _with_value(runs)
            if not measured:
                yield f"{runs[0].reason} ({self.where(group)})"
            if any(math.isnan(run.formula_error) for run in measured):
                yield f"{self.where(group)}: {NO_FORMULA_ERROR}"

    def _other_devices(self, used: Mapping[Group, Sequence[Used]], needed: str) -> Iterator[str]:
        """Yield the groups with runs that did not compute on the kind of device that is needed."""
        name = {"cuda": "GPU", "cpu": "processor"}[needed]
        for group, runs in used.items():
            devices = [run.device for run in runs if kind_of(run.device) != needed]
            if not devices:
                continue
            trainings = "trainings"
            if len(devices) < len(runs):
                trainings = f"{len(devices)} of {len(runs)} trainings"
            yield f"no {name}: {trainings} of {self.where(group)} computed on {devices[0]}"

    def _samples(self, used: Mapping[Group, Sequence[Used]]) -> list[tuple[str, Sample]]:
        """Return engine and sample of every group that was trained on the first examples only."""
        samples: list[tuple[str, Sample]] = []
        for (role, _), runs in used.items():
            sample = runs[0].sample
            engine = self.cast.engine(role)
            if sample is not None and (engine, sample) not in samples:
                samples.append((engine, sample))
        return samples

    def _remarks(self, used: Mapping[Group, Sequence[Used]]) -> Iterator[str]:
        """Yield from what times are extrapolated, and how values came about."""
        for engine, sample in self._samples(used):
            yield f"{engine} extrapolated from {sample.words}"
        for group, runs in used.items():
            counts = Counter(run.remark for run in runs if run.remark)
            for remark, count in counts.items():
                yield f"{self.where(group)}: {remark} ({count} of {len(runs)} runs)"

    def _left_out(self, used: Mapping[Group, Sequence[Used]]) -> Iterator[str]:
        """Yield which of the unpaired runs of each group do not count, and why."""
        for group, runs in used.items():
            valid, why = self.blocks.valid(self._player(group))
            for repetition in set(valid) - _repetitions(runs):
                why[repetition] = "it has no value"
            if why:
                yield f"left out of {self.where(group)}: {told(dict(sorted(why.items())))}"

    def _complete(
        self, used: Mapping[Group, Sequence[Used]]
    ) -> tuple[frozenset[int], dict[int, str]]:
        """Return the complete blocks, and why the others are not complete."""
        blocks, dropped = self.blocks.complete([self._player(group) for group in used])
        complete = set(blocks)
        for group, runs in used.items():
            for block in sorted(complete - _repetitions(runs)):
                complete.remove(block)
                dropped[block] = f"no value of {self.where(group)}"
        return frozenset(complete), dict(sorted(dropped.items()))


def _computed_on(used: Mapping[Group, Sequence[Used]]) -> frozenset[str]:
    """Return the kinds of devices of the runs, without those of arms that have no GPU by design."""
    kinds: set[str] = set()
    for runs in used.values():
        kinds.update(kind_of(run.device) for run in runs if not run.processor_only)
    return frozenset(kinds)


def _states(quality: pd.DataFrame) -> dict[Hashable, frozenset[str]]:
    """Return the states of the findings of every run that has any."""
    # A finding without a repetition is about a whole group of runs.
    of_runs = quality[quality["repetition"].notna()]
    return of_runs.groupby(RUN)["state"].agg(frozenset).to_dict()
