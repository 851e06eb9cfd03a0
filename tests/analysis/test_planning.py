"""How many runs a claim takes, and the levels of planned looks: published and simulated."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
from scipy.special import stdtrit

from evenground.analysis.planning import (
    MAX_RUNS,
    Floats,
    expected_half_width,
    false_decisions,
    level_of_each,
    runs_for_direction,
    runs_for_size,
    runs_for_width,
)
from evenground.analysis.statistics import MIN_PAIRS, MIN_RUNS, blocked

EXPERIMENTS = 20_000
T1 = math.log(1.3421)
# Of one block's contrast, or of one run of each group.
SPREADS = [(0.02,), (0.08,), (0.02, 0.02), (0.08, 0.01)]


# Pocock 1977, table 1: rounded there, rounded down here.
@pytest.mark.parametrize(
    ("looks", "level"), [(2, 0.0294), (3, 0.0221), (4, 0.0182), (5, 0.0158), (10, 0.0106)]
)
def test_equally_spaced_looks_have_pococks_levels(looks: int, level: float) -> None:
    found = level_of_each([5 * number for number in range(1, looks + 1)])
    assert found == pytest.approx(level, abs=1.01e-4)
    assert found == math.floor(1e4 * found + 0.5) / 1e4, "four decimals"


# Armitage, McPherson and Rowe 1969, table 2: looks at 5 % each.
@pytest.mark.parametrize(
    ("looks", "share"), [(1, 0.05), (2, 0.083), (3, 0.107), (4, 0.126), (5, 0.142), (10, 0.193)]
)
def test_looking_without_a_plan_costs_what_was_published(looks: int, share: float) -> None:
    assert false_decisions([7 * number for number in range(1, looks + 1)]) == pytest.approx(
        share, abs=6e-4
    )


@pytest.mark.parametrize("looks", [(4, 5, 6, 7), (5, 10, 20), (4, 10_000), (900, 1000)])
def test_all_looks_together_err_in_five_per_cent(looks: tuple[int, ...]) -> None:
    level = level_of_each(looks)
    assert false_decisions(looks, level) <= 0.05 < false_decisions(looks, level + 1e-4)
    assert 0.05 / len(looks) < level < 0.05


def test_one_look_and_none_planned_are_the_usual_level() -> None:
    assert level_of_each([5]) == level_of_each([]) == 0.05


def test_the_integration_agrees_with_simulated_looks() -> None:
    rng = np.random.default_rng(1)
    sums = np.cumsum(rng.standard_normal((200_000, 20)), axis=1)
    looks = (4, 9, 20)
    at_looks = np.abs(sums[:, [look - 1 for look in looks]]) / np.sqrt(looks)
    seen = np.mean((at_looks > 1.959964).any(axis=1))
    assert false_decisions(looks) == pytest.approx(seen, abs=0.002)


@pytest.mark.parametrize(
    ("spread", "tolerance", "runs"),
    [(0.05, 0.1, 7), (0.1, 0.1, 25), (0.2, 0.25, 18), (0.01, 0.1, MIN_RUNS)],
)
def test_runs_for_a_size(spread: float, tolerance: float, runs: int) -> None:
    """The referee's approximation has 8, 25 and 19."""
    assert runs_for_size((spread**2, spread**2), math.log1p(tolerance)) == runs


@pytest.mark.parametrize(("spread", "runs"), [(0.1, 4), (0.2, 9), (0.001, MIN_RUNS)])
def test_runs_for_the_direction_of_t1(spread: float, runs: int) -> None:
    assert runs_for_direction((spread**2, spread**2), T1) == runs


@pytest.mark.parametrize(("spreads", "least"), [((0.0,), MIN_PAIRS), ((0.0, 0.0), MIN_RUNS)])
def test_without_any_spread_the_fewest_are_enough(spreads: tuple[float, ...], least: int) -> None:
    assert runs_for_direction(spreads, 0.1) == runs_for_size(spreads, 0.1) == least
    assert runs_for_width(spreads, 0.1) == least


