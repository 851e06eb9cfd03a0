"""The files of the verdicts: two tables, and everything they rest on as JSON."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd

from evenground.analysis.files import plain, write_csv, write_markdown
from evenground.analysis.groups import INVALID, WARNED
from evenground.analysis.index import Index
from evenground.analysis.measured import Measured
from evenground.analysis.pairs import told
from evenground.analysis.statistics import Estimate, summarise
from evenground.claims.agreement import SCHEMA
from evenground.claims.arithmetic import arithmetic
from evenground.claims.estimators import Contrast, Group
from evenground.claims.evidence import Evidence, Used
from evenground.claims.judge import NOT_JUDGED, UNDECIDED, VERDICTS
from evenground.claims.looks import Look, look_of
from evenground.claims.model import Claim, Source
from evenground.claims.published import Number
from evenground.claims.verdicts import Judged, in_prediction, judge_all
from evenground.claims.words import ends, with_interval
from evenground.files import write_json

NOTE = (
    "The rule is in docs/claims.md. `instrument`: `corrected` is ours; `as-published` takes the numbers of "
    "the same runs as the thesis took them, and is no second experiment. `estimate`: a ratio of geometric "
    "means, or of one role a mean, with the interval that decides. `runs`: complete pairs, or runs above and "
    "below the line. `CV`: coefficient of variation above and below the line. `idle`: mean share of the "
    "training in which nothing was computed. `flagged`: runs with a finding (`quality.md`). A dash is "
    "missing, not zero."
)
_ARITHMETIC = (
    "What the thesis derives from its own published numbers (data/published/thesis-2022.csv), computed "
    "again. `agrees`: within the rounding of the last digit stated. No run of ours is in it."
)
_WHOLE = ("published_n", "n_a", "n_b", "pairs", "n_invalid", "n_warned", "more_runs")


def write_verdicts(
    index: Index, measured: Measured, source: Source, tables: Path, record: Path
) -> list[Judged]:
    """Write verdicts and arithmetic as CSV and Markdown into `tables`, and all behind them to `record`.

    Raises EvengroundError as by `judge_all`.
    """
    judged = judge_all(index, measured, source.claims)
    rows = [row(one, source) for one in judged]
    write_csv(verdict_table(rows), tables / "verdicts.csv")
    note = "\n\n".join([*summary(judged, look_of(index)), NOTE, _machine(index, source)])
    told_of = pd.DataFrame(
        readable(one, exact, source) for one, exact in zip(judged, rows, strict=True)
    )
    write_markdown(told_of, "Verdicts on the claims of the thesis", note, tables / "verdicts.md")
    checked = arithmetic(source.numbers)
    write_csv(checked, tables / "arithmetic.csv")
    write_markdown(checked, "The thesis's own arithmetic", _ARITHMETIC, tables / "arithmetic.md")
    write_json(record, as_json(index, source, judged))
    return judged


def verdict_table(rows: Sequence[Mapping[str, object]]) -> pd.DataFrame:
    """One row per claim part and instrument; a missing number is NaN beside its reason."""
    return pd.DataFrame(rows).astype(dict.fromkeys(_WHOLE, "Int64"))


def row(one: Judged, source: Source) -> dict[str, object]:
    """A row of the table, with every digit."""
    claim, found = one.of.claim, one.found
    name, _, part = claim.id.partition("-")
    low, high = published_range(claim, source.numbers)
    return {
        "claim": name,
        "part": part,
        "instrument": one.of.instrument,
        "verdict": one.words,
        "effect": one.effect,
        "estimate": found.value if found else math.nan,
        "low": found.low if found else math.nan,
        "high": found.high if found else math.nan,
        "confidence": found.level if found and one.of.runs else math.nan,
        "unit": claim.unit,
        "published": math.nan if claim.published is None else claim.published,
        "published_low": low,
        "published_high": high,
        "published_n": published_runs(claim, source.numbers),
        "in_prediction": _in_prediction(one, source),
        "tolerance": one.tolerance if claim.same_size(one.tolerance) else math.nan,
        **_runs_columns(one.of),
        "more_runs": one.more_runs,
        "demonstration": one.demonstration,
        "reason": one.reason,
    }


def _runs_columns(of: Evidence) -> dict[str, object]:
    """How many runs the estimate rests on, how they spread, waited and were flagged."""
    given = of.claim.arguments
    over = given.over if given else None
    above, below = of.of_role(given.of if given else None), of.of_role(over)
    return {
        "method": _method(of),
        "pairs": of.n if of.blocks is not None and over else None,
        "n_a": _count(of, given.of) if given and of.used else None,
        "n_b": _count(of, over) if over and of.used else None,
        "cv_a": _variation(of, given.of if given else None),
        "cv_b": _variation(of, over),
        "idle_a": _idle(above),
        "idle_b": _idle(below),
        "n_invalid": of.flagged(INVALID) if of.used else None,
        "n_warned": of.flagged(WARNED) if of.used else None,
    }


def _method(of: Evidence) -> str:
    if of.counted:
        return "counted"
    if not of.used:
        return ""
    return "welch" if of.blocks is None else "blocks"


def _count(of: Evidence, role: str) -> int:
    """Runs of a role that count, the fewest of its datasets."""
    return min(len(of.counting(group)) for group in of.used if group[0] == role)


def _variation(of: Evidence, role: str | None) -> float:
    """Coefficient of variation of a role's values, the largest of its datasets."""
    groups = [group for group in of.used if group[0] == role]
    found = [summarise([one.value for one in of.counting(group)]).variation for group in groups]
    known = [value for value in found if not math.isnan(value)]
    return max(known, default=math.nan)


