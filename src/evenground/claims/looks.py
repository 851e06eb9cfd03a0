"""The looks at an experiment: how often, at what level, and the cost of looking without a plan."""

from __future__ import annotations

from dataclasses import dataclass

from evenground.analysis.pairs import listed
from evenground.analysis.planning import false_decisions, level_of_each
from evenground.analysis.statistics import LEVEL
from evenground.errors import EvengroundError
from evenground.records.index import Condition

PRECISION = "precision"
# How often somebody looks who adds as many runs as there are until a claim is decided.
PEEKS = (2, 4)


@dataclass(frozen=True)
class Look:
    """Which of the planned looks at an experiment this is."""

    # Planned repetitions up to this look.
    n: int
    # Its place among the planned looks, from 1 on.
    number: int
    planned: tuple[int, ...]
    by_precision: bool
    # Of each interval that decides.
    confidence: float

    @property
    def error_pct(self) -> float:
        """Chance of a false decision on one claim at this look, in percent."""
        return 100 * (1 - self.confidence)

    @property
    def words(self) -> str:
        """Where the experiment stands, for the note of a table and the page."""
        if self.by_precision:
            return (
                "Verdicts wait for precision: each is given once the half-width of its interval is "
                "at most the claim's tolerance, however many repetitions that takes; here are "
                f"{self.n}."
            )
        if len(self.planned) > 1:
            repetitions = listed(map(str, self.planned))
            return (
                f"This is look {self.number} of {len(self.planned)}, planned after {repetitions} "
                f"repetitions. Each is at {self.error_pct:.3g} % instead of 5 %, so that all "
                "together decide falsely in about 5 % of experiments."
            )
        return f"One look is planned, at {self.n} repetitions. {peeking(self.n)}"


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
        return Look(n=n, number=1, planned=(), by_precision=True, confidence=LEVEL)
    assert not isinstance(planned, str)
    planned = planned or (n,)
    if list(planned) != sorted(set(planned)) or n not in planned:
        what = f"{n} repetitions are none of the planned looks ({listed(map(str, planned))})"
        raise EvengroundError(what, "looks", "name increasing numbers, `repetitions` among them")
    # One look has the usual level; several share its error between them.
    confidence = 1 - level_of_each(planned)
    return Look(
        n=n,
        number=planned.index(n) + 1,
        planned=planned,
        by_precision=False,
        confidence=confidence,
    )
