"""How often the rule gives which verdict if the truth is known: log-normal runs are judged.

All experiments of a cell are estimated at once; a test holds that this gives the same numbers as
`estimators.estimate_contrast`.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import stdtrit

from evenground.analysis.planning import MAX_RUNS, MIN_PRECISE, level_of_each
from evenground.analysis.runs import Floats
from evenground.analysis.statistics import LEVEL, MIN_PAIRS
from evenground.claims.advice import runs_for_its_size, runs_to_decide
from evenground.claims.estimators import Contrast
from evenground.claims.inference import Interval
from evenground.claims.judge import Verdict, judge
from evenground.claims.model import Claim

TRUTHS = (1.0, 1.2, 1.3, 1.342, 1.6)
VARIATIONS = (0.02, 0.05, 0.1, 0.2)
RUNS = (5, 10, 20)
TOLERANCES = (0.1, 0.25)
CORRELATIONS = (-0.5, -0.3, 0.0, 0.3, 0.5, 0.9)
# Used in the tables in which the variation is not varied.
USUAL_VARIATION = 0.1
# Pairs from which a first experiment plans a second one.
PILOT = 5
# The most pairs of an experiment that stops when its estimate is precise enough.
MAX_PAIRS = 60
# The verdicts that a claim with a size can have.
SHOWN: tuple[Verdict, ...] = (
    "reproduced",
    "direction reproduced, size open",
    "direction reproduced, other size",
    "inconclusive",
    "size refuted",
    "contradicted",
)

Answers = npt.NDArray[np.bool_]
Cells = dict[tuple[float, float], list[dict[Verdict, float]]]
"""True ratio and coefficient of variation -> the percent of each verdict, by number of RUNS."""


@dataclass(frozen=True)
class Estimates:
    """The estimates of many experiments, on the scale of the test."""

    # Shape (experiments,).
    centre: Floats
    half_width: Floats
    # Pairs, or runs of each group.
    n: Floats

    def hold(self, value: float) -> Answers:
        """Whether each interval contains a value on the scale of the test; shape (experiments,)."""
        held: Answers = abs(self.centre - value) <= self.half_width
        return held

    def intervals(self) -> list[Interval]:
        """Return the intervals of ratios, back from logarithms."""
        lows = np.exp(self.centre - self.half_width).tolist()
        highs = np.exp(self.centre + self.half_width).tolist()
        return [Interval(low, high) for low, high in zip(lows, highs, strict=True)]


def estimate_all(
    contrast: Contrast, values: Floats, paired: bool, confidence: float = LEVEL
) -> Estimates:
    """Estimate a contrast in many experiments, by the formulas of `analysis.statistics`.

    `values`: shape (experiments, groups, n), the groups in the contrast's order; logarithms if the
    contrast is of logarithms.
    """
    weights = np.array(list(contrast.weights.values()))
    weighted = weights[:, None] * values
    if paired:
        # A pair is one observation: the weighted sum of its runs.
        weighted = weighted.sum(axis=1, keepdims=True)
    n = values.shape[2]
    variances = weighted.var(axis=2, ddof=1) / n
    total = variances.sum(axis=1)
    df = total**2 / (variances**2 / (n - 1)).sum(axis=1)
    return Estimates(
        centre=weighted.mean(axis=2).sum(axis=1),
        half_width=stdtrit(df, 0.5 + confidence / 2) * np.sqrt(total),
        n=np.full(len(values), float(n)),
    )


@dataclass(frozen=True)
class World:
    """A claim of a ratio, the true ratio, and the coefficient of variation of either role."""

    claim: Claim
    truth: float
    variation: float

    @property
    def sigma(self) -> float:
        """Standard deviation of the logarithm of a run."""
        return math.sqrt(math.log1p(self.variation**2))

    def logarithms(self, normal: Floats) -> Floats:
        """Return the logarithms of runs, from standard normal values; shape (experiments, 2, n)."""
        logarithms: Floats = self.sigma * normal
        logarithms[:, 0] += math.log(self.truth)
        return logarithms

    def estimates(
        self, normal: Floats, paired: bool = True, confidence: float = LEVEL
    ) -> Estimates:
        """Estimate experiments from standard normal values; shape (experiments, 2, n)."""
        contrast = self.claim.contrast
        assert contrast is not None
        return estimate_all(contrast, self.logarithms(normal), paired, confidence)


def normals(experiments: int, n: int, seed: int, correlation: float = 0.0) -> Floats:
    """Return standard normal values, correlated within a pair; shape (experiments, 2, n)."""
    values = np.random.default_rng([seed, n]).standard_normal((experiments, 2, n))
    values[:, 1] = correlation * values[:, 0] + math.sqrt(1 - correlation**2) * values[:, 1]
    return values


def percent(answers: Answers | Sequence[bool]) -> float:
    """Return the percent of answers that are yes."""
    return 100 * float(np.sum(answers)) / len(answers)


def verdict_shares(world: World, tolerance: float, normal: Floats) -> dict[Verdict, float]:
    """Return the percent of each verdict over experiments (experiments, 2, n)."""
    intervals = world.estimates(normal).intervals()
    counts = Counter(judge(world.claim, interval, tolerance).verdict for interval in intervals)
    return {verdict: 100 * count / counts.total() for verdict, count in counts.items()}


def coverage(world: World, normal: Floats, paired: bool) -> float:
    """Return the percent of experiments (experiments, 2, n) whose interval holds the truth."""
    return percent(world.estimates(normal, paired).hold(math.log(world.truth)))


def false_decisions(world: World, looks: Sequence[int], level: float, normal: Floats) -> float:
    """Return the percent of experiments that exclude the truth at one of the looks or more.

    The truth of the world is the bound of the claim. `level`: the error of each look. `normal`:
    shape (experiments, 2, N), of which a look at n pairs uses the first n.
    """
    wrong = np.zeros(len(normal), dtype=bool)
    for n in looks:
        estimates = world.estimates(normal[:, :, :n], confidence=1 - level)
        wrong |= ~estimates.hold(math.log(world.truth))
    return percent(wrong)


def until_precise(world: World, tolerance: float, normal: Floats) -> Estimates:
    """Return the first estimate of each experiment that is precise enough, or its last one.

    `tolerance`: the half-width that is precise enough. `normal`: shape (experiments, 2, N).
    """
    stopped = world.estimates(normal)
    # From the last look to the first, so that an earlier precise estimate replaces a later one.
    for n in reversed(range(MIN_PRECISE, normal.shape[2])):
        earlier = world.estimates(normal[:, :, :n])
        is_precise = earlier.half_width <= math.log1p(tolerance)
        stopped = Estimates(
            centre=np.where(is_precise, earlier.centre, stopped.centre),
            half_width=np.where(is_precise, earlier.half_width, stopped.half_width),
            n=np.where(is_precise, earlier.n, stopped.n),
        )
    return stopped


def advised(claim: Claim, spreads: Sequence[float], n: int, tolerance: float | None) -> int:
    """Return how many pairs are advised after `n` pairs with these spreads.

    For the direction of the claim, or for its size within `tolerance`.
    """
    if tolerance is None:
        needed = runs_to_decide(claim, spreads, 1 - LEVEL)
    else:
        needed = runs_for_its_size(claim, tolerance, spreads, 1 - LEVEL)
    if needed is None:
        return MAX_RUNS
    return max(needed, n + 1)


def are_decided(claim: Claim, estimates: Estimates, tolerance: float | None) -> list[bool]:
    """Whether each estimate has the claimed direction, or the claimed size within `tolerance`."""
    intervals = estimates.intervals()
    if tolerance is None:
        return [interval.is_within(claim.region) for interval in intervals]
    verdicts = [judge(claim, interval, tolerance).verdict for interval in intervals]
    return [verdict == "reproduced" for verdict in verdicts]


def after_pilots(world: World, tolerance: float | None, experiments: int, seed: int) -> list[bool]:
    """Whether each experiment decides that has as many pairs as its own pilot advises."""
    source = np.random.default_rng(seed)
    runs = world.logarithms(normals(experiments, PILOT, seed))
    decided = []
    for spread in np.var(runs[:, 0] - runs[:, 1], axis=1, ddof=1):
        n = advised(world.claim, [spread], PILOT, tolerance)
        estimates = world.estimates(source.standard_normal((1, 2, n)))
        decided.extend(are_decided(world.claim, estimates, tolerance))
    return decided


def report(claim: Claim, experiments: int, seed: int) -> Iterator[str]:
    """Yield lines of Markdown: docs/claims.md has the numbers on the rule's errors from them."""
    cell = f"{experiments:,} experiments a cell"
    yield f"# How often the rule says what: {claim.id}, {cell}, seed {seed}"
    # The standard error of a share of one half, in percent.
    error = 50 / math.sqrt(experiments)
    yield f"\nPer cent of experiments; their standard error is at most {error:.1f}."
    yield "Runs are log-normal and, where nothing else is said, not correlated within a pair."
    yield from _operating(claim, experiments, seed)
    yield from _looks(claim, experiments, seed)
    yield from _precision(claim, experiments, seed)
    yield from _coverage(claim, experiments, seed)
    yield from _advice(claim, experiments, seed)


