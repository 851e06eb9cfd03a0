"""Many simulated experiments, estimated at once: what the tests of the rule's errors count.

Run as a program it prints how often the rule gives which verdict if the truth is known, as tables
in Markdown: PYTHONPATH=src python tests/claims/simulated.py
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy.special import stdtrit

from evenground.analysis.planning import MAX_RUNS, MIN_PRECISE
from evenground.analysis.runs import Floats
from evenground.analysis.statistics import LEVEL
from evenground.claims import inference
from evenground.claims.advice import runs_for_its_size, runs_to_decide
from evenground.claims.estimators import Contrast
from evenground.claims.inference import Interval
from evenground.claims.judge import judge
from evenground.claims.model import Claim, read_claims
from evenground.records.verdicts import Verdict

ROOT = Path(__file__).resolve().parents[2]
# What the table in docs/claims.md is of.
SHOWN_CLAIM, EXPERIMENTS, SEED = "T1", 2000, 1
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
# Pairs from which a first experiment plans a second one.
PILOT = 5
Answers = npt.NDArray[np.bool_]


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
    yield f"\n## Reproduced, within {inference.percent(tightest)} of {claim.published:g}; {numbers}\n"
    yield from reproduced_table(cells[tightest])
    for tolerance in TOLERANCES:
        yield f"\n## Every verdict, within {inference.percent(tolerance)}; {numbers}\n"
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
    yield from _head(
        ["true ratio"] + [f"CV {inference.percent(variation)}" for variation in VARIATIONS]
    )
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
        row = [f"{truth:.4g}", inference.percent(variation)]
        for verdict in SHOWN:
            row.append(" / ".join(f"{share.get(verdict, 0):.1f}" for share in shares))
        yield _line(row)


def _head(names: Sequence[str]) -> Iterator[str]:
    yield _line(names)
    yield f"|{'---|' * len(names)}"


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


@dataclass(frozen=True)
class Estimates:
    """Estimates of many experiments on the scale of the test; arrays of shape (experiments,)."""

    centre: Floats
    half_width: Floats

    def hold(self, value: float) -> Answers:
        """Whether each interval contains a value on the scale of the test."""
        held: Answers = abs(self.centre - value) <= self.half_width
        return held

    def intervals(self) -> list[Interval]:
        """The intervals of ratios, back from logarithms."""
        ends = zip(
            np.exp(self.centre - self.half_width).tolist(),
            np.exp(self.centre + self.half_width).tolist(),
            strict=True,
        )
        return [Interval(low, high) for low, high in ends]


def estimate_all(
    contrast: Contrast, values: Floats, paired: bool, confidence: float = LEVEL
) -> Estimates:
    """A contrast in many experiments, by the formulas of `analysis.statistics`.

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
    )


def estimates(
    world: World, normal: Floats, paired: bool = True, confidence: float = LEVEL
) -> Estimates:
    """The estimates of experiments in a world, from normal values (experiments, 2, n)."""
    contrast = world.claim.contrast
    assert contrast is not None
    logarithms = world.sigma * normal
    logarithms[:, 0] += math.log(world.truth)
    return estimate_all(contrast, logarithms, paired, confidence)


def correlated(experiments: int, n: int, seed: int, correlation: float) -> Floats:
    """Standard normal values (experiments, 2, n) that are correlated within a pair."""
    values = normals(experiments, n, seed)
    values[:, 1] = correlation * values[:, 0] + math.sqrt(1 - correlation**2) * values[:, 1]
    return values


def percent(answers: Answers | Sequence[bool]) -> float:
    """Percent of the answers that are yes."""
    return 100 * float(np.mean(answers))


def band(share_pct: float, experiments: int) -> float:
    """Four standard errors, in percent, of a simulated share of experiments."""
    share = share_pct / 100
    return 400 * math.sqrt(share * (1 - share) / experiments)


def coverage(world: World, normal: Floats, paired: bool) -> float:
    """Percent of experiments (experiments, 2, n) whose interval holds the truth."""
    return percent(estimates(world, normal, paired).hold(math.log(world.truth)))


def false_decisions(world: World, looks: Sequence[int], level: float, normal: Floats) -> float:
    """Percent of experiments (experiments, 2, N) that exclude the truth at one look or more.

    The truth of the world is the bound of the claim; each look has the error `level`.
    """
    wrong = np.zeros(len(normal), dtype=bool)
    for n in looks:
        wrong |= ~estimates(world, normal[:, :, :n], confidence=1 - level).hold(
            math.log(world.truth)
        )
    return percent(wrong)


def until_precise(world: World, tolerance: float, normal: Floats) -> Estimates:
    """The first precise estimate of each experiment (experiments, 2, N), or its last one."""
    stopped = estimates(world, normal)
    # From the last look to the first, so that an earlier precise estimate replaces a later one.
    for n in reversed(range(MIN_PRECISE, normal.shape[2])):
        earlier = estimates(world, normal[:, :, :n])
        is_precise = earlier.half_width <= math.log1p(tolerance)
        stopped = Estimates(
            centre=np.where(is_precise, earlier.centre, stopped.centre),
            half_width=np.where(is_precise, earlier.half_width, stopped.half_width),
        )
    return stopped


def advised(world: World, spreads: Sequence[float], n: int, tolerance: float | None) -> int:
    """How many pairs are advised after `n`: for the direction, or the size within `tolerance`."""
    if tolerance is None:
        needed = runs_to_decide(world.claim, spreads, 1 - LEVEL)
    else:
        needed = runs_for_its_size(world.claim, tolerance, spreads, 1 - LEVEL)
    return MAX_RUNS if needed is None else max(needed, n + 1)


def are_decided(world: World, found: Estimates, tolerance: float | None) -> list[bool]:
    """Whether each estimate has the claimed direction, or the claimed size within `tolerance`."""
    if tolerance is None:
        return [interval.is_within(world.claim.region) for interval in found.intervals()]
    verdicts = [judge(world.claim, one, tolerance).verdict for one in found.intervals()]
    return [verdict == "reproduced" for verdict in verdicts]


def after_pilots(world: World, tolerance: float | None, experiments: int, seed: int) -> list[bool]:
    """Whether each experiment decides that has as many pairs as its own pilot advises."""
    source = np.random.default_rng(seed)
    pilots = world.sigma * normals(experiments, PILOT, seed)
    decided: list[bool] = []
    for spread in np.var(pilots[:, 0] - pilots[:, 1], axis=1, ddof=1):
        n = advised(world, [spread], PILOT, tolerance)
        found = estimates(world, source.standard_normal((1, 2, n)))
        decided += are_decided(world, found, tolerance)
    return decided


def main() -> None:
    """Print the report on the claim of docs/claims.md."""
    claims = read_claims(ROOT).claims.claims
    claim = next(one for one in claims if one.id == SHOWN_CLAIM)
    for line in report(claim, EXPERIMENTS, SEED):
        print(line, flush=True)


if __name__ == "__main__":
    main()
