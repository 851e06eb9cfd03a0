"""The files of the verdicts: two tables, and everything they rest on as JSON."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd

from evenground.analysis.files import plain, readable_p, write_csv, write_markdown
from evenground.analysis.index import Index
from evenground.analysis.statistics import Estimate
from evenground.claims.arithmetic import arithmetic
from evenground.claims.instruments import INSTRUMENTS
from evenground.claims.judge import VERDICTS
from evenground.claims.model import Source
from evenground.claims.verdicts import Judged, judge_all
from evenground.files import write_json

_COLUMNS = (
    "The rule is in docs/claims.md. `instrument`: `corrected` is ours; `as-published` takes the numbers as "
    "the thesis took them. `estimate`: a ratio of geometric means, or of one role a mean, with its 95 % "
    "interval by Welch's t; `p` is two-sided against the claim's bound, `p_holm` corrected for the claim's "
    "family. `n_a`, `n_b`: runs above and below the line. `demonstration`: what makes it one, and no test "
    "of the claim itself. A dash is missing, not zero."
)
_ARITHMETIC = (
    "What the thesis derives from its own published numbers (data/published/thesis-2022.csv), computed "
    "again. `agrees`: within the rounding of the last digit stated. No run of ours is in it."
)
_WHOLE = ("n_a", "n_b", "more_runs")


def write_verdicts(
    index: Index, source: Source, tables: Path, record: Path, stand_ins: Mapping[str, str] | None = None
) -> list[Judged]:
    """Write verdicts and arithmetic as CSV and Markdown into `tables`, and all behind them to `record`.

    Raises EvengroundError as by `judge_all`.
    """
    judged = judge_all(index, source.claims, stand_ins)
    frame = verdict_table(judged)
    write_csv(frame, tables / "verdicts.csv")
    note = f"{summary(judged)}\n\n{_COLUMNS}\n\n{_machine(index)}"
    write_markdown(readable_p(frame), "Verdicts on the claims of the thesis", note, tables / "verdicts.md")
    checked = arithmetic(source.numbers)
    write_csv(checked, tables / "arithmetic.csv")
    write_markdown(checked, "The thesis's own arithmetic", _ARITHMETIC, tables / "arithmetic.md")
    used = index.report.stand_ins if stand_ins is None else stand_ins
    write_json(record, as_json(index, source, judged, used))
    return judged


def verdict_table(judged: Sequence[Judged]) -> pd.DataFrame:
    """One row per claim part and instrument; a missing number is NaN beside its reason."""
    return pd.DataFrame([_row(one) for one in judged]).astype(dict.fromkeys(_WHOLE, "Int64"))


def _row(one: Judged) -> dict[str, object]:
    claim, given = one.of.claim, one.of.claim.arguments
    name, _, part = claim.id.partition("-")
    found = one.of.found
    return {
        "claim": name,
        "part": part,
        "instrument": one.of.instrument,
        "verdict": one.verdict,
        "demonstration": one.demonstration,
        "estimate": found.value if found else math.nan,
        "low_95": found.low if found else math.nan,
        "high_95": found.high if found else math.nan,
        "p": one.of.p,
        "p_holm": one.p_holm,
        "published": math.nan if claim.published is None else claim.published,
        "unit": claim.unit,
        "n_a": one.of.counts(given.of) if given else None,
        "n_b": one.of.counts(given.over) if given and given.over else None,
        "more_runs": one.more_runs,
        "reason": one.reason,
    }


def summary(judged: Sequence[Judged]) -> str:
    """How many of each verdict under each instrument; demonstrations are counted by themselves."""
    lines = []
    for instrument in INSTRUMENTS:
        mine = [one for one in judged if one.of.instrument == instrument]
        real = [one for one in mine if not one.demonstration or one.verdict == VERDICTS[-1]]
        shown = [one for one in mine if one not in real]
        line = f"**{instrument}**: {_counts(real)}."
        lines.append(
            line + (f" Demonstrations, which count as none of these: {_counts(shown)}." if shown else "")
        )
    return "\n\n".join(lines)


def _counts(judged: Sequence[Judged]) -> str:
    counts = {verdict: sum(one.verdict == verdict for one in judged) for verdict in VERDICTS}
    return ", ".join(f"{number} {verdict}" for verdict, number in counts.items() if number) or "none"


def _machine(index: Index) -> str:
    machine = index.machine
    return (
        f"Machine: {plain(machine.description)} (class `{machine.class_name}`, {index.deployment}). "
        f"{len(index.finished)} of {len(index.runs)} wanted runs finished."
    )


def as_json(
    index: Index, source: Source, judged: Sequence[Judged], stand_ins: Mapping[str, str]
) -> dict[str, Any]:
    """What stands in `verdicts.json`."""
    return {
        "schema": 1,
        "sources": source.sha256,
        "machine": index.machine.class_name,
        "deployment": index.deployment,
        "stand_ins": dict(stand_ins),
        "verdicts": [_traced(one) for one in judged],
    }


def _traced(one: Judged) -> dict[str, Any]:
    """A row of the table with the claim, the estimate and every run behind it."""
    claim = one.of.claim
    row = {name: _plain(value) for name, value in _row(one).items()}
    told = claim.model_dump(mode="json", exclude={"id", "published", "unit", "instruments"})
    tested = {"tested_in_family": one.tested, **_scale(one.of.found)}
    counted = [asdict(trainer) for trainer in one.of.counted]
    return {"id": claim.id, **row, **told, **tested, "runs": _runs(one), "counted": counted}


def _scale(found: Estimate | None) -> dict[str, Any]:
    if found is None:
        return {"df": None, "scale": None}
    return {"df": _plain(found.df), "scale": "logarithms" if found.log else "as measured"}


def _runs(one: Judged) -> list[dict[str, Any]]:
    return [
        {
            "role": role,
            "dataset_of_claim": dataset,
            "dataset": used.run.wanted.dataset,
            "engine": used.run.wanted.engine,
            "key": used.run.wanted.key,
            "repetition": used.run.wanted.repetition,
            "path": used.run.wanted.path,
            "manifest_sha256": used.run.wanted.manifest_sha256,
            "value": _plain(used.value),
            # Only where it is so: the records of all other runs stay as they were published.
            **({} if used.sample is None else {"extrapolated_from_images": used.sample.images}),
        }
        for (role, dataset), runs in one.of.used.items()
        for used in runs
    ]


def _plain(value: object) -> object:
    """As JSON can hold it: a missing number is null."""
    return None if isinstance(value, float) and not math.isfinite(value) else value
