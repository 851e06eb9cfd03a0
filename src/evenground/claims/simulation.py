"""How often the rule says what, where the truth is known: log-normal runs, judged as real ones are."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from evenground.analysis.planning import MAX_RUNS, MIN_PRECISE, level_of_each
from evenground.analysis.runs import Floats
from evenground.analysis.statistics import LEVEL, MIN_PAIRS, Estimate
from evenground.claims import advice
from evenground.claims.estimators import Contrast, Group, Sampled, estimate
from evenground.claims.inference import Interval
from evenground.claims.judge import Verdict, judge
from evenground.claims.model import Claim

TRUTHS = (1.0, 1.2, 1.3, 1.342, 1.6)
VARIATIONS = (0.02, 0.05, 0.1, 0.2)
RUNS = (5, 10, 20)
TOLERANCES = (0.1, 0.25)
CORRELATIONS = (-0.5, -0.3, 0.0, 0.3, 0.5, 0.9)
# Where nothing else is varied.
USUAL_VARIATION = 0.1
# What a claim with a size can be judged to be.
SHOWN: tuple[Verdict, ...] = (
    "reproduced",
    "direction reproduced, size open",
    "direction reproduced, other size",
    "inconclusive",
    "size refuted",
    "contradicted",
)

Cells = dict[tuple[float, float], list[dict[Verdict, float]]]
"""True ratio and coefficient of variation -> for each number of RUNS, the percent of each verdict."""


@dataclass(frozen=True)
class World:
    """A claim of a ratio, the ratio that is really so, and the coefficient of variation of either role."""

    claim: Claim
    truth: float
    variation: float

    @property
    def sigma(self) -> float:
        """Standard deviation of the logarithm of a run."""
        return math.sqrt(math.log1p(self.variation**2))

    @property
    def contrast(self) -> Contrast:
        """What is estimated."""
        found = self.claim.contrast
        assert found is not None
        return found

    def experiment(self, normal: Floats) -> Mapping[Group, Sampled]:
        """The runs above and below the line, from standard normal values (2, n)."""
        above, below = np.exp(self.sigma * normal)
        values = (self.truth * above, below)
        return {
            group: Sampled(values=dict(enumerate(mine.tolist(), start=1)))
            for group, mine in zip(self.contrast.weights, values, strict=True)
        }

    def estimated(
        self, normal: Floats, paired: bool = True, n: int | None = None, confidence: float = LEVEL
    ) -> Estimate:
        """The estimate of one experiment (2, N), or of its first `n` repetitions."""
        taken = normal[:, :n]
        blocks = range(1, taken.shape[1] + 1) if paired else None
        return estimate(self.contrast, self.experiment(taken), blocks, confidence)

    def excludes_bound(self, found: Estimate) -> bool:
        """Whether the interval lies wholly on one side of the claim's bound."""
        interval = Interval(found.low, found.high)
        return interval.is_within(self.claim.region) or interval.is_within(self.claim.opposite)

    def holds_truth(self, found: Estimate) -> bool:
        """Whether the interval holds what is really so."""
        return found.low <= self.truth <= found.high


def normals(experiments: int, n: int, seed: int, correlation: float = 0.0) -> Floats:
    """Standard normal values (experiments, 2, n); the two of one repetition are correlated."""
    found = np.random.default_rng([seed, n]).standard_normal((experiments, 2, n))
    found[:, 1] = correlation * found[:, 0] + math.sqrt(1 - correlation**2) * found[:, 1]
    return found


def shares(claim: Claim, tolerance: float, found: Iterable[Estimate]) -> dict[Verdict, float]:
    """Percent of experiments that each verdict is given in."""
    counts = Counter(judge(claim, Interval(one.low, one.high), tolerance).verdict for one in found)
    return {verdict: 100 * count / counts.total() for verdict, count in counts.items()}


def percent(answers: Sequence[bool]) -> float:
    """Percent of the answers that are yes."""
    return 100 * sum(answers) / len(answers)


def coverage(world: World, normal: Floats, paired: bool) -> float:
    """Percent of experiments (E, 2, n) whose interval holds the truth."""
    return percent([world.holds_truth(world.estimated(one, paired)) for one in normal])


