"""The files of the verdicts: two tables, and everything they rest on as JSON."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from evenground.analysis.captions import machines_of
from evenground.analysis.columns import (
    UNIT,
    number,
    text,
    whole,
)
from evenground.analysis.experiment import Experiment, alone, with_lead
from evenground.analysis.groups import INVALID, WARNED
from evenground.analysis.measured import Measured
from evenground.analysis.pairs import told
from evenground.analysis.statistics import Estimate, summarise
from evenground.analysis.table import Table, frame_of, write_table
from evenground.claims.agreement import agreement_table
from evenground.claims.arithmetic import arithmetic
from evenground.claims.estimators import Contrast, Group
from evenground.claims.evidence import Evidence, Used
from evenground.claims.inference import plural
from evenground.claims.judge import NOT_JUDGED, UNDECIDED, VERDICTS
from evenground.claims.looks import look_of
from evenground.claims.model import Claim, Source
from evenground.claims.published import Number
from evenground.claims.verdicts import Judged, in_prediction, judge_all
from evenground.claims.words import ends, with_interval
from evenground.records import verdicts as records
from evenground.records.index import Condition, Index
from evenground.records.table import TableColumn
from evenground.records.verdicts import ConditionVerdicts, Look, Row, RunBehind, Verdicts

NOTE = "The rule is in docs/claims.md. Where a column speaks of null, the cell is empty."
# Columns of the table with every digit: from `claim` to `reason`, text unless named below.
_FIELDS = list(Row.model_fields)
_TABLE = _FIELDS[_FIELDS.index("claim") : _FIELDS.index("reason") + 1]
_WHOLE = ("published_n", "n_a", "n_b", "pairs", "n_invalid", "n_warned", "more_runs")
_SHARES = ("confidence", "tolerance", "cv_a", "cv_b", "idle_a", "idle_b")
_IN_UNIT = ("estimate", "low", "high", "published", "published_low", "published_high")


def _column(name: str) -> TableColumn:
    meaning = Row.model_fields[name].description or ""
    if name in _WHOLE:
        return whole(name, meaning)
    if name in _SHARES:
        return number(name, "", meaning)
    if name in _IN_UNIT:
        return number(name, UNIT, meaning)
    return text(name, meaning)


TABLE = tuple(_column(name) for name in _TABLE)
READABLE = (
    text("claim", "Claim and part."),
    text(
        "instrument",
        "`corrected` is ours; `as-published` takes the numbers of the same runs as the thesis took "
        "them, and is no second experiment.",
    ),
    text("verdict", "What is no verdict on the claim says so."),
    text("published", "The published value."),
    text("estimate", "A ratio of geometric means, or of one role a mean, with the interval."),
    text("effect", "What the estimate says, in words."),
    text("runs", "Complete pairs, or runs above and below the line of a ratio."),
    text("CV", "Coefficient of variation above and below the line."),
    text("idle", "Mean share of the training in which nothing was computed."),
    text("flagged", "Runs with a finding (table `quality`)."),
    text("demonstration", "What makes it a demonstration; empty if it is none."),
    text("reason", "Why it is so."),
)
# What of a claim is beside its verdict.
_CLAIMED = {"section", "statement", "unit", "estimator", "arguments", "code", "direction", "bound"}
_CLAIMED |= {"follows_from", "tolerance_elsewhere", "because", "needs", "untestable"}
_NO_ESTIMATE = Estimate(level=math.nan)


def write_verdicts(
    index: Index,
    measured: Measured,
    source: Source,
    tables: Path,
    record: Path,
) -> Verdicts:
    """Write the tables of verdicts and arithmetic into `tables`, all behind them to `record`.

    Raises EvengroundError as `judge_all` does.
    """
    experiment = alone(index)
    judged = judge_experiment(experiment, measured, source)
    for table, shown in verdict_tables(experiment, judged, source):
        write_table(table, tables, shown)
    write_table(arithmetic(source.numbers), tables)
    verdicts = Verdicts(
        sources=source.sha256,
        deployment=index.first.deployment,
        conditions=tuple(judged),
    )
    verdicts.write(record)
    return verdicts


def judge_experiment(
    experiment: Experiment, measured: Measured, source: Source
) -> list[ConditionVerdicts]:
    """Return the verdicts of each condition; raises EvengroundError as `judge_all` does."""
    verdicts = []
    for placed in experiment.conditions:
        own, lines = measured.of(placed), placed.index.lines
        judged = judge_all(placed.condition, own, source.claims, lines)
        verdicts.append(verdicts_of(placed.condition, source, judged))
    return verdicts


def verdict_tables(
    experiment: Experiment, judged: Sequence[ConditionVerdicts], source: Source
) -> list[tuple[Table, Table | None]]:
    """Return the tables `verdicts`, with what is shown of it, and `agreement`."""
    notes = _notes(experiment, judged, source)
    exact, readable = [], []
    for placed, verdicts in zip(experiment.conditions, judged, strict=True):
        rows = [row.model_dump(include=set(_TABLE)) for row in verdicts.verdicts]
        exact.append(with_lead(frame_of(rows, TABLE), placed))
        words = [_readable(row) for row in verdicts.verdicts]
        readable.append(with_lead(frame_of(words, READABLE), placed))
    table = Table(
        name="verdicts",
        title="Verdicts on the claims of the thesis",
        columns=experiment.columns(TABLE),
        rows=experiment.joined(exact, TABLE),
        notes=notes,
        hidden=experiment.hidden,
    )
    # Only the digits that the interval has, and related values in one cell.
    shown = replace(
        table,
        columns=experiment.columns(READABLE),
        rows=experiment.joined(readable, READABLE),
    )
    return [(table, shown), (agreement_table(experiment, judged), None)]


def _notes(
    experiment: Experiment, judged: Sequence[ConditionVerdicts], source: Source
) -> tuple[str, ...]:
    notes = [NOTE, machines_of(experiment)]
    for machine in experiment.machines:
        if not source.claims.machine.is_class(machine.class_name):
            other = f"`{machine.class_name}` is not the claims' class of machine"
            notes.append(f"{other}: `tolerance_elsewhere` counts.")
    # Of several conditions the page counts the verdicts.
    return (*judged[0].summary, *notes) if len(judged) == 1 else tuple(notes)


def _readable(row: Row) -> dict[str, str]:
    return {
        "claim": row.id,
        "instrument": row.instrument,
        "verdict": row.verdict,
        "published": row.published_words,
        "estimate": row.estimate_words,
        "effect": row.effect,
        "runs": row.runs_words,
        "CV": row.cv_words,
        "idle": row.idle_words,
        "flagged": row.flagged_words,
        "demonstration": row.demonstration,
        "reason": row.reason,
    }


def _judgement(judged: Judged, source: Source) -> dict[str, Any]:
    """Return verdict, estimate and published value."""
    evidence = judged.evidence
    claim = evidence.claim
    estimate = judged.estimate or _NO_ESTIMATE
    name, _, part = claim.id.partition("-")
    low, high = published_range(claim, source.numbers)
    scale = None
    if judged.estimate:
        scale = "logarithms" if estimate.log else "as measured"
    return {
        "id": claim.id,
        "claim": name,
        "part": part,
        "instrument": evidence.instrument,
        "verdict": judged.label,
        "effect": judged.effect,
        "estimate": estimate.value,
        "low": estimate.low,
        "high": estimate.high,
        # Lines of code have an estimate that rests on no runs: nothing of it is left to chance.
        "confidence": estimate.level if evidence.runs else math.nan,
        "published": claim.published,
        "published_low": low,
        "published_high": high,
        "published_n": published_runs(claim, source.numbers),
        "in_prediction": _in_prediction(claim, estimate, source),
        "tolerance": judged.tolerance if claim.same_size(judged.tolerance) else math.nan,
        "more_runs": judged.more_runs,
        "demonstration": judged.demonstration,
        "reason": judged.reason,
        "kind": judged.kind,
        "reading": judged.verdict,
        "df": estimate.df,
        "centre": estimate.centre,
        "se": estimate.se,
        "scale": scale,
    }


def _runs_columns(evidence: Evidence) -> dict[str, Any]:
    """Return how many runs the estimate rests on, their spread, idle time and findings."""
    above: list[list[Used]] = []
    below: list[list[Used]] = []
    arguments = evidence.claim.arguments
    if arguments:
        above = evidence.of_role(arguments.of)
        below = evidence.of_role(arguments.over)
    # Blocks of one role are no pairs.
    is_paired = evidence.blocks is not None and below
    return {
        "method": _method(evidence),
        "pairs": evidence.n if is_paired else None,
        "n_a": _smallest(above),
        "n_b": _smallest(below),
        "cv_a": _variation(above),
        "cv_b": _variation(below),
        "idle_a": _idle(above),
        "idle_b": _idle(below),
        "n_invalid": evidence.flagged(INVALID),
        "n_warned": evidence.flagged(WARNED),
    }


def _method(evidence: Evidence) -> str:
    """Return how the estimate was made; empty if there is none."""
    if evidence.counted:
        return "counted"
    if evidence.blocks is not None:
        return "blocks"
    if evidence.used:
        return "welch"
    return ""


def _smallest(datasets: Sequence[Sequence[Used]]) -> int | None:
    """Return the number of runs of a role on the dataset that has the fewest."""
    return min((len(runs) for runs in datasets), default=None)


def _variation(datasets: Sequence[Sequence[Used]]) -> float:
    """Return the coefficient of variation of a role's values, the largest of its datasets."""
    variations = [summarise([run.value for run in runs]).variation for runs in datasets]
    return max((value for value in variations if not math.isnan(value)), default=math.nan)