def _idle(runs: Sequence[Used]) -> float:
    """Mean idle share of runs; NaN where it is not known of all."""
    return math.fsum(one.idle_share for one in runs) / len(runs) if runs else math.nan


def published_range(claim: Claim, numbers: Mapping[str, Number]) -> tuple[float, float]:
    """Between which values the published one lies, as its numbers were rounded; NaN of a count or none."""
    contrast = claim.contrast
    if claim.published is None or contrast is None:
        return math.nan, math.nan
    stated = [numbers[name] for name in claim.follows_from]
    ends = [_rounded_by(contrast, stated, sign) for sign in (-1, 1)]
    return min(ends), max(ends)


def _rounded_by(contrast: Contrast, stated: Sequence[Number], sign: int) -> float:
    """The published value if rounding had moved each of its numbers so that the value moves one way."""
    values: dict[Group, float] = {}
    for (group, weight), number in zip(contrast.weights.items(), stated, strict=True):
        values[group] = float(number.value) + sign * math.copysign(number.half_digit, weight)
    return contrast.of_one(values)


def published_runs(claim: Claim, numbers: Mapping[str, Number]) -> int | None:
    """How many runs stand behind each published number; None where that is not said of all."""
    counts = [numbers[name].runs for name in claim.follows_from]
    known = [count for count in counts if count is not None]
    return min(known) if known and len(known) == len(counts) else None


def _in_prediction(one: Judged, source: Source) -> str:
    claim, found = one.of.claim, one.found
    runs = published_runs(claim, source.numbers)
    if (
        found is None
        or math.isnan(found.low)
        or not found.spreads
        or claim.published is None
        or runs is None
    ):
        return ""
    return "yes" if in_prediction(found, claim.published, runs) else "no"


def readable(one: Judged, exact: Mapping[str, object], source: Source) -> dict[str, str]:
    """A row for reading: no more digits than the interval has, what belongs together in one cell."""
    found = one.found
    return {
        "claim": one.of.claim.id,
        "instrument": one.of.instrument,
        "verdict": one.words,
        "published": published_words(one.of.claim, source.numbers),
        "estimate": with_interval(found.value, found.low, found.high) if found else "",
        "effect": one.effect,
        "runs": _runs_words(exact),
        "CV": _both(exact["cv_a"], exact["cv_b"]),
        "idle": _both(exact["idle_a"], exact["idle_b"]),
        "flagged": _flagged_words(exact),
        "demonstration": one.demonstration,
        "reason": one.reason,
    }