def false_decisions(world: World, looks: Sequence[int], level: float, normal: Floats) -> float:
    """Percent of experiments (E, 2, N) that exclude the bound at one of the looks, each of the error `level`.

    The truth of the world is the bound.
    """

    def is_wrong(one: Floats) -> bool:
        seen = (world.estimated(one, n=n, confidence=1 - level) for n in looks)
        return any(map(world.excludes_bound, seen))

    return percent([is_wrong(one) for one in normal])


def until_precise(world: World, tolerance: float, normal: Floats) -> list[Estimate]:
    """The first estimate of each experiment (E, 2, N) with a half-width within the tolerance, or its last."""

    def stopped(one: Floats) -> Estimate:
        longest = one.shape[1]
        for n in range(MIN_PRECISE, longest):
            found = world.estimated(one, n=n)
            if found.half_width <= math.log1p(tolerance):
                return found
        return world.estimated(one)

    return [stopped(one) for one in normal]


def advised(world: World, found: Estimate, tolerance: float | None) -> int:
    """How many pairs are advised after an estimate: for the direction, or for the size within `tolerance`."""
    if tolerance is None:
        more, _ = advice.more_for_direction(world.claim, found)
    else:
        more, _ = advice.more_for_size(world.claim, found, tolerance)
    return MAX_RUNS if more is None else found.n + more


def with_known_spread(world: World) -> Estimate:
    """An estimate of the fewest pairs whose spread is seen to be just what it is, of any runs."""
    any_estimate = world.estimated(normals(1, MIN_PAIRS, seed=1)[0])
    return replace(any_estimate, spreads=(2 * world.sigma**2,))


def is_decided(world: World, found: Estimate, tolerance: float | None) -> bool:
    """Whether an estimate is on the claimed side of the bound, or has the claimed size within `tolerance`."""
    interval = Interval(found.low, found.high)
    if tolerance is None:
        return interval.is_within(world.claim.region)
    return judge(world.claim, interval, tolerance).verdict == "reproduced"


def report(claim: Claim, experiments: int, seed: int) -> Iterator[str]:
    """Lines of Markdown: all that docs/claims.md says of the rule's errors."""
    yield f"# How often the rule says what: {claim.id}, {experiments:,} experiments a cell, seed {seed}"
    error = 50 / math.sqrt(experiments)
    yield f"\nPer cent of experiments; their standard error is at most {error:.1f}."
    yield "Runs are log-normal and, where nothing else is said, not correlated within a pair."
    yield from _operating(claim, experiments, seed)
    yield from _looks(claim, experiments, seed)
    yield from _precision(claim, experiments, seed)
    yield from _coverage(claim, experiments, seed)
    yield from _advice(claim, experiments, seed)


def _operating(claim: Claim, experiments: int, seed: int) -> Iterator[str]:
    """Every verdict by truth, spread and number of pairs."""
    found = operating(claim, experiments, seed)
    numbers = f"{', '.join(map(str, RUNS[:-1]))} and {RUNS[-1]} pairs"
    tightest = TOLERANCES[0]
    yield f"\n## Reproduced, within {_pct(tightest)} of {claim.published:g}; {numbers}\n"
    yield from reproduced_table(found[tightest])
    for tolerance, mine in found.items():
        yield f"\n## Every verdict, within {_pct(tolerance)}; {numbers}\n"
        rows = []
        for (truth, variation), given in mine.items():
            cells = [" / ".join(f"{one.get(verdict, 0):.1f}" for one in given) for verdict in SHOWN]
            rows.append([f"{truth:.4g}", _pct(variation), *cells])
        yield from _table(["true ratio", "CV", *SHOWN], rows)


def operating(claim: Claim, experiments: int, seed: int) -> dict[float, Cells]:
    """Tolerance -> its cells; all of them judge the same experiments."""
    made = {n: normals(experiments, n, seed) for n in RUNS}
    cells: dict[float, Cells] = {tolerance: {} for tolerance in TOLERANCES}
    for truth in TRUTHS:
        for variation in VARIATIONS:
            world = World(claim=claim, truth=truth, variation=variation)
            found = [[world.estimated(one) for one in made[n]] for n in RUNS]
            for tolerance, mine in cells.items():
                mine[truth, variation] = [shares(claim, tolerance, of_n) for of_n in found]
    return cells


def reproduced_table(cells: Cells) -> Iterator[str]:
    """Lines of a table of how often a claim is reproduced; docs/claims.md has it."""
    rows = []
    for truth in TRUTHS:
        given = [cells[truth, variation] for variation in VARIATIONS]
        shown = [" / ".join(f"{one.get('reproduced', 0):.0f}" for one in of_n) for of_n in given]
        rows.append([f"{truth:.4g}", *shown])
    yield from _table(["true ratio", *(f"CV {_pct(variation)}" for variation in VARIATIONS)], rows)