def _idle(datasets: Sequence[Sequence[Used]]) -> float:
    """Return the mean idle share of a role's runs; NaN unless it is known of all."""
    shares: list[float] = []
    for runs in datasets:
        shares.extend(run.idle_share for run in runs)
    if not shares:
        return math.nan
    return math.fsum(shares) / len(shares)


def published_range(claim: Claim, numbers: Mapping[str, Number]) -> tuple[float, float]:
    """Return the values that the published one may have had before its numbers were rounded.

    NaN for counts, and for claims without a published value.
    """
    contrast = claim.contrast
    if claim.published is None or contrast is None:
        return math.nan, math.nan
    stated = [numbers[name] for name in claim.follows_from]
    return _rounded_by(contrast, stated, -1), _rounded_by(contrast, stated, 1)


def _rounded_by(contrast: Contrast, stated: Sequence[Number], sign: int) -> float:
    """Return the least (-1) or the greatest (1) value before the numbers were rounded."""
    values: dict[Group, float] = {}
    for (group, weight), one in zip(contrast.weights.items(), stated, strict=True):
        # A number with a negative weight has to be smaller for a greater value.
        values[group] = float(one.value) + sign * math.copysign(one.half_digit, weight)
    return contrast.of_one(values)


def published_runs(claim: Claim, numbers: Mapping[str, Number]) -> int | None:
    """Return how many runs stand behind each published number; None unless it is known of all."""
    counts = []
    for name in claim.follows_from:
        runs = numbers[name].runs
        if runs is None:
            return None
        counts.append(runs)
    return min(counts, default=None)


