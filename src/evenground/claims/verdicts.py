"""Every claim under every instrument: from what runs measured to verdicts."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from evenground.analysis.instruments import INSTRUMENTS
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
from evenground.claims.cast import make_cast
from evenground.claims.causes import idle_time_matters, idle_time_unknown
from evenground.claims.code import line_count, line_ratio
from evenground.claims.estimators import Contrast, estimate_contrast
from evenground.claims.evidence import Evidence, Material, Reading
from evenground.claims.inference import Interval, percent
from evenground.claims.judge import (
    AGAINST,
    NOT_JUDGED,
    TOO_FEW,
    UNTESTABLE,
    Judgement,
    judge,
    other_size,
)
from evenground.claims.looks import look_of
from evenground.claims.model import Claim, Claims
from evenground.claims.words import effect, with_interval
from evenground.records.index import CodeLines, Condition
from evenground.records.verdicts import Instrument, Kind, Look, Verdict


@dataclass(frozen=True)
class Judged:
    """A claim under an instrument: the verdict, and everything that it rests on."""

    evidence: Evidence
    verdict: Verdict
    reason: str
    # What makes it a demonstration; empty if it is none.
    demonstration: str
    # Share by which a size may be off on this machine.
    tolerance: float
    # None if nothing was estimated.
    estimate: Estimate | None = None
    # The estimate as a sentence, with its base.
    effect: str = ""
    # How many more runs would decide; None if no number can be given.
    more_runs: int | None = None

    @property
    def kind(self) -> Kind:
        """What it is; the thesis's instrument sees the same runs, and is no second experiment."""
        if self.evidence.instrument == "as-published":
            return "instrument"
        if self.demonstration:
            return "demonstration"
        return "verdict"

    @property
    def label(self) -> str:
        """The verdict as it is shown; demonstrations and the instrument's are marked."""
        if self.verdict in NOT_JUDGED or self.kind == "verdict":
            return self.verdict
        if self.kind == "instrument":
            return f"the instrument shows: {self.verdict}"
        return f"would read: {self.verdict}"


@dataclass(frozen=True)
class Context:
    """What all claims of a condition are judged with."""

    material: Material
    look: Look
    # Whether the runs were made on the claims' class of machine.
    own_machine: bool


def judge_all(
    condition: Condition, measured: Measured, claims: Claims, lines: CodeLines | None
) -> list[Judged]:
    """Judge every claim under each instrument, in their order.

    `measured` is that of the condition, `lines` are those of its index. Raises EvengroundError for
    an unknown stand-in, and for a look that was not planned.
    """
    context = Context(
        material=Material(condition, measured, make_cast(condition, claims), lines),
        look=look_of(condition),
        own_machine=claims.machine.is_class(condition.machine.class_name),
    )
    judged = []
    for claim in claims.claims:
        for instrument in INSTRUMENTS:
            judged.append(judge_one(claim, context, instrument))
    return judged


def judge_one(claim: Claim, context: Context, instrument: Instrument) -> Judged:
    """Judge one claim under one instrument."""
    evidence = context.material.evidence(claim, instrument)
    demonstration = ""
    if claim.arguments:
        cast = context.material.cast
        demonstration = cast.demonstration(claim.arguments, evidence.computed_on)
    judged = Judged(
        evidence=evidence,
        verdict=UNTESTABLE,
        reason=evidence.missing,
        demonstration=demonstration,
        tolerance=claim.tolerance_on(context.own_machine),
    )
    if evidence.missing:
        return judged
    if evidence.counted:
        return _by_lines(judged)
    estimate = estimated(evidence, "value", context.look.confidence)
    paired = evidence.blocks is not None and claim.is_ratio
    minimum = MIN_PAIRS if paired else MIN_RUNS
    if evidence.n < minimum:
        more, why = advice.more_for_few(evidence.n, paired)
        # Of so few runs an interval would be taken for one that decides.
        nan = math.nan
        estimate = replace(estimate, low=nan, high=nan, df=nan, se=nan, spreads=())
        return _decided(replace(judged, estimate=estimate), TOO_FEW, why, more)
    return _by_runs(judged, estimate, context)


def _decided(judged: Judged, verdict: Verdict, reason: str, more: int | None = None) -> Judged:
    """Add a verdict and its reason, with what a reader has to know of the values."""
    evidence = judged.evidence
    reasons = [reason]
    reasons.extend(evidence.remarks)
    if evidence.dropped:
        reasons.append(f"left out: {told(evidence.dropped)}")
    return replace(judged, verdict=verdict, reason="; ".join(reasons), more_runs=more)