def published_words(claim: Claim, numbers: Mapping[str, Number]) -> str:
    """The published value, what rounding leaves open, and of how many runs; no spread was published."""
    if claim.published is None:
        return ""
    low, high = published_range(claim, numbers)
    runs = published_runs(claim, numbers)
    told_of = [] if math.isnan(low) else [f"{ends(low, high)} by rounding"]
    told_of += [f"n = {runs}"] if runs else []
    unit = "" if claim.unit == "1" else f" {claim.unit}"
    return f"{claim.published:g}{unit}" + (f" ({', '.join(told_of)})" if told_of else "")


def _runs_words(exact: Mapping[str, object]) -> str:
    if exact["pairs"] is not None:
        return f"{exact['pairs']} pairs"
    counts = [str(exact[name]) for name in ("n_a", "n_b") if exact[name]]
    return " and ".join(counts)


def _both(above: object, below: object) -> str:
    """Shares above and below the line, in percent."""
    shares = [float(str(share)) for share in (above, below)]
    return " and ".join(f"{100 * share:.2g} %" for share in shares if not math.isnan(share))


def _flagged_words(exact: Mapping[str, object]) -> str:
    words = [f"{exact[f'n_{state}']} {state}" for state in (INVALID, WARNED) if exact[f"n_{state}"]]
    return ", ".join(words)


def summary(judged: Sequence[Judged], look: Look) -> list[str]:
    """Paragraphs: how many verdicts there are of each kind, what chance decides, and which look it is."""
    verdicts = [one for one in judged if one.kind == "verdict"]
    others = [one.kind for one in judged if one.verdict not in NOT_JUDGED]
    shown, seen = others.count("demonstration"), others.count("instrument")
    lines = [f"**Verdicts**: {_counts(verdicts) or 'none'}. {by_chance(verdicts, look)}"]
    if shown:
        lines.append(
            f"**Demonstrations** ({_rows(shown)}): what would be read of the claim if what stands in for it "
            "were it. They are no test of it, and are not counted."
        )
    if seen:
        lines.append(
            f"**As published** ({_rows(seen)}): what the thesis's instrument shows of the same runs. That is "
            "no second experiment, and is not counted."
        )
    return [*lines, f"**Looks**: {look.words}"]


def _rows(count: int) -> str:
    return "1 row" if count == 1 else f"{count} rows"


def by_chance(verdicts: Sequence[Judged], look: Look) -> str:
    """How many of the decided questions are decided wrongly by chance, at most, if nothing claimed is so."""
    tested = [one for one in verdicts if one.verdict not in NOT_JUDGED and not one.of.counted]
    questions = len({one.of.claim.question for one in tested})
    if not questions:
        return "None of them rests on runs: nothing is decided by chance."
    decided = sum(one.verdict not in UNDECIDED for one in tested)
    expected = questions * look.error_pct / 100
    claims = "1 claim was" if len(tested) == 1 else f"{len(tested)} claims were"
    asked = "1 question" if questions == 1 else f"{questions} questions"
    return (
        f"{claims} tested by {asked}; {decided} {'is' if decided == 1 else 'are'} decided. At "
        f"{look.error_pct:.3g} % each, expect at most {expected:.2g} wrong decisions among them by chance. "
        "No verdict depends on what else was tested."
    )


def _counts(judged: Sequence[Judged]) -> str:
    counts = {verdict: sum(one.verdict == verdict for one in judged) for verdict in VERDICTS}
    return "; ".join(f"{number} {verdict}" for verdict, number in counts.items() if number)


def _machine(index: Index, source: Source) -> str:
    machine = index.machine
    own = source.claims.machine.is_class(machine.class_name)
    other = "" if own else "Not the claims' class of machine: `tolerance_elsewhere` counts. "
    return (
        f"Machine: {plain(machine.description)} (class `{machine.class_name}`, {index.deployment}). {other}"
        f"{len(index.finished)} of {len(index.runs)} wanted runs finished."
    )