def _in_prediction(claim: Claim, estimate: Estimate, source: Source) -> str:
    """Return "yes" or "no"; empty unless there are an interval, its runs and a published value."""
    runs = published_runs(claim, source.numbers)
    if math.isnan(estimate.low) or not estimate.spreads:
        return ""
    if claim.published is None or runs is None:
        return ""
    return "yes" if in_prediction(estimate, claim.published, runs) else "no"


def _words(judged: Judged, source: Source, runs: Mapping[str, Any]) -> dict[str, str]:
    """Return the numbers as a table for reading has them; `runs`: the columns of the runs."""
    estimate = judged.estimate or _NO_ESTIMATE
    return {
        "published_words": published_text(judged.evidence.claim, source.numbers),
        "estimate_words": with_interval(estimate.value, estimate.low, estimate.high),
        "runs_words": _runs_text(runs),
        "CV_words": _percents(runs["cv_a"], runs["cv_b"]),
        "idle_words": _percents(runs["idle_a"], runs["idle_b"]),
        "flagged_words": _flagged_text(runs),
    }


def published_text(claim: Claim, numbers: Mapping[str, Number]) -> str:
    """Return the published value, the range before rounding and the number of runs."""
    if claim.published is None:
        return ""
    details = []
    low, high = published_range(claim, numbers)
    if not math.isnan(low):
        details.append(f"{ends(low, high)} by rounding")
    runs = published_runs(claim, numbers)
    if runs:
        details.append(f"n = {runs}")
    value = f"{claim.published:g}{claim.unit_suffix}"
    if not details:
        return value
    return f"{value} ({', '.join(details)})"


def _runs_text(runs: Mapping[str, Any]) -> str:
    if runs["pairs"] is not None:
        return f"{runs['pairs']} pairs"
    counts = [str(runs[name]) for name in ("n_a", "n_b") if runs[name]]
    return " and ".join(counts)


def _percents(above: float, below: float) -> str:
    """Return the shares of both roles in percent, without a missing one."""
    return " and ".join(f"{100 * share:.2g} %" for share in (above, below) if not math.isnan(share))


def _flagged_text(runs: Mapping[str, Any]) -> str:
    states = [state for state in (INVALID, WARNED) if runs[f"n_{state}"]]
    return ", ".join(f"{runs[f'n_{state}']} {state}" for state in states)