def _by_lines(judged: Judged) -> Judged:
    """Judge counted lines of code: the interval is the value itself, nothing is left to chance."""
    evidence = judged.evidence
    above, below = evidence.counted
    instrument = evidence.instrument
    estimate = line_ratio(line_count(above, instrument), line_count(below, instrument))
    judgement = judge(evidence.claim, _interval(estimate), judged.tolerance)
    return _decided(replace(judged, estimate=estimate), judgement.verdict, judgement.reason)


def _by_runs(judged: Judged, estimate: Estimate, context: Context) -> Judged:
    """Judge an estimate of enough runs."""
    evidence = judged.evidence
    claim = evidence.claim
    judged = replace(judged, estimate=estimate)
    if estimate.reason:
        return _without_interval(judged, estimate)
    text = effect(claim, evidence.instrument, estimate, context.material.cast)
    judged = replace(judged, effect=text)
    unreachable = _unreachable(evidence)
    if unreachable:
        return _decided(judged, UNTESTABLE, unreachable)
    if context.look.by_precision:
        allowed = _allowed_half_width(claim, estimate, judged.tolerance)
        if estimate.half_width > allowed or estimate.n < MIN_PRECISE:
            more, why = advice.more_for_precision(estimate, allowed, MIN_PRECISE)
            reason = f"{_not_precise(estimate, allowed)}; {why}"
            return _decided(judged, "inconclusive", reason, more)
    judgement = _by_cause(judged, estimate)
    reasons = [judgement.reason]
    if claim.has_margin:
        reasons.append(other_size(estimate.value, claim.published))
    more, how_many = _advice(judgement.verdict, claim, estimate, judged.tolerance)
    reasons.append(how_many)
    return _decided(judged, judgement.verdict, "; ".join(filter(None, reasons)), more)


def _without_interval(judged: Judged, estimate: Estimate) -> Judged:
    """Judge runs whose values give no interval, however many they are."""
    if estimate.reason == NO_SPREAD:
        return _decided(judged, "inconclusive", estimate.reason)
    reason = estimate.reason
    arguments = judged.evidence.claim.arguments
    assert arguments is not None
    if reason == NOT_POSITIVE:
        reason += f": {arguments.measure_under(judged.evidence.instrument)}"
        if arguments.resource:
            reason += f" of {arguments.resource}"
    return _decided(judged, UNTESTABLE, reason)


def estimated(
    evidence: Evidence, reading: Reading, confidence: float, dataset: str | None = None
) -> Estimate:
    """Return the estimate of a claim, or that of one of its datasets by itself."""
    contrast = evidence.claim.contrast
    assert contrast is not None
    if dataset is not None:
        weights = {group: 1.0 for group in contrast.weights if group[1] == dataset}
        contrast = Contrast(weights=weights, log=contrast.log)
    groups = {group: evidence.sampled(reading, group) for group in contrast.weights}
    return estimate_contrast(contrast, groups, evidence.blocks, confidence)


def judge_reading(
    evidence: Evidence, reading: Reading, confidence: float, tolerance: float
) -> Judgement:
    """Return the verdict on a claim by one reading of its runs.

    A level over several datasets is claimed of each: it must hold on each, by an interval of its
    own (R. L. Berger, Technometrics 24, 1982: that needs no correction), and is contradicted if it
    is on one of them, at a level shared among them (Bonferroni).
    """
    claim = evidence.claim
    estimate = estimated(evidence, reading, confidence)
    overall = judge(claim, _interval(estimate), tolerance)
    datasets = claim.arguments.datasets if claim.arguments else ()
    if claim.is_ratio or len(datasets) < 2 or overall.verdict in AGAINST:
        return overall
    shared = 1 - (1 - confidence) / len(datasets)
    for dataset in datasets:
        alone = estimated(evidence, reading, shared, dataset)
        judgement = judge(claim, _interval(alone), tolerance)
        if judgement.verdict in AGAINST:
            return replace(judgement, reason=f"{dataset} alone: {judgement.reason}")
    for dataset in datasets:
        alone = estimated(evidence, reading, confidence, dataset)
        if not _interval(alone).is_within(claim.region):
            return Judgement("inconclusive", f"{dataset} alone: the interval contains the bound")
    return overall


