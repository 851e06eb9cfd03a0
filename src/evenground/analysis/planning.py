"""How many runs a claim takes, and what it costs to look at the runs more than once."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable, Sequence

import numpy as np
from scipy.special import nctdtr, ndtri, stdtr, stdtrit

from evenground.analysis.runs import Floats
from evenground.analysis.statistics import MIN_PAIRS, MIN_RUNS, half_width, welch

ALPHA, POWER = 0.05, 0.8
MAX_RUNS = 1000
# Stopping at a width is not allowed earlier: few runs may agree by chance, and their interval is
# then too short.
MIN_PRECISE = 8
# A density is integrated over panels of two of its standard deviations, by the Gauss-Legendre rule
# in each.
KNOTS, WEIGHTS = np.polynomial.legendre.leggauss(8)
# Above it nearly every experiment decides, and scipy does not always compute the noncentral t
# distribution.
MAX_NONCENTRALITY = 30.0
# Accuracy of the search for a level, which is then rounded to 1e-4.
LEVEL_STEP = 1e-7


def level_of_each(looks: Sequence[int]) -> float:
    """The nominal two-sided error of each planned look, for which all together err in 5 %.

    `looks`: increasing numbers of repetitions; for none or one the level is 0.05. It is the same at
    every look: S. J. Pocock, Biometrika 64 (1977), here for any distances between looks. Rounded
    down to four decimals, so that numpy's rounding does not change a digit.
    """
    if len(looks) < 2:
        return ALPHA
    low, high = ALPHA / len(looks), ALPHA
    while high - low > LEVEL_STEP:
        middle = (low + high) / 2
        if false_decisions(looks, middle) > ALPHA:
            high = middle
        else:
            low = middle
    return math.floor(low * 10_000) / 10_000


def false_decisions(looks: Sequence[int], level: float = ALPHA) -> float:
    """Chance of at least one false decision if every look uses the two-sided error `level`.

    `looks`: increasing numbers of repetitions. The statistics are normal, those of looks i < j with
    the correlation sqrt(n_i / n_j): the sum of n repetitions has the variance n, and continues from
    look to look while it stays within the boundary. Source: P. Armitage, C. K. McPherson,
    B. C. Rowe, J. R. Stat. Soc. A 132 (1969), by recursive numerical integration.
    """
    boundary = -float(ndtri(level / 2))
    gained = np.diff(looks, prepend=0)
    places, chances = np.zeros(1), np.ones(1)
    for number, look in enumerate(looks):
        # The density varies on the scale of the step to this look, or of the one to the next.
        finest = math.sqrt(gained[number : number + 2].min())
        inside, weights = _panels(boundary * math.sqrt(look), finest)
        density = _normal(inside[:, None] - places, float(gained[number])) @ chances
        places, chances = inside, weights * density
    return 1 - float(chances.sum())


def runs_for_direction(
    spreads: Sequence[float], distance: float, alpha: float = ALPHA, extra: float = 0.0
) -> int | None:
    """The smallest number of blocks, or runs per group, that decides the side of a bound.

    `spreads`: the variance of one block's contrast, or of one run of each of several independent
    groups. `distance`: from the claimed value to the bound, on the scale of the test; if the claim
    is exactly true, so many decide for it in the share POWER of experiments. `extra`: a variance of
    the mean that no number of runs reduces, e.g. of a coarse scale. Never below MIN_PAIRS blocks or
    MIN_RUNS runs; None above MAX_RUNS. Source: the noncentral t distribution, with Satterthwaite's
    degrees of freedom (B. L. Welch, Biometrika 34, 1947).
    """

    def decides(df: float, se: float) -> bool:
        noncentrality = min(distance / se, MAX_NONCENTRALITY)
        return bool(nctdtr(df, noncentrality, stdtrit(df, 1 - alpha / 2)) <= 1 - POWER)

    return _smallest(spreads, extra, decides)


def runs_for_size(
    spreads: Sequence[float], tolerance: float, alpha: float = ALPHA, extra: float = 0.0
) -> int | None:
    """The smallest number of blocks, or runs per group, with the interval within the tolerance.

    `tolerance`: on each side of the claimed value, on the scale of the test, if the claim is
    exactly true. Otherwise as `runs_for_direction`. Source: two one-sided tests, each at alpha / 2
    (D. J. Schuirmann, J. Pharmacokinet. Biopharm. 15, 1987; K. F. Phillips, ibid. 18, 1990, for its
    power).
    """

    def decides(df: float, se: float) -> bool:
        room = tolerance / se - stdtrit(df, 1 - alpha / 2)
        return bool(2 * stdtr(df, room) - 1 >= POWER)

    return _smallest(spreads, extra, decides)


def runs_for_width(
    spreads: Sequence[float], half: float, alpha: float = ALPHA, extra: float = 0.0
) -> int | None:
    """The smallest number of blocks, or runs per group, whose interval reaches `half` to each side.

    On the scale of the test, if the spreads stay the same; otherwise as `runs_for_direction`.
    """

    def decides(df: float, se: float) -> bool:
        return half_width(df, se, 1 - alpha) <= half

    return _smallest(spreads, extra, decides)


def expected_half_width(spreads: Sequence[float], n: int) -> float:
    """Half the width of the interval of `n` blocks, or runs per group, on the scale of the test."""
    df, se = _error(spreads, n, extra=0.0)
    return half_width(df, se, 1 - ALPHA)


def _smallest(
    spreads: Sequence[float], extra: float, decides: Callable[[float, float], bool]
) -> int | None:
    """The smallest number whose degrees of freedom and error decide; None above MAX_RUNS."""

    def is_enough(n: int) -> bool:
        df, se = _error(spreads, n, extra)
        # Without any error every number is enough.
        return se == 0 or decides(df, se)

    minimum = MIN_RUNS
    if len(spreads) == 1:
        minimum = MIN_PAIRS
    numbers = range(minimum, MAX_RUNS + 1)
    # If a number is enough, so is every larger one: a binary search finds the first.
    place = bisect_left(numbers, True, key=is_enough)
    if place == len(numbers):
        return None
    return numbers[place]


def _error(spreads: Sequence[float], n: int, extra: float) -> tuple[float, float]:
    """Degrees of freedom and standard error of `n` blocks, or runs in each group."""
    return welch([spread / n for spread in spreads], [n] * len(spreads), extra)


def _panels(edge: float, finest: float) -> tuple[Floats, Floats]:
    """Places (K,) and weights (K,) of an integral from -edge to edge.

    `finest`: the scale on which the integrand varies.
    """
    count = math.ceil(edge / finest)
    half = edge / count
    middles = -edge + half * (2 * np.arange(count) + 1)
    places = middles[:, None] + half * KNOTS
    return places.ravel(), np.tile(half * WEIGHTS, count)


def _normal(distance: Floats, variance: float) -> Floats:
    """Density of the normal distribution at `distance`, of any shape, from its mean."""
    density: Floats = np.exp(-(distance**2) / (2 * variance)) / math.sqrt(2 * math.pi * variance)
    return density