def summary(judged: Sequence[Judged], look: Look) -> list[str]:
    """Return paragraphs: the verdicts of each kind, what chance decides, and which look it is."""
    verdicts = [one for one in judged if one.kind == "verdict"]
    kinds = Counter(one.kind for one in judged if one.verdict not in NOT_JUDGED)
    counts = Counter(one.verdict for one in verdicts)
    counted = [f"{counts[verdict]} {verdict}" for verdict in VERDICTS if counts[verdict]]
    shown = "; ".join(counted) or "none"
    paragraphs = [f"**Verdicts**: {shown}. {by_chance(verdicts, look)}"]
    if kinds["demonstration"]:
        rows = plural(kinds["demonstration"], "row")
        paragraphs.append(
            f"**Demonstrations** ({rows}): what would be read of the claim if what stands in for "
            "it were it. They are no test of it, and are not counted."
        )
    if kinds["instrument"]:
        rows = plural(kinds["instrument"], "row")
        paragraphs.append(
            f"**As published** ({rows}): what the thesis's instrument shows of the same runs. That "
            "is no second experiment, and is not counted."
        )
    paragraphs.append(f"**Looks**: {look.words}")
    return paragraphs


def by_chance(verdicts: Sequence[Judged], look: Look) -> str:
    """Return how many questions are decided wrongly by chance, at most, if no claim is true.

    Claims with one question share one decision, and counted lines of code have no chance.
    """
    tested = [one for one in verdicts if one.verdict not in NOT_JUDGED and not one.evidence.counted]
    questions = len({one.evidence.claim.question for one in tested})
    if not questions:
        return "None of them rests on runs: nothing is decided by chance."
    decided = sum(one.verdict not in UNDECIDED for one in tested)
    expected = questions * look.error_pct / 100
    were = "was" if len(tested) == 1 else "were"
    are = "is" if decided == 1 else "are"
    return (
        f"{plural(len(tested), 'claim')} {were} tested by {plural(questions, 'question')}; "
        f"{decided} {are} decided. At {look.error_pct:.3g} % each, expect at most {expected:.2g} "
        "wrong decisions among them by chance. No verdict depends on what else was tested."
    )


def verdicts_of(
    condition: Condition, source: Source, judged: Sequence[Judged]
) -> ConditionVerdicts:
    """Return what `verdicts.json` has of a condition."""
    look = look_of(condition)
    runs = _runs(judged)
    numbers = {run.path: number for number, run in enumerate(runs)}
    return ConditionVerdicts(
        machine=condition.machine.class_name,
        values=condition.values,
        stand_ins=condition.report.stand_ins,
        design=condition.report.design,
        look=look,
        summary=tuple(summary(judged, look)),
        verdicts=tuple(_row(one, source, numbers) for one in judged),
        runs=tuple(runs),
    )


def _row(judged: Judged, source: Source, numbers: Mapping[str, int]) -> Row:
    """Return a verdict with the claim, the estimate and every run behind it.

    `numbers`: path of a run -> its number in the list of all runs.
    """
    evidence = judged.evidence
    claim = evidence.claim
    runs = _runs_columns(evidence)
    content = _judgement(judged, source) | runs | _words(judged, source, runs)
    content |= claim.model_dump(include=_CLAIMED)
    content["groups"] = tuple(_group(evidence, group, numbers) for group in evidence.used)
    content["left_out"] = told(evidence.dropped)
    content["counted"] = evidence.counted
    content["region"] = (claim.region.low, claim.region.high)
    same_size = claim.same_size(judged.tolerance)
    content["same_size"] = (same_size.low, same_size.high) if same_size else None
    return Row.model_validate(content)


def _group(evidence: Evidence, group: Group, numbers: Mapping[str, int]) -> records.Group:
    """Return a group of runs with the values of each, and those the estimate does not rest on."""
    role, dataset = group
    runs = evidence.used[group]
    counting = {run.wanted.repetition for run in evidence.counting(group)}
    repetitions = [run.wanted.repetition for run in runs]
    examples = None
    if runs and runs[0].sample:
        examples = runs[0].sample.examples
    return records.Group(
        role=role,
        dataset_of_claim=dataset,
        runs=tuple(numbers[str(run.wanted.path)] for run in runs),
        values=tuple(run.value for run in runs),
        without_idle=tuple(run.without_idle for run in runs),
        resolution=evidence.sampled("value", group).resolution,
        repetitions_left_out=tuple(number for number in repetitions if number not in counting),
        extrapolated_from_examples=examples,
    )


def _runs(judged: Sequence[Judged]) -> list[RunBehind]:
    """Return every run behind any verdict, once."""
    wanted = {}
    for one in judged:
        for runs in one.evidence.used.values():
            for run in runs:
                wanted[run.wanted.path] = run.wanted
    return [RunBehind.model_validate(run, from_attributes=True) for run in wanted.values()]