def _operating(claim: Claim, experiments: int, seed: int) -> Iterator[str]:
    """Yield every verdict by truth, spread and number of pairs."""
    numbers = f"{', '.join(map(str, RUNS[:-1]))} and {RUNS[-1]} pairs"
    cells = {tolerance: operating(claim, tolerance, experiments, seed) for tolerance in TOLERANCES}
    tightest = TOLERANCES[0]
    yield f"\n## Reproduced, within {_pct(tightest)} of {claim.published:g}; {numbers}\n"
    yield from reproduced_table(cells[tightest])
    for tolerance in TOLERANCES:
        yield f"\n## Every verdict, within {_pct(tolerance)}; {numbers}\n"
        rows = []
        for (truth, variation), shares in cells[tolerance].items():
            row = [f"{truth:.4g}", _pct(variation)]
            for verdict in SHOWN:
                row.append(" / ".join(f"{share.get(verdict, 0):.1f}" for share in shares))
            rows.append(row)
        yield from _table(["true ratio", "CV"] + list(SHOWN), rows)


def operating(claim: Claim, tolerance: float, experiments: int, seed: int) -> Cells:
    """Return the percent of each verdict in every cell; all cells share their random values."""
    samples = [normals(experiments, n, seed) for n in RUNS]
    cells: Cells = {}
    for truth in TRUTHS:
        for variation in VARIATIONS:
            world = World(claim=claim, truth=truth, variation=variation)
            shares = [verdict_shares(world, tolerance, normal) for normal in samples]
            cells[truth, variation] = shares
    return cells