def _by_cause(judged: Judged, estimate: Estimate) -> Judgement:
    """Return the verdict of the values as measured, unless idle time decides it."""
    evidence = judged.evidence
    confidence = estimate.level
    judgement = judge_reading(evidence, "value", confidence, judged.tolerance)
    unknown = idle_time_unknown(evidence)
    without = estimated(evidence, "without_idle", confidence)
    if unknown:
        why = (
            f"idle time of {unknown} of {len(evidence.runs)} runs is not known, nor whether it "
            "decides"
        )
    elif without.reason:
        why = f"without idle time: {without.reason}"
    elif not idle_time_matters(evidence, estimate, without):
        return judgement
    else:
        other = judge_reading(evidence, "without_idle", confidence, judged.tolerance)
        interval = with_interval(without.value, without.low, without.high)
        if other.verdict != judgement.verdict:
            why = (
                f"with idle time '{judgement.verdict}', without it '{other.verdict}', {interval} "
                "(idle_windows.md)"
            )
            return Judgement("depends on a known cause", why)
        why = f"the same without idle time, {interval}"
    return replace(judgement, reason=f"{judgement.reason}; {why}")


def _unreachable(evidence: Evidence) -> str:
    """Return why a level could not lie on both sides of the bound here; empty if it could."""
    claim = evidence.claim
    if claim.is_ratio:
        return ""
    runs = evidence.runs
    attainable = Interval(min(run.low for run in runs), max(run.high for run in runs))
    if not (attainable.is_within(claim.region) or attainable.is_outside(claim.region)):
        return ""
    return (
        f"{_why_unreachable(evidence)}: whatever they did, it lies between {attainable.low:.4g} "
        f"and {attainable.high:.4g}{claim.unit_suffix} here, and the bound is {claim.bound:g}"
    )


def _why_unreachable(evidence: Evidence) -> str:
    """Return what kept a measure on one side of its bound."""
    arguments = evidence.claim.arguments
    if arguments is None or arguments.resource != "cpu":
        return "the runs could not reach the other side of the bound"
    if evidence.instrument == "corrected":
        return "the runs were allowed so little of the machine's CPU time"
    up_s = min(run.up_s for run in evidence.runs)
    return f"the machine had been up for {up_s:,.0f} s, and the figure is a mean since then"


def _allowed_half_width(claim: Claim, estimate: Estimate, tolerance: float) -> float:
    """Return the half-width at which precision is enough, on the scale of the test.

    It is that of the tolerance, of a level as a share of it.
    """
    if not estimate.log:
        return tolerance * max(abs(estimate.value), claim.bound)
    # A wider interval than the margin could never lie within it.
    if claim.direction == "alike":
        return min(math.log1p(tolerance), math.log(claim.bound))
    return math.log1p(tolerance)


def _not_precise(estimate: Estimate, allowed: float) -> str:
    """Return the reason of a verdict that waits for precision."""
    width, allowed_width = f"{estimate.half_width:.2g}", f"{allowed:.2g}"
    if estimate.log:
        width = percent(math.expm1(estimate.half_width))
        allowed_width = percent(math.expm1(allowed))
    return (
        f"not precise enough yet: a half-width of {width} with {estimate.n} repetitions, where it "
        f"takes {allowed_width} or less with {MIN_PRECISE} or more"
    )


def _interval(estimate: Estimate) -> Interval:
    return Interval(estimate.low, estimate.high)


def _advice(verdict: Verdict, claim: Claim, estimate: Estimate, tolerance: float) -> advice.Advice:
    """Return how many more runs would decide what is open, and the same as text."""
    if verdict == "inconclusive":
        return advice.more_for_direction(claim, estimate)
    if verdict == "direction reproduced, size open":
        return advice.more_for_size(claim, estimate, tolerance)
    return None, ""


def in_prediction(estimate: Estimate, published: float, runs: int) -> bool:
    """Whether a second experiment like this one would be expected to give `published`.

    `runs`: how many runs that experiment has. The published spread is unknown and taken to be ours.
    Only "no" is informative: with a wide spread the interval holds nearly everything. Source:
    J. R. Spence, D. J. Stanley, doi 10.1177/25152459231217932.
    """
    scaled = published
    if estimate.log:
        scaled = math.log(published)
    se = math.sqrt(estimate.se**2 + math.fsum(estimate.spreads) / runs)
    return abs(estimate.centre - scaled) <= half_width(estimate.df, se, estimate.level)
