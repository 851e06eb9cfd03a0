"""How often the rule gives which verdict if the truth is known: log-normal runs are judged."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtrit

from evenground.analysis.runs import Floats
from evenground.analysis.statistics import LEVEL
from evenground.claims.inference import Interval
from evenground.claims.judge import judge
from evenground.claims.model import Claim
from evenground.records.verdicts import Verdict

TRUTHS = (1.0, 1.2, 1.3, 1.342, 1.6)
VARIATIONS = (0.02, 0.05, 0.1, 0.2)
RUNS = (5, 10, 20)
TOLERANCES = (0.1, 0.25)
# The verdicts that a claim with a size can have.
SHOWN: tuple[Verdict, ...] = (
    "reproduced",
    "direction reproduced, size open",
    "direction reproduced, other size",
    "inconclusive",
    "size refuted",
    "contradicted",
)

Shares = dict[Verdict, float]
"""Percent of experiments with each verdict."""
Cells = dict[tuple[float, float], list[Shares]]
"""True ratio and coefficient of variation -> the shares for each of RUNS."""


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

    def intervals(self, normal: Floats) -> list[Interval]:
        """Return the interval of each experiment of pairs.

        `normal`: standard normal values of shape (experiments, 2, n). All experiments are computed
        at once; a test compares them with `estimators.estimate_contrast`.
        """
        n = normal.shape[2]
        differences = math.log(self.truth) + self.sigma * (normal[:, 0] - normal[:, 1])
        centre = differences.mean(axis=1)
        se = differences.std(axis=1, ddof=1) / math.sqrt(n)
        half_width = stdtrit(n - 1, 0.5 + LEVEL / 2) * se
        lows = np.exp(centre - half_width).tolist()
        highs = np.exp(centre + half_width).tolist()
        return [Interval(low, high) for low, high in zip(lows, highs, strict=True)]

    def verdicts(self, tolerance: float, normal: Floats) -> Shares:
        """Return how often each verdict is given in experiments of shape (experiments, 2, n)."""
        intervals = self.intervals(normal)
        counts = Counter(judge(self.claim, interval, tolerance).verdict for interval in intervals)
        return {verdict: 100 * count / len(intervals) for verdict, count in counts.items()}


def normals(experiments: int, n: int, seed: int) -> Floats:
    """Return standard normal values of shape (experiments, 2, n)."""
    return np.random.default_rng([seed, n]).standard_normal((experiments, 2, n))


def report(claim: Claim, experiments: int, seed: int) -> Iterator[str]:
    """Yield tables in Markdown: how often the claim is reproduced, how often each verdict given."""
    cell = f"{experiments:,} experiments a cell"
    yield f"# How often the rule says what: {claim.id}, {cell}, seed {seed}"
    # The standard error of a share is largest at one half.
    error = 50 / math.sqrt(experiments)
    yield f"\nPer cent of experiments; their standard error is at most {error:.1f}."
    yield "Runs are log-normal and not correlated within a pair."
    numbers = f"{' / '.join(map(str, RUNS))} pairs"
    cells = {tolerance: operating(claim, tolerance, experiments, seed) for tolerance in TOLERANCES}
    tightest = TOLERANCES[0]
    yield f"\n## Reproduced, within {_pct(tightest)} of {claim.published:g}; {numbers}\n"
    yield from reproduced_table(cells[tightest])
    for tolerance in TOLERANCES:
        yield f"\n## Every verdict, within {_pct(tolerance)}; {numbers}\n"
        yield from verdicts_table(cells[tolerance])


def operating(claim: Claim, tolerance: float, experiments: int, seed: int) -> Cells:
    """Return how often each verdict is given in every cell; all cells share their random values."""
    samples = [normals(experiments, n, seed) for n in RUNS]
    cells: Cells = {}
    for truth in TRUTHS:
        for variation in VARIATIONS:
            world = World(claim=claim, truth=truth, variation=variation)
            cells[truth, variation] = [world.verdicts(tolerance, normal) for normal in samples]
    return cells


def reproduced_table(cells: Cells) -> Iterator[str]:
    """Yield the lines of the table of reproduced claims that docs/claims.md has."""
    yield from _head(["true ratio"] + [f"CV {_pct(variation)}" for variation in VARIATIONS])
    for truth in TRUTHS:
        row = [f"{truth:.4g}"]
        for variation in VARIATIONS:
            shares = cells[truth, variation]
            row.append(" / ".join(f"{share.get('reproduced', 0):.0f}" for share in shares))
        yield _line(row)


def verdicts_table(cells: Cells) -> Iterator[str]:
    """Yield the lines of the table of every verdict, a row per true ratio and variation."""
    yield from _head(["true ratio", "CV"] + list(SHOWN))
    for (truth, variation), shares in cells.items():
        row = [f"{truth:.4g}", _pct(variation)]
        for verdict in SHOWN:
            row.append(" / ".join(f"{share.get(verdict, 0):.1f}" for share in shares))
        yield _line(row)


def _pct(share: float) -> str:
    return f"{100 * share:g} %"


def _head(names: Sequence[str]) -> Iterator[str]:
    yield _line(names)
    yield f"|{'---|' * len(names)}"


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