def reproduced_table(cells: Cells) -> Iterator[str]:
    """Yield the lines of a table of how often a claim is reproduced; docs/claims.md has it."""
    rows = []
    for truth in TRUTHS:
        row = [f"{truth:.4g}"]
        for variation in VARIATIONS:
            shares = cells[truth, variation]
            row.append(" / ".join(f"{share.get('reproduced', 0):.0f}" for share in shares))
        rows.append(row)
    yield from _table(["true ratio"] + [f"CV {_pct(variation)}" for variation in VARIATIONS], rows)


def _looks(claim: Claim, experiments: int, seed: int) -> Iterator[str]:
    yield "\n## False decisions of the direction, at a true ratio of 1\n"
    world = World(claim=claim, truth=1.0, variation=USUAL_VARIATION)
    normal = normals(experiments, max(RUNS), seed)
    one, two, four = (5,), (5, 10), (5, 10, 15, 20)
    rows = []
    for looks, planned, level in (
        (one, "planned", level_of_each(one)),
        (two, "planned", level_of_each(two)),
        (two, "not planned", 1 - LEVEL),
        (four, "not planned", 1 - LEVEL),
    ):
        wrong_pct = false_decisions(world, looks, level, normal)
        numbers = ", ".join(map(str, looks))
        rows.append([numbers, planned, f"{100 * level:.3g} %", f"{wrong_pct:.1f}"])
    yield from _table(["looks after", "", "error of each", "false decisions"], rows)


def _precision(claim: Claim, experiments: int, seed: int) -> Iterator[str]:
    yield "\n## Stopped when precise enough\n"
    rows = []
    for variation, tolerance in ((0.05, 0.1), (0.1, 0.1), (0.1, 0.25), (0.2, 0.25)):
        world = World(claim=claim, truth=1.2, variation=variation)
        stopped = until_precise(world, tolerance, normals(experiments, MAX_PAIRS, seed))
        pairs = stopped.n.mean()
        truth = math.log(world.truth)
        held_pct = percent(stopped.hold(truth))
        off_pct = 100 * math.expm1(stopped.centre.mean() - truth)
        numbers = [f"{pairs:.1f}", f"{held_pct:.1f}", f"{off_pct:+.1f}"]
        rows.append([_pct(variation), _pct(tolerance)] + numbers)
    head = ["CV", "half-width", "pairs on average", "hold the truth", "estimate off by, %"]
    yield from _table(head, rows)


def _coverage(claim: Claim, experiments: int, seed: int) -> Iterator[str]:
    yield f"\n## Intervals that hold the truth, of {PILOT} pairs\n"
    world = World(claim=claim, truth=1.2, variation=USUAL_VARIATION)
    rows = []
    for correlation in CORRELATIONS:
        normal = normals(experiments, PILOT, seed, correlation)
        pairs_pct = coverage(world, normal, paired=True)
        welch_pct = coverage(world, normal, paired=False)
        rows.append([f"{correlation:g}", f"{pairs_pct:.1f}", f"{welch_pct:.1f}"])
    yield from _table(["correlation within a pair", "pairs", "Welch"], rows)


def _advice(claim: Claim, experiments: int, seed: int) -> Iterator[str]:
    """Yield how many experiments with the advised pairs decide; the claim is exactly true."""
    yield "\n## Decided with the advised number of pairs, if the claim is exactly true\n"
    rows = []
    assert claim.published is not None
    for variation, tolerance in ((0.1, None), (0.2, None), (0.05, 0.1), (0.1, 0.1), (0.2, 0.25)):
        world = World(claim=claim, truth=claim.published, variation=variation)
        # The variance of a difference of two independent logarithms.
        n = advised(claim, [2 * world.sigma**2], MIN_PAIRS, tolerance)
        estimates = world.estimates(normals(experiments, n, seed))
        known_pct = percent(are_decided(claim, estimates, tolerance))
        seen_pct = percent(after_pilots(world, tolerance, experiments, seed))
        what = "direction"
        if tolerance is not None:
            what = f"size within {_pct(tolerance)}"
        rows.append([what, _pct(variation), str(n), f"{known_pct:.1f}", f"{seen_pct:.1f}"])
    yield from _table(
        ["what", "CV", "pairs", "spread known", f"spread seen in {PILOT} pairs"], rows
    )


def _pct(share: float) -> str:
    return f"{100 * share:g} %"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Yield the lines of a table in Markdown."""
    yield f"| {' | '.join(head)} |"
    yield f"|{'---|' * len(head)}"
    for row in rows:
        yield f"| {' | '.join(row)} |"
