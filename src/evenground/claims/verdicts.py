"""Every claim under every instrument: from what runs measured to verdicts."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from evenground.analysis.index import Index
from evenground.analysis.instruments import Instrument
from evenground.analysis.measured import Measured
from evenground.analysis.pairs import told
from evenground.analysis.planning import MIN_PRECISE
from evenground.analysis.statistics import (
    MIN_PAIRS,
    MIN_RUNS,
    NO_SPREAD,
    NOT_POSITIVE,
    Estimate,
    half_width,
)
from evenground.claims import advice
from evenground.claims.cast import Cast, make_cast
from evenground.claims.causes import idle_time_matters, idle_time_unknown
from evenground.claims.code import line_count, line_ratio
from evenground.claims.estimators import Contrast, estimate
from evenground.claims.evidence import Evidence, Material, Reading
from evenground.claims.inference import Interval, percent
from evenground.claims.judge import (
    AGAINST,
    TOO_FEW,
    UNTESTABLE,
    Judgement,
    Kind,
    Verdict,
    judge,
    other_size,
)
from evenground.claims.looks import Look, look_of
from evenground.claims.model import Claim, Claims
from evenground.claims.words import effect, with_interval


@dataclass(frozen=True)
class Judged:
    """A claim under an instrument: the verdict, and all that it rests on.

    `tolerance`: by what share a size may be off on this machine. `found`: None where nothing was estimated.
    `effect`: the estimate in words with its base. `more_runs`: how many would decide.
    """

    of: Evidence
    verdict: Verdict
    reason: str
    demonstration: str
    tolerance: float
    found: Estimate | None = None
    effect: str = ""
    more_runs: int | None = None

    @property
    def kind(self) -> Kind:
        """What it is; the thesis's instrument sees the same runs, and is no second experiment."""
        if self.of.instrument == "as-published":
            return "instrument"
        return "demonstration" if self.demonstration else "verdict"

    @property
    def words(self) -> str:
        """The verdict as it is shown: what is none says so."""
        if self.verdict in (TOO_FEW, UNTESTABLE):
            return self.verdict
        if self.kind == "instrument":
            return f"the instrument shows: {self.verdict}"
        if self.kind == "demonstration":
            return f"would read: {self.verdict}"
        return self.verdict


@dataclass(frozen=True)
class Context:
    """What all claims of an index are judged with."""

    material: Material
    look: Look
    own_machine: bool

    @property
    def cast(self) -> Cast:
        """Who plays the roles."""
        return self.material.cast


def judge_all(index: Index, measured: Measured, claims: Claims) -> list[Judged]:
    """Every claim under each of its instruments, in their order; `measured` is of the same index.

    Raises EvengroundError for an unknown stand-in, and for looks that contradict the plan.
    """
    material = Material(index, measured, make_cast(index, claims))
    own_machine = claims.machine.is_class(index.machine.class_name)
    context = Context(material, look_of(index), own_machine)
    return [
        judge_one(claim, context, instrument)
        for claim in claims.claims
        for instrument in claim.instruments
    ]


def judge_one(claim: Claim, context: Context, instrument: Instrument) -> Judged:
    """One claim under one instrument."""
    evidence = context.material.evidence(claim, instrument)
    given = claim.arguments
    judged = Judged(
        of=evidence,
        verdict=UNTESTABLE,
        reason=_told(evidence.lacks, evidence),
        demonstration=context.cast.demonstration(given, evidence.computed_on) if given else "",
        tolerance=claim.tolerance_on(context.own_machine),
    )
    if evidence.lacks:
        return judged
    if evidence.counted:
        return _by_lines(judged)
    if too_few := _too_few(evidence):
        more, why = too_few
        found = _without_ends(estimated(evidence, "value", context.look.confidence))
        reason = _told(why, evidence)
        return replace(judged, verdict=TOO_FEW, reason=reason, more_runs=more, found=found)
    return _by_runs(judged, context)


def _by_lines(judged: Judged) -> Judged:
    """Lines are counted: the interval is the value itself, and nothing is left to chance."""
    evidence = judged.of
    above, below = (line_count(trainer, evidence.instrument) for trainer in evidence.counted)
    found = line_ratio(above, below)
    decided = judge(evidence.claim, Interval(found.low, found.high), judged.tolerance)
    return replace(judged, verdict=decided.verdict, reason=decided.reason, found=found)


