"""Many simulated experiments, estimated at once: what the tests of the rule's errors count."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import stdtrit

from evenground.analysis.planning import MAX_RUNS, MIN_PRECISE
from evenground.analysis.runs import Floats
from evenground.analysis.statistics import LEVEL
from evenground.claims.advice import runs_for_its_size, runs_to_decide
from evenground.claims.estimators import Contrast
from evenground.claims.inference import Interval
from evenground.claims.judge import judge
from evenground.claims.simulation import World, normals

# Pairs from which a first experiment plans a second one.
PILOT = 5
Answers = npt.NDArray[np.bool_]


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