@pytest.mark.parametrize("spreads", [(9.0,), (9.0, 9.0), (math.nan,)])
def test_above_a_thousand_runs_there_is_no_number(spreads: tuple[float, ...]) -> None:
    assert runs_for_direction(spreads, 0.1) is runs_for_size(spreads, 0.1) is None
    assert runs_for_width(spreads, 0.1) is None
    assert runs_for_direction((0.01,), distance=0.0) is None, "on the bound no number decides"


def test_of_a_tiny_spread_the_noncentral_t_is_not_asked_beyond_what_it_computes() -> None:
    found = {runs_for_direction((10.0**-exponent,), 7.0) for exponent in range(2, 25)}
    assert found == {MIN_PAIRS}


@pytest.mark.parametrize("spreads", SPREADS)
def test_the_numbers_are_the_smallest(spreads: tuple[float, ...]) -> None:
    strict, usual = (runs_for_direction(spreads, 0.15, alpha) for alpha in (0.0293, 0.05))
    assert strict and usual and usual < strict < MAX_RUNS
    width = runs_for_width(spreads, 0.1)
    assert width
    halves = [expected_half_width(spreads, n) for n in (width - 1, width)]
    assert halves[1] <= 0.1 < halves[0]


def simulated(spreads: Sequence[float], n: int, truth: float, seed: int) -> tuple[Floats, Floats]:
    """Estimate and half width of many experiments of `n` blocks, or runs in each group."""
    rng = np.random.default_rng(seed)
    estimate, variances = np.full(EXPERIMENTS, truth), []
    for spread in spreads:
        values = rng.normal(0, math.sqrt(spread), (EXPERIMENTS, n))
        estimate += values.mean(axis=1)
        variances.append(values.var(axis=1, ddof=1) / n)
    total = np.sum(variances, axis=0)
    df = total**2 / np.sum([v**2 / (n - 1) for v in variances], axis=0)
    return estimate, stdtrit(df, 0.975) * np.sqrt(total)


@pytest.mark.parametrize("spreads", SPREADS)
def test_four_fifths_of_experiments_decide_the_direction(spreads: tuple[float, ...]) -> None:
    distance = 0.15
    n = runs_for_direction(spreads, distance)
    assert n
    estimate, half = simulated(spreads, n, distance, seed=2)
    assert np.mean(estimate - half > 0) == pytest.approx(0.8, abs=0.05)


@pytest.mark.parametrize("spreads", SPREADS)
def test_four_fifths_of_experiments_decide_the_size(spreads: tuple[float, ...]) -> None:
    tolerance = 0.12
    n = runs_for_size(spreads, tolerance)
    assert n
    estimate, half = simulated(spreads, n, 0.0, seed=3)
    assert np.mean(np.abs(estimate) + half < tolerance) == pytest.approx(0.8, abs=0.05)


def test_two_planned_looks_err_as_often_as_one_and_two_unplanned_ones_more() -> None:
    """Paired intervals by Student's t, the truth on the bound, the runs of the first look in the second."""
    rng, looks, experiments = np.random.default_rng(4), (5, 10), 5000
    planned = level_of_each(looks)
    wrong = {planned: 0, 0.05: 0}
    for _ in range(experiments):
        pairs = np.exp(rng.normal(0, 0.2, (2, looks[-1])))
        for level in wrong:
            wrong[level] += any(excludes_one(pairs[:, :look], 1 - level) for look in looks)
    assert wrong[planned] / experiments <= 0.055
    assert wrong[0.05] / experiments > 0.07


def excludes_one(pairs: Floats, level: float) -> bool:
    """Whether the interval of the ratio lies wholly on one side of 1."""
    below, above = ({r: float(value) for r, value in enumerate(row)} for row in pairs)
    found = blocked([(-1, below), (1, above)], log=True, level=level)
    return found.low > 1 or found.high < 1
