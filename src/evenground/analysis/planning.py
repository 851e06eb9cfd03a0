"""How many runs a claim takes, and what it costs to look at the runs more than once."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
from scipy.special import nctdtr, ndtri, stdtr, stdtrit

from evenground.analysis.statistics import MIN_PAIRS, MIN_RUNS, half_width, welch

ALPHA, POWER = 0.05, 0.8
MAX_RUNS = 1000
# Nobody may stop at a width before: few runs may happen to agree, and their interval is then too short.
MIN_PRECISE = 8
Floats = npt.NDArray[np.float64]
# A density is integrated over panels of two of its standard deviations, by Gauss and Legendre's rule in each.
KNOTS, WEIGHTS = np.polynomial.legendre.leggauss(8)
# Beyond it nearly every experiment decides, and the noncentral t distribution is not always computed.
MAX_NONCENTRALITY = 30.0
# How exactly a level is looked for; it is rounded far more coarsely.
STEP = 1e-7


def level_of_each(looks: Sequence[int]) -> float:
    """The nominal two-sided error of each planned look; all of them together err with a chance of 5 %.

    `looks`: increasing numbers of repetitions; of none or one it is 0.05. It is the same at every look:
    S. J. Pocock, Biometrika 64 (1977), here for any distances between looks. Rounded down to four decimals,
    so that it is the same to the last digit whatever numpy rounds.
    """
    if len(looks) < 2:
        return ALPHA
    low, high = ALPHA / len(looks), ALPHA
    while high - low > STEP:
        middle = (low + high) / 2
        if false_decisions(looks, middle) > ALPHA:
            high = middle
        else:
            low = middle
    return math.floor(low * 10_000) / 10_000


def false_decisions(looks: Sequence[int], level: float = ALPHA) -> float:
    """Chance of at least one false decision where every look uses the two-sided error `level`.

    `looks`: increasing numbers of repetitions. The statistics are normal, those of looks i < j with the
    correlation sqrt(n_i / n_j): the sum of n repetitions has the variance n, and goes on from look to look
    where it stayed within the boundary. Source: P. Armitage, C. K. McPherson, B. C. Rowe, J. R. Stat. Soc. A
    132 (1969), by recursive numerical integration.
    """
    boundary = -float(ndtri(level / 2))
    gained = np.diff([0, *looks])
    places, chances = np.zeros(1), np.ones(1)
    for number, look in enumerate(looks):
        # What comes to this look, and what goes on from it to the next one.
        finest = math.sqrt(gained[number : number + 2].min())
        inside, weights = _panels(boundary * math.sqrt(look), finest)
        density = _normal(inside[:, None] - places, float(gained[number])) @ chances
        places, chances = inside, weights * density
    return 1 - float(chances.sum())


def runs_for_direction(
    spreads: Sequence[float],
    distance: float,
    alpha: float = ALPHA,
    extra: float = 0.0,
) -> int | None:
    """The smallest number of blocks, or of runs in each group, that decides on which side of a bound it is.

    `spreads`: the variance of one block's contrast, or of one run of each of several independent groups.
    `distance`: from the claimed value to the bound, on the scale of the test; where the claim is exactly true
    so many decide for it in the share POWER of experiments. `extra`: a variance of the mean that stays
    however many there are, as that of a coarse scale. Never below MIN_PAIRS blocks or MIN_RUNS runs;
    None above MAX_RUNS. Source: the noncentral t distribution, with Satterthwaite's degrees of freedom
    (B. L. Welch, Biometrika 34, 1947).
    """

    def decides(df: float, se: float) -> bool:
        noncentrality = min(distance / se, MAX_NONCENTRALITY)
        return bool(nctdtr(df, noncentrality, stdtrit(df, 1 - alpha / 2)) <= 1 - POWER)

    return _smallest(spreads, extra, decides)


def runs_for_size(
    spreads: Sequence[float],
    tolerance: float,
    alpha: float = ALPHA,
    extra: float = 0.0,
) -> int | None:
    """The smallest number of blocks, or of runs in each group, whose interval lies within the tolerance.

    `tolerance`: on each side of the claimed value, on the scale of the test, where the claim is exactly
    true. The rest as by `runs_for_direction`. Source: two one-sided tests, each at alpha / 2
    (D. J. Schuirmann, J. Pharmacokinet. Biopharm. 15, 1987; K. F. Phillips, ibid. 18, 1990, for its power).
    """

    def decides(df: float, se: float) -> bool:
        room = tolerance / se - stdtrit(df, 1 - alpha / 2)
        return bool(2 * stdtr(df, room) - 1 >= POWER)

    return _smallest(spreads, extra, decides)


def runs_for_width(
    spreads: Sequence[float], half: float, alpha: float = ALPHA, extra: float = 0.0
) -> int | None:
    """The smallest number of blocks, or of runs in each group, whose interval reaches `half` to each side.

    On the scale of the test, where the spreads are as given; the rest as by `runs_for_direction`.
    """
    return _smallest(spreads, extra, lambda df, se: half_width(df, se, 1 - alpha) <= half)


def expected_half_width(spreads: Sequence[float], n: int) -> float:
    """Half the width of the t interval of `n` blocks, or runs in each group, on the scale of the test."""
    df, se = _error(spreads, n, extra=0.0)
    return half_width(df, se, 1 - ALPHA)


def _smallest(
    spreads: Sequence[float], extra: float, decides: Callable[[float, float], bool]
) -> int | None:
    """The smallest number whose degrees of freedom and standard error decide.

    More are enough as well, so the numbers are halved; where there is no error, any is enough.
    """

    def is_enough(n: int) -> bool:
        df, se = _error(spreads, n, extra)
        return se == 0 or decides(df, se)

    least = MIN_PAIRS if len(spreads) == 1 else MIN_RUNS
    numbers = range(least, MAX_RUNS + 1)
    place = bisect_left(numbers, True, key=is_enough)
    return numbers[place] if place < len(numbers) else None


def _error(spreads: Sequence[float], n: int, extra: float) -> tuple[float, float]:
    """Degrees of freedom and standard error of `n` blocks, or runs in each group."""
    return welch([spread / n for spread in spreads], [n] * len(spreads), extra)


def _panels(edge: float, finest: float) -> tuple[Floats, Floats]:
    """Places and weights of an integral from -edge to edge, of what varies on the scale `finest`."""
    count = math.ceil(edge / finest)
    half = edge / count
    middles = -edge + half * (2 * np.arange(count) + 1)
    places = middles[:, None] + half * KNOTS
    return places.ravel(), np.tile(half * WEIGHTS, count)


def _normal(distance: Floats, variance: float) -> Floats:
    """Density of the normal distribution at a distance from its mean."""
    density: Floats = np.exp(-(distance**2) / (2 * variance)) / math.sqrt(2 * math.pi * variance)
    return density