def _too_few(evidence: Evidence) -> tuple[int, str] | None:
    """How many runs are lacking to judge anything, and why; None where there are enough."""
    paired = evidence.blocks is not None and _is_comparison(evidence)
    if evidence.n >= (MIN_PAIRS if paired else MIN_RUNS):
        return None
    return advice.more_for_few(evidence.n, paired)


def _without_ends(found: Estimate) -> Estimate:
    """The estimate alone: of so few runs an interval would be taken for one that decides."""
    nan = math.nan
    return replace(found, low=nan, high=nan, df=nan, se=nan, spreads=())


def _is_comparison(evidence: Evidence) -> bool:
    """Whether two roles are compared, rather than one looked at by itself."""
    return evidence.claim.arguments is not None and evidence.claim.arguments.over is not None


def _by_runs(judged: Judged, context: Context) -> Judged:
    evidence, claim = judged.of, judged.of.claim
    found = estimated(evidence, "value", context.look.confidence)
    if found.reason:
        return _without_interval(judged, found)
    judged = replace(
        judged, found=found, effect=effect(claim, evidence.instrument, found, context.cast)
    )
    if why := _unreachable(evidence):
        return replace(judged, verdict=UNTESTABLE, reason=_told(why, evidence))
    if context.look.by_precision:
        allowed = _allowed_half_width(claim, found, judged.tolerance)
        if found.half_width > allowed or found.n < MIN_PRECISE:
            more, words = advice.more_for_precision(found, allowed, MIN_PRECISE)
            why = f"{_not_precise(found, allowed)}; {words}"
            return replace(
                judged, verdict="inconclusive", reason=_told(why, evidence), more_runs=more
            )
    decided = read(evidence, "value", context.look.confidence, judged.tolerance)
    decided = _by_cause(decided, judged, context.look.confidence)
    more, words = _advice(decided.verdict, claim, found, judged.tolerance)
    size = other_size(found.value, claim.published) if claim.has_margin else ""
    reason = _told("; ".join(filter(None, [decided.reason, size, words])), evidence)
    return replace(judged, verdict=decided.verdict, reason=reason, more_runs=more)


def _without_interval(judged: Judged, found: Estimate) -> Judged:
    """Of runs whose values give no interval, however many they are."""
    verdict: Verdict = "inconclusive" if found.reason == NO_SPREAD else UNTESTABLE
    given = judged.of.claim.arguments
    assert given is not None
    what = given.taken(judged.of.instrument) + (f" of {given.resource}" if given.resource else "")
    why = f"{found.reason}: {what}" if found.reason == NOT_POSITIVE else found.reason
    return replace(judged, verdict=verdict, reason=_told(why, judged.of), found=found)


def estimated(
    evidence: Evidence, reading: Reading, confidence: float, only: str | None = None
) -> Estimate:
    """The estimate of a claim; of one of its datasets where `only` names it."""
    given = evidence.claim.contrast
    assert given is not None
    if only is not None:
        given = Contrast({group: 1.0 for group in given.weights if group[1] == only}, given.log)
    groups = {group: evidence.sampled(reading, group) for group in given.weights}
    return estimate(given, groups, evidence.blocks, confidence)


def read(evidence: Evidence, reading: Reading, confidence: float, tolerance: float) -> Judgement:
    """The verdict on a claim by one reading of its runs.

    A level over several datasets is claimed of each: it must hold on each, by an interval of its own
    (R. L. Berger, Technometrics 24, 1982: no correction is needed for that), and is contradicted where it is
    on one, then at a level shared among them (Bonferroni).
    """
    claim = evidence.claim
    found = estimated(evidence, reading, confidence)
    whole = judge(claim, Interval(found.low, found.high), tolerance)
    datasets = claim.arguments.datasets if claim.arguments else ()
    if claim.estimator != "level" or len(datasets) < 2 or whole.verdict in AGAINST:
        return whole
    shared = 1 - (1 - confidence) / len(datasets)
    for dataset in datasets:
        own = estimated(evidence, reading, shared, only=dataset)
        alone = judge(claim, Interval(own.low, own.high), tolerance)
        if alone.verdict in AGAINST:
            return Judgement(alone.verdict, f"{dataset} alone: {alone.reason}")
    for dataset in datasets:
        own = estimated(evidence, reading, confidence, only=dataset)
        if not Interval(own.low, own.high).is_within(claim.region):
            return Judgement("inconclusive", f"{dataset} alone: the interval contains the bound")
    return whole


