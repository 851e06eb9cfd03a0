"""How often an experiment is looked at, at what level, and what looking without a plan would cost."""

from __future__ import annotations

from dataclasses import dataclass

from evenground.analysis.index import Index
from evenground.analysis.pairs import listed
from evenground.analysis.planning import false_decisions, level_of_each
from evenground.analysis.statistics import LEVEL
from evenground.errors import EvengroundError

PRECISION = "precision"
# How often somebody looks again who adds as many runs as there are until a claim is decided.
PEEKS = (2, 4)


@dataclass(frozen=True)
class Look:
    """Which look this is: `n` planned repetitions, the `number` of the look among the planned ones.

    `confidence`: of each interval that decides.
    """

    n: int
    number: int
    planned: tuple[int, ...]
    by_precision: bool
    confidence: float

    @property
    def error_pct(self) -> float:
        """Chance of a false decision of one claim at this look, in percent."""
        return 100 * (1 - self.confidence)

    @property
    def words(self) -> str:
        """Where the experiment stands, for the note of a table and the page."""
        if self.by_precision:
            return (
                "Verdicts wait for precision: each is given once the half-width of its interval is at most "
                f"the claim's tolerance, however many repetitions that takes; here are {self.n}."
            )
        if len(self.planned) > 1:
            places = listed(map(str, self.planned))
            return (
                f"This is look {self.number} of {len(self.planned)}, planned after {places} repetitions. "
                f"Each is at {self.error_pct:.3g} % instead of 5 %, so that all together decide falsely in "
                "about 5 % of experiments."
            )
        return f"One look is planned, at {self.n} repetitions. {peeking(self.n)}"


def peeking(n: int) -> str:
    """What it costs to add runs until a claim is decided, without having planned to."""
    costs = []
    for looks in PEEKS:
        places = [n * k for k in range(1, looks + 1)]
        costs.append(f"{100 * false_decisions(places):.0f} % after {listed(map(str, places))}")
    return (
        f"Looking again with more repetitions until something is decided would raise the false decisions "
        f"from 5 % to {' and '.join(costs)} repetitions: plan `looks` first (docs/repetitions.md)."
    )


def look_of(index: Index) -> Look:
    """The look that an index is; EvengroundError where its looks contradict each other or the plan."""
    planned = index.report.looks
    asked = index.parameters.get("repetitions")
    n = max(run.repetition for run in index.runs)
    if isinstance(asked, int) and asked >= 1:
        n = asked
    if planned == PRECISION:
        return Look(n=n, number=1, planned=(), by_precision=True, confidence=LEVEL)
    assert not isinstance(planned, str)
    if not planned:
        return Look(n=n, number=1, planned=(n,), by_precision=False, confidence=LEVEL)
    if list(planned) != sorted(set(planned)) or n not in planned:
        what = f"{n} repetitions are none of the planned looks ({listed(map(str, planned))})"
        raise EvengroundError(what, "looks", "name increasing numbers, `repetitions` among them")
    return Look(
        n=n,
        number=planned.index(n) + 1,
        planned=planned,
        by_precision=False,
        confidence=1 - level_of_each(planned),
    )
