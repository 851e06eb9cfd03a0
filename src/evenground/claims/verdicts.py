"""Every claim under every instrument: from recorded runs to verdicts."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache

from evenground.analysis.devices import processor_only
from evenground.analysis.index import Index, ThesisLines
from evenground.analysis.runs import Run, read_runs
from evenground.analysis.statistics import NOTHING, TOO_FEW, Estimate
from evenground.claims.cast import Cast, make_cast
from evenground.claims.code import counted, line_count, line_ratio
from evenground.claims.estimators import ESTIMATORS, Arguments
from evenground.claims.extrapolation import Sample, find_sample
from evenground.claims.inference import ALPHA, holm, p_value, runs_to_decide
from evenground.claims.instruments import SOURCES, TRACES, Instrument, Trace
from evenground.claims.judge import Verdict, judge, words_for_more
from evenground.claims.measures import TIMES, take
from evenground.claims.model import Claim, Claims, Code
from evenground.records.events import kind_of

Group = tuple[str, str]


@dataclass(frozen=True)
class Used:
    """A run behind a verdict, and its value in the claim's unit; NaN where it has none.

    `sample` says from what it is extrapolated, if it is; `remark` what has to be said of how it came about.
    """

    run: Run
    value: float
    sample: Sample | None = None
    remark: str = ""


@dataclass(frozen=True)
class Estimated:
    """A claim under an instrument, before its family is known: an estimate, or what it `lacks`.

    `used` has the runs of every group (role and dataset of the claim), `counted` the trainers whose lines
    were counted, `remarks` in words what stands for more than was trained, and how values came about,
    `computed_on` the kinds of devices of the runs, but for arms without a GPU by design.
    """

    claim: Claim
    instrument: Instrument
    lacks: str = ""
    found: Estimate | None = None
    used: Mapping[Group, Sequence[Used]] = field(default_factory=dict)
    counted: tuple[ThesisLines, ...] = ()
    remarks: tuple[str, ...] = ()
    computed_on: frozenset[str] = frozenset()

    @property
    def p(self) -> float:
        """Two-sided p-value; NaN where it cannot be judged."""
        return p_value(self.found, self.claim.region) if self.found and not self.lacks else math.nan

    def counts(self, role: str | None = None) -> int | None:
        """The smallest number of values in a group (of this role); None where there is no such group."""
        sizes = [len(known(used)) for group, used in self.used.items() if role in {None, group[0]}]
        return min(sizes, default=None)


@dataclass(frozen=True)
class Judged:
    """The verdict, and all it rests on; `tested` is the number of claims that Holm's correction counted."""

    of: Estimated
    verdict: Verdict
    reason: str
    demonstration: str
    p_holm: float = math.nan
    tested: int = 0
    more_runs: int | None = None


def known(used: Sequence[Used]) -> list[float]:
    """The values that are not missing."""
    return [one.value for one in used if not math.isnan(one.value)]


class Material:
    """The finished runs of an index, seen through either instrument; each is read once."""

    def __init__(self, index: Index, cast: Cast) -> None:
        self.cast = cast
        self.runs = sorted(read_runs(index), key=lambda run: run.wanted.repetition)
        self.grid_s = index.report.grid_s
        self.trace = cache(self._trace)

    def _trace(self, instrument: Instrument, number: int) -> Trace:
        run = self.runs[number]
        sample = find_sample(self.cast.index, run.wanted.dataset, run.wanted.engine)
        return replace(TRACES[instrument](run, self.grid_s), sample=sample)

    def used(self, given: Arguments, instrument: Instrument) -> dict[Group, list[Used]]:
        """The runs of every group with their values. EvengroundError when a run cannot be read."""
        measure = given.taken(instrument)
        found: dict[Group, list[Used]] = {group: [] for group in given.groups}
        for (role, dataset), used in found.items():
            player = (self.cast.dataset(dataset), self.cast.engine(role))
            for number, run in enumerate(self.runs):
                if (run.wanted.dataset, run.wanted.engine) == player:
                    trace, resource = self.trace(instrument, number), given.resource or ""
                    value = take(measure, trace, resource)
                    used.append(Used(run, value, trace.sample, trace.remarks.get(resource, "")))
        return found


def judge_all(index: Index, claims: Claims, stand_ins: Mapping[str, str] | None = None) -> list[Judged]:
    """Every claim under each of its instruments, in their order.

    `stand_ins` takes the place of those of the index. Raises EvengroundError for an unknown stand-in and for
    a run that cannot be read.
    """
    cast = make_cast(index, claims, index.report.stand_ins if stand_ins is None else stand_ins)
    material = Material(index, cast)
    estimated = [estimate(c, i, cast, material) for c in claims.claims for i in c.instruments]
    own_machine = claims.machine.is_class(index.machine.class_name)
    return [_judged(one, _family(one, estimated), cast, own_machine) for one in estimated]


def estimate(claim: Claim, instrument: Instrument, cast: Cast, material: Material) -> Estimated:
    """The estimate of one claim under one instrument, or what is lacking for it."""
    if claim.code:
        return _of_code(claim, claim.code, instrument, cast.index)
    lacks = cast.lacks(claim)
    if lacks or claim.test is None:
        return Estimated(claim, instrument, lacks)
    estimator, given = claim.test
    used = material.used(given, instrument)
    found_on = _computed_on(used, cast.index)
    if lacks := _off_device(used, claim, cast):
        return Estimated(claim, instrument, lacks, computed_on=found_on)
    for (role, dataset), runs in used.items():
        if not runs:
            lacks = f"no finished runs: {cast.engine(role)} on {cast.dataset(dataset)}"
            return Estimated(claim, instrument, lacks, None, used, computed_on=found_on)
    samples = _samples(used, cast)
    if lacks := _too_little(samples, given.taken(instrument)):
        return Estimated(claim, instrument, lacks, None, used, computed_on=found_on)
    values = {group: [one.value for one in runs] for group, runs in used.items()}
    found = ESTIMATORS[estimator](given, values)
    lacks = _lacks(found, given, instrument, used, cast) if found.reason else ""
    words = [f"{engine} extrapolated from {sample.words}" for engine, sample in samples]
    remarks = (*words, *_remarks(used, cast))
    return Estimated(claim, instrument, lacks, found, used, remarks=remarks, computed_on=found_on)