def _by_cause(decided: Judgement, judged: Judged, confidence: float) -> Judgement:
    """The verdict, unless idle time makes the difference: then neither of the two."""
    evidence, found = judged.of, judged.found
    assert found is not None
    if unknown := idle_time_unknown(evidence):
        why = f"idle time of {unknown} of {len(evidence.runs)} runs is not known, nor whether it decides"
        return Judgement(decided.verdict, f"{decided.reason}; {why}")
    without = estimated(evidence, "without_idle", confidence)
    if without.reason:
        return Judgement(decided.verdict, f"{decided.reason}; without idle time: {without.reason}")
    if not idle_time_matters(evidence, found, without):
        return decided
    other = read(evidence, "without_idle", confidence, judged.tolerance)
    shown = with_interval(without.value, without.low, without.high)
    if other.verdict == decided.verdict:
        return Judgement(decided.verdict, f"{decided.reason}; the same without idle time, {shown}")
    why = f"with idle time '{decided.verdict}', without it '{other.verdict}', {shown} (idle_windows.md)"
    return Judgement("depends on a known cause", why)


def _unreachable(evidence: Evidence) -> str:
    """Why the measure could not come to lie on both sides of the bound here; empty where it could."""
    if evidence.claim.estimator != "level":
        return ""
    runs = evidence.runs
    attainable = Interval(min(one.low for one in runs), max(one.high for one in runs))
    region = evidence.claim.region
    if not (attainable.is_within(region) or attainable.is_outside(region)):
        return ""
    unit = "" if evidence.claim.unit == "1" else f" {evidence.claim.unit}"
    return (
        f"{_why_unreachable(evidence)}: whatever they did, it lies between {attainable.low:.4g} and "
        f"{attainable.high:.4g}{unit} here, and the bound is {evidence.claim.bound:g}"
    )


def _why_unreachable(evidence: Evidence) -> str:
    """What kept a measure on one side of its bound."""
    given = evidence.claim.arguments
    if given is None or given.resource != "cpu":
        return "the runs could not reach the other side of the bound"
    if evidence.instrument == "corrected":
        return "the runs were allowed so little of the machine's CPU time"
    up_s = min(one.up_s for one in evidence.runs)
    return f"the machine had been up for {up_s:,.0f} s, and the figure is a mean since then"


def _allowed_half_width(claim: Claim, found: Estimate, tolerance: float) -> float:
    """The half-width at which precision is enough, on the scale of the test.

    It is that of the tolerance, of a level as a share of it; within a margin it must be less than that, too.
    """
    if not found.log:
        return tolerance * max(abs(found.value), claim.bound)
    if claim.direction == "alike":
        return min(math.log1p(tolerance), math.log(claim.bound))
    return math.log1p(tolerance)


def _not_precise(found: Estimate, allowed: float) -> str:
    """That verdicts by precision have to wait, and for what."""
    if found.log:
        now, then = (percent(math.expm1(half)) for half in (found.half_width, allowed))
    else:
        now, then = (f"{half:.2g}" for half in (found.half_width, allowed))
    return (
        f"not precise enough yet: a half-width of {now} with {found.n} repetitions, where it takes {then} "
        f"or less with {MIN_PRECISE} or more"
    )


def _advice(
    verdict: Verdict, claim: Claim, found: Estimate, tolerance: float
) -> tuple[int | None, str]:
    """How many more runs would decide what is open, and in words."""
    if verdict == "inconclusive":
        return advice.more_for_direction(claim, found)
    if verdict == "direction reproduced, size open":
        return advice.more_for_size(claim, found, tolerance)
    return None, ""


def _told(reason: str, evidence: Evidence) -> str:
    """The reason, and what has to be said of the values behind the estimate and of those left out."""
    left_out = f"left out: {told(evidence.dropped)}" if evidence.dropped else ""
    return "; ".join(filter(None, [reason, *evidence.remarks, left_out]))


def in_prediction(found: Estimate, published: float, runs: int) -> bool:
    """Whether a second experiment like this one, of so many runs, would be expected to give `published`.

    The published spread is not known and is taken to be ours. Only a "no" says something: at a wide spread
    the interval holds nearly everything. Source: J. R. Spence, D. J. Stanley, doi 10.1177/25152459231217932.
    """
    scaled = math.log(published) if found.log else published
    se = math.sqrt(found.se**2 + math.fsum(found.spreads) / runs)
    return abs(found.centre - scaled) <= half_width(found.df, se, found.level)
