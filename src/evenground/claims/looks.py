"""The looks at an experiment: how often, at what level, and the cost of looking without a plan."""

from __future__ import annotations

from evenground.analysis.pairs import listed
from evenground.analysis.planning import false_decisions, level_of_each
from evenground.analysis.statistics import LEVEL
from evenground.errors import EvengroundError
from evenground.records.index import Condition
from evenground.records.verdicts import Look

PRECISION = "precision"
# How often somebody looks who adds as many runs as there are until a claim is decided.
PEEKS = (2, 4)


def peeking(n: int) -> str:
    """Return what it costs to add runs until a claim is decided without a plan to do so."""
    costs = []
    for looks in PEEKS:
        repetitions = [n * k for k in range(1, looks + 1)]
        wrong_pct = 100 * false_decisions(repetitions)
        costs.append(f"{wrong_pct:.0f} % after {listed(map(str, repetitions))}")
    return (
        "Looking again with more repetitions until something is decided would raise the false "
        f"decisions from 5 % to {listed(costs)} repetitions: plan `looks` first "
        "(docs/repetitions.md)."
    )


def look_of(condition: Condition) -> Look:
    """Return which look a condition is. Raises EvengroundError if it was not planned."""
    planned = condition.report.looks
    n = condition.parameters.repetitions
    if planned == PRECISION:
        return Look(
            n=n,
            number=1,
            planned=(),
            by_precision=True,
            confidence=LEVEL,
            words="Verdicts wait for precision: each is given once the half-width of its interval "
            "is at most the claim's tolerance, however many repetitions that takes; here are "
            f"{n}.",
        )
    assert not isinstance(planned, str)
    planned = planned or (n,)
    if list(planned) != sorted(set(planned)) or n not in planned:
        what = f"{n} repetitions are none of the planned looks ({listed(map(str, planned))})"
        raise EvengroundError(what, "looks", "name increasing numbers, `repetitions` among them")
    # One look has the usual level; several share its error between them.
    level = level_of_each(planned)
    number = planned.index(n) + 1
    words = f"One look is planned, at {n} repetitions. {peeking(n)}"
    if len(planned) > 1:
        repetitions = listed(map(str, planned))
        words = (
            f"This is look {number} of {len(planned)}, planned after {repetitions} repetitions. "
            f"Each is at {100 * level:.3g} % instead of 5 %, so that all together decide falsely "
            "in about 5 % of experiments."
        )
    return Look(
        n=n,
        number=number,
        planned=planned,
        by_precision=False,
        confidence=1 - level,
        words=words,
    )
