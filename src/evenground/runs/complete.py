"""The end of an experiment: what is not as it should be, once everything was drawn."""

from __future__ import annotations

from pathlib import Path

from evenground.errors import EvengroundError
from evenground.records.index import Index
from evenground.runs.index import missed_goals

# By the machine on which the runs are trained.
FIXES = {
    "this": "their logs are under results/attempts; run again to try them again",
    "another": "have them trained on that class of machine, or set machine: here",
}


def missed_goals_line(index: Index, tables: Path) -> str:
    """A goal that the sampler's calibration misses, and how many it misses; empty if none."""
    missed = missed_goals(index)
    if not missed:
        return ""
    goals = f"{len(missed)} goals here ({min(missed)}, ...)"
    return f"the sampler misses {goals}: {tables}/calibration.md"


def refuse_unfinished(index: Index, tables: Path, machine: str) -> None:
    """Raises EvengroundError with the first wanted run that did not finish; `machine`: one of FIXES."""
    named = index.named.items()
    lost = [(name, run) for name, condition in named for run in condition.unfinished]
    if not lost:
        return
    name, first = lost[0]
    run = f"{first.dataset} {first.engine} r{first.repetition}"
    if name:
        run = f"{run} of {name}"
    raise EvengroundError(
        f"{len(lost)} of {len(index.runs)} wanted runs did not finish; the first: {run}: "
        f"{first.reason or 'not recorded'}",
        f"{tables}/runs.md",
        FIXES[machine],
    )