def as_json(index: Index, source: Source, judged: Sequence[Judged]) -> dict[str, Any]:
    """What stands in `verdicts.json`."""
    look, runs = look_of(index), _runs(judged)
    numbers = {run["path"]: number for number, run in enumerate(runs)}
    return {
        "schema": SCHEMA,
        "sources": source.sha256,
        "machine": index.machine.class_name,
        "deployment": index.deployment,
        "stand_ins": dict(index.report.stand_ins),
        "design": index.report.design,
        "look": {**asdict(look), "planned": list(look.planned), "words": look.words},
        "summary": summary(judged, look),
        "verdicts": [_traced(one, source, numbers) for one in judged],
        "runs": runs,
    }


def _traced(one: Judged, source: Source, numbers: Mapping[str | None, int]) -> dict[str, Any]:
    """A row of the table with the claim, the estimate and every run behind it, by its number in `runs`."""
    claim, exact = one.of.claim, row(one, source)
    words = readable(one, exact, source)
    told_of_claim = claim.model_dump(
        mode="json", exclude={"id", "published", "unit", "instruments", "tolerance"}
    )
    return {
        "id": claim.id,
        **{name: _plain(value) for name, value in exact.items()},
        "kind": one.kind,
        "reading": one.verdict,
        **{f"{name}_words": words[name] for name in _WORDS},
        **told_of_claim,
        **_regions(one),
        **_scale(one.found),
        "groups": _groups(one.of, numbers),
        "left_out": told(one.of.dropped),
        "counted": [asdict(trainer) for trainer in one.of.counted],
    }


_WORDS = ("published", "estimate", "runs", "CV", "idle", "flagged")


def _regions(one: Judged) -> dict[str, Any]:
    """Between which values the claim holds, and counts as of the published size; null is no end, or none."""
    claim = one.of.claim
    same = claim.same_size(one.tolerance)
    return {
        "region": [_plain(claim.region.low), _plain(claim.region.high)],
        "same_size": [same.low, same.high] if same else None,
    }


def _scale(found: Estimate | None) -> dict[str, Any]:
    if found is None:
        return {"df": None, "centre": None, "se": None, "scale": None}
    scale = "logarithms" if found.log else "as measured"
    return {
        "df": _plain(found.df),
        "centre": _plain(found.centre),
        "se": _plain(found.se),
        "scale": scale,
    }


def _groups(of: Evidence, numbers: Mapping[str | None, int]) -> list[dict[str, Any]]:
    """Every group of runs with what was taken of each, and those that the estimate does not rest on."""
    found = []
    for (role, dataset), runs in of.used.items():
        counting = set(map(id, of.counting((role, dataset))))
        left_out = [one.wanted.repetition for one in runs if id(one) not in counting]
        found.append(
            {
                "role": role,
                "dataset_of_claim": dataset,
                "runs": [numbers[one.wanted.path] for one in runs],
                "values": [_plain(one.value) for one in runs],
                "without_idle": [_plain(one.without_idle) for one in runs],
                "resolution": _plain(of.sampled("value", (role, dataset)).resolution),
                "repetitions_left_out": left_out,
                "extrapolated_from_examples": runs[0].sample.examples
                if runs and runs[0].sample
                else None,
            }
        )
    return found


def _runs(judged: Sequence[Judged]) -> list[dict[str, Any]]:
    """Every run behind any verdict, once."""
    used = {
        one.wanted.path: one.wanted
        for row in judged
        for runs in row.of.used.values()
        for one in runs
    }
    return [
        {
            "dataset": wanted.dataset,
            "engine": wanted.engine,
            "key": wanted.key,
            "repetition": wanted.repetition,
            "path": wanted.path,
            "manifest_sha256": wanted.manifest_sha256,
        }
        for wanted in used.values()
    ]


def _plain(value: object) -> object:
    """As JSON can hold it: a missing number is null."""
    return None if isinstance(value, float) and not math.isfinite(value) else value