def _looks(claim: Claim, experiments: int, seed: int) -> Iterator[str]:
    yield "\n## False decisions of the direction, at a true ratio of 1\n"
    world = World(claim=claim, truth=1.0, variation=USUAL_VARIATION)
    made = normals(experiments, max(RUNS), seed)
    rows = []
    for looks, is_planned in (
        ((5,), True),
        ((5, 10), True),
        ((5, 10), False),
        ((5, 10, 15, 20), False),
    ):
        level = level_of_each(looks) if is_planned else 1 - LEVEL
        wrong = false_decisions(world, looks, level, made)
        planned = "planned" if is_planned else "not planned"
        rows.append([", ".join(map(str, looks)), planned, f"{100 * level:.3g} %", f"{wrong:.1f}"])
    yield from _table(["looks after", "", "error of each", "false decisions"], rows)


def _precision(claim: Claim, experiments: int, seed: int) -> Iterator[str]:
    yield "\n## Stopped when precise enough\n"
    rows = []
    for variation, tolerance in ((0.05, 0.1), (0.1, 0.1), (0.1, 0.25), (0.2, 0.25)):
        world = World(claim=claim, truth=1.2, variation=variation)
        found = until_precise(world, tolerance, normals(experiments, 60, seed))
        held = percent([world.holds_truth(one) for one in found])
        off = math.expm1(sum(one.centre for one in found) / len(found) - math.log(world.truth))
        pairs = sum(one.n for one in found) / len(found)
        rows.append(
            [_pct(variation), _pct(tolerance), f"{pairs:.1f}", f"{held:.1f}", f"{100 * off:+.1f}"]
        )
    yield from _table(
        ["CV", "half-width", "pairs on average", "hold the truth", "estimate off by, %"], rows
    )


def _coverage(claim: Claim, experiments: int, seed: int) -> Iterator[str]:
    yield "\n## Intervals that hold the truth, of 5 pairs\n"
    world = World(claim=claim, truth=1.2, variation=USUAL_VARIATION)
    rows = []
    for correlation in CORRELATIONS:
        made = normals(experiments, 5, seed, correlation)
        held = [coverage(world, made, paired) for paired in (True, False)]
        rows.append([f"{correlation:g}", *(f"{share:.1f}" for share in held)])
    yield from _table(["correlation within a pair", "pairs", "Welch"], rows)


def _advice(claim: Claim, experiments: int, seed: int) -> Iterator[str]:
    """Of experiments with the advised number of pairs, how many decide; the claim is exactly true."""
    yield "\n## Decided with the advised number of pairs, if the claim is exactly true\n"
    rows = []
    assert claim.published is not None
    for variation, tolerance in ((0.1, None), (0.2, None), (0.05, 0.1), (0.1, 0.1), (0.2, 0.25)):
        world = World(claim=claim, truth=claim.published, variation=variation)
        n = advised(world, with_known_spread(world), tolerance)
        exact = [
            is_decided(world, world.estimated(one), tolerance)
            for one in normals(experiments, n, seed)
        ]
        seen = list(after_pilots(world, tolerance, experiments, seed))
        what = "direction" if tolerance is None else f"size within {_pct(tolerance)}"
        rows.append(
            [what, _pct(variation), str(n), f"{percent(exact):.1f}", f"{percent(seen):.1f}"]
        )
    yield from _table(["what", "CV", "pairs", "spread known", "spread seen in 5 pairs"], rows)


def after_pilots(
    world: World, tolerance: float | None, experiments: int, seed: int
) -> Iterator[bool]:
    """Whether each new experiment decides, of as many pairs as the five of its own pilot advise."""
    source = np.random.default_rng(seed)
    for pilot in normals(experiments, 5, seed):
        n = advised(world, world.estimated(pilot), tolerance)
        yield is_decided(world, world.estimated(source.standard_normal((2, n))), tolerance)


def _pct(share: float) -> str:
    return f"{100 * share:g} %"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """Lines of a table in Markdown."""
    yield f"| {' | '.join(head)} |"
    yield f"|{'---|' * len(head)}"
    for row in rows:
        yield f"| {' | '.join(row)} |"