def _off_device(used: Mapping[Group, Sequence[Used]], claim: Claim, cast: Cast) -> str:
    """Which runs did not compute on what the claim needs; empty where all did."""
    needed = claim.needs.accelerator
    for (role, dataset), runs in used.items():
        others = [one for one in runs if kind_of(one.run.device) != needed]
        if needed and others:
            few = f"{len(others)} of {len(runs)} " if len(others) < len(runs) else ""
            lacking = "GPU" if needed == "cuda" else "processor"
            where = f"{cast.engine(role)} on {cast.dataset(dataset)}"
            return f"no {lacking}: {few}trainings of {where} computed on {others[0].run.device}"
    return ""


def _computed_on(used: Mapping[Group, Sequence[Used]], index: Index) -> frozenset[str]:
    """Kinds of devices of the runs, but for arms without a GPU by design."""
    runs = [one.run for group in used.values() for one in group]
    return frozenset(kind_of(run.device) for run in runs if not processor_only(run, index))


def _remarks(used: Mapping[Group, Sequence[Used]], cast: Cast) -> list[str]:
    """What has to be said of the runs of each group, and of how many of them."""
    words = []
    for (role, dataset), runs in used.items():
        counts = Counter(one.remark for one in runs if one.remark)
        where = f"{cast.engine(role)} on {cast.dataset(dataset)}"
        words += [f"{where}: {remark} ({n} of {len(runs)} runs)" for remark, n in counts.items()]
    return words


def _samples(used: Mapping[Group, Sequence[Used]], cast: Cast) -> list[tuple[str, Sample]]:
    """Engine and sample of every group that was trained on the first images only."""
    firsts = [(cast.engine(role), runs[0].sample) for (role, _), runs in used.items()]
    return list(dict.fromkeys((engine, sample) for engine, sample in firsts if sample is not None))


def _too_little(samples: Sequence[tuple[str, Sample]], measure: str) -> str:
    """Why a training on the first images only tells nothing of one on all of them; empty where it does."""
    for engine, sample in samples:
        why = sample.lacks if measure in TIMES else f"'{measure}' of the whole is not known from that"
        if why:
            return f"{engine} trained on {sample.words} only: {why}"
    return ""


def _of_code(claim: Claim, code: Code, instrument: Instrument, index: Index) -> Estimated:
    """The estimate of a claim about lines of code."""
    trainers = counted(code, instrument, index.lines)
    if isinstance(trainers, str):
        return Estimated(claim, instrument, trainers)
    above, below = (line_count(trainer, instrument) for trainer in trainers)
    return Estimated(claim, instrument, found=line_ratio(above, below), counted=trainers)


def _lacks(
    found: Estimate,
    given: Arguments,
    instrument: Instrument,
    used: Mapping[Group, Sequence[Used]],
    cast: Cast,
) -> str:
    """Why there is no interval, with the group that is to blame."""
    role, dataset = min(used, key=lambda group: len(known(used[group])))
    where = f"{cast.engine(role)} on {cast.dataset(dataset)}"
    if found.reason == TOO_FEW:
        return f"{TOO_FEW} with a value: {where}"
    if found.reason == NOTHING:
        column = SOURCES[instrument].get(given.resource or "", given.measure)
        recorded = [one.run.process.missing.get(column) for one in used[role, dataset]]
        why = next(filter(None, recorded), f"nothing recorded gives '{given.taken(instrument)}'")
        return f"column not measured: {column} of {where}: {why}"
    what = given.taken(instrument) + (f" of {given.resource}" if given.resource else "")
    return f"{found.reason}: {what}"


def _family(one: Estimated, estimated: Sequence[Estimated]) -> dict[str, float]:
    """p-values of the claims that are judged together with this one."""
    mine = (one.claim.family, one.instrument)
    return {e.claim.id: e.p for e in estimated if (e.claim.family, e.instrument) == mine}


def _judged(one: Estimated, family: Mapping[str, float], cast: Cast, own_machine: bool) -> Judged:
    given = one.claim.arguments
    demonstration = cast.demonstration(given, one.computed_on) if given else ""
    if one.lacks or one.found is None:
        return Judged(one, "not testable here", _told(one, one.lacks), demonstration)
    tested = sum(not math.isnan(p) for p in family.values())
    p_holm = holm(family)[one.claim.id]
    # Lines are the same on any machine.
    verdict, reason = judge(one.claim, one.found, p_holm, own_machine or one.claim.code is not None)
    if verdict != "inconclusive":
        return Judged(one, verdict, _told(one, reason), demonstration, p_holm, tested)
    # At the strictest level of Holm's correction, so that it does not depend on the rest of the family.
    needed = runs_to_decide(one.found, one.claim.region, ALPHA / tested)
    more = None if needed is None else needed - (one.counts() or 0)
    told = _told(one, f"{reason}; {words_for_more(more)}")
    return Judged(one, verdict, told, demonstration, p_holm, tested, more)


def _told(one: Estimated, reason: str) -> str:
    """The reason, and what has to be said of the values behind the estimate."""
    return "; ".join(filter(None, [reason, *one.remarks]))
