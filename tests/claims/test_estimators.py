"""Estimates of claims: pairs and independent groups, what they rest on, and what no run makes certain."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from claims.simulated import estimate_all
from evenground.analysis.runs import Floats
from evenground.analysis.statistics import (
    NO_SPREAD,
    Estimate,
    pair_ratio,
    ratio_interval,
    ratio_of_ratios,
)
from evenground.claims.estimators import (
    ESTIMATORS,
    Arguments,
    Contrast,
    Group,
    Sampled,
    estimate_contrast,
)

LEVEL = 0.95
Groups = dict[Group, list[float]]


def made(seed: int, *groups: tuple[float, float, int]) -> list[list[float]]:
    """Log-normal groups of given location, sigma and size."""
    rng = np.random.default_rng(seed)
    return [np.exp(rng.normal(mu, sigma, n)).tolist() for mu, sigma, n in groups]


def sampled(values: list[float], resolution: float = 0.0, formula_error: float = 0.0) -> Sampled:
    numbered = dict(enumerate(values, start=1))
    return Sampled(values=numbered, resolution=resolution, formula_error=formula_error)


def found(name: str, groups: Groups, paired: bool = True, **more: float) -> Estimate:
    """What an estimator makes of groups whose runs are paired by their place, or not at all."""
    datasets = tuple(dict.fromkeys(dataset for _, dataset in groups))
    over = None if name == "level" else "b"
    given = Arguments(measure="rise", resource="ram", of="a", over=over, datasets=datasets)
    shortest = min(map(len, groups.values()))
    blocks = range(1, shortest + 1) if paired else None
    each = {group: sampled(values, **more) for group, values in groups.items()}
    return estimate_contrast(ESTIMATORS[name](given), each, blocks, LEVEL)


def test_a_ratio_of_pairs_is_students_test_of_the_log_differences() -> None:
    a, b = made(1, (0.3, 0.05, 5), (0, 0.1, 5))
    ours = found("ratio", {("a", "x"): a, ("b", "x"): b})
    theirs = stats.ttest_rel(np.log(a), np.log(b)).confidence_interval(LEVEL)
    assert (ours.low, ours.high) == pytest.approx((math.exp(theirs.low), math.exp(theirs.high)))
    table = pair_ratio(dict(enumerate(b)), dict(enumerate(a)))
    assert (ours.value, ours.low, ours.high) == pytest.approx((table.value, table.low, table.high))
    assert (ours.n, ours.df) == (5, 4)


def test_a_ratio_of_independent_groups_is_welchs() -> None:
    a, b = made(1, (0.3, 0.05, 5), (0, 0.1, 4))
    ours = found("ratio", {("a", "x"): a, ("b", "x"): b}, paired=False)
    theirs = ratio_interval(b, a)
    assert (ours.value, ours.low, ours.high, ours.df) == pytest.approx(
        (theirs.value, theirs.low, theirs.high, theirs.df)
    )


def test_a_ratio_of_ratios_is_that_of_the_blocks() -> None:
    groups = made(2, (0, 0.05, 5), (0.1, 0.1, 5), (0.2, 0.1, 5), (0, 0.2, 5))
    names = [(role, dataset) for dataset, role in itertools.product("xy", "ab")]
    ours = found("ratio_of_ratios", dict(zip(names, groups, strict=True)))
    ax, bx, ay, by = (np.log(group) for group in groups)
    theirs = stats.ttest_1samp((ay - by) - (ax - bx), 0).confidence_interval(LEVEL)
    assert (math.log(ours.low), math.log(ours.high)) == pytest.approx((theirs.low, theirs.high))


def test_between_two_sources_the_ratios_of_pairs_are_independent() -> None:
    a, b, c, d = (
        dict(enumerate(g)) for g in made(2, (0, 0.05, 5), (0.1, 0.1, 5), (0.2, 0.1, 6), (0, 0.2, 6))
    )
    ours = ratio_of_ratios((a, b), (c, d))
    first, second = ([math.log(over[k] / base[k]) for k in base] for base, over in ((a, b), (c, d)))
    theirs = stats.ttest_ind(second, first, equal_var=False).confidence_interval(LEVEL)
    assert (math.log(ours.low), math.log(ours.high)) == pytest.approx((theirs.low, theirs.high))
    assert ours.n == 5


def test_a_level_is_students_interval() -> None:
    (values,) = made(3, (1, 0.2, 6))
    ours = found("level", {("a", "x"): values})
    low, high = stats.ttest_1samp(values, 0).confidence_interval(LEVEL)
    assert (ours.value, ours.low, ours.high) == pytest.approx((np.mean(values), low, high))


def test_a_mean_ratio_weighs_datasets_alike() -> None:
    groups = made(4, (0.4, 0.1, 5), (0, 0.1, 5), (0.2, 0.1, 5), (0, 0.1, 5))
    names = [("a", "x"), ("b", "x"), ("a", "y"), ("b", "y")]
    parts = [ratio_interval(groups[k + 1], groups[k]).value for k in (0, 2)]
    ours = found("mean_ratio", dict(zip(names, groups, strict=True)))
    assert ours.value == pytest.approx(math.sqrt(parts[0] * parts[1]))


def test_a_level_over_two_datasets_is_taken_within_each_repetition_first() -> None:
    """Means of the blocks 2, 3 and 4: the mean 3, variance 1, two degrees of freedom."""
    groups = {("a", "x"): [1.0, 2.5, 3.0], ("a", "y"): [3.0, 3.5, 5.0]}
    ours = found("level", groups)
    assert (ours.value, ours.se, ours.df) == pytest.approx((3.0, math.sqrt(1 / 3), 2.0))


def test_a_block_without_a_value_of_any_group_is_left_out() -> None:
    a, b = [2.0, 2.2, math.nan, 2.1, 2.3], [1.0, 1.1, 1.0, 1.2, 1.0]
    ours = found("ratio", {("a", "x"): a, ("b", "x"): b})
    logs = [math.log(x / y) for x, y in zip(a, b, strict=True) if not math.isnan(x)]
    assert ours.n == 4 and ours.centre == pytest.approx(np.mean(logs))


def test_whole_percents_are_no_exact_numbers() -> None:
    """Every run read 20 %, or 19 %: the interval is that of the steps, each a variance of 1/12."""
    groups = {("a", "x"): [20.0] * 5, ("b", "x"): [19.0] * 5}
    ours = found("ratio", groups, resolution=1.0)
    se = math.sqrt((1 / 20**2 + 1 / 19**2) / 12)
    assert ours.se == pytest.approx(se) and math.isinf(ours.df)
    half = stats.norm.ppf(0.975) * se
    assert (ours.low, ours.high) == pytest.approx(
        (20 / 19 * math.exp(-half), 20 / 19 * math.exp(half))
    )
    level = found("level", {("a", "x"): [20.0] * 5}, resolution=1.0)
    assert level.high - level.low == pytest.approx(2 * stats.norm.ppf(0.975) / math.sqrt(12))


def test_steps_are_not_made_finer_by_more_runs() -> None:
    widths = []
    for n in (5, 500):
        (values,) = made(5, (3, 0.01, n))
        ours = found("level", {("a", "x"): values}, resolution=1.0)
        widths.append(ours.high - ours.low)
    assert widths[1] > 2 * stats.norm.ppf(0.975) / math.sqrt(12)
    assert widths[0] > widths[1]


def test_without_any_variance_there_is_no_interval() -> None:
    ours = found("ratio", {("a", "x"): [2.0] * 5, ("b", "x"): [1.0] * 5})
    assert ours.reason == NO_SPREAD and math.isnan(ours.low)


def test_the_error_of_a_formula_widens_the_interval() -> None:
    a, b = made(6, (0.3, 0.05, 5), (0, 0.05, 5))
    groups = {("a", "x"): a, ("b", "x"): b}
    exact, extrapolated = found("ratio", groups), found("ratio", groups, formula_error=0.1)
    assert extrapolated.se == pytest.approx(math.sqrt(exact.se**2 + 2 * 0.1**2))


EXPERIMENTS = 20_000
# Four standard errors of the share of intervals that hold the truth, if it is 95 %.
ERROR = 4 * math.sqrt(LEVEL * (1 - LEVEL) / EXPERIMENTS)


def simulated(
    name: str, sigmas: tuple[float, float], n: int, experiments: int
) -> tuple[Contrast, Floats]:
    """A contrast and its runs, (experiments, groups, n); the truth is 1, of ratios the logarithm 0."""
    datasets = ("x",) if name == "ratio" else ("x", "y")
    over = None if name == "level" else "b"
    contrast = ESTIMATORS[name](
        Arguments(measure="rise", resource="ram", of="a", over=over, datasets=datasets)
    )
    sigma = dict(zip("ab", sigmas, strict=True))
    scales = np.array([sigma[role] for role, _ in contrast.weights])
    source = np.random.default_rng(20220601)
    values = source.standard_normal((experiments, len(scales), n)) * scales[:, None]
    return contrast, values + (name == "level")


CELLS = pytest.mark.parametrize(
    ("paired", "sigmas", "n"),
    list(itertools.product([True, False], [(0.1, 0.1), (0.02, 0.2)], [5, 10])),
)


@CELLS
@pytest.mark.parametrize("name", list(ESTIMATORS))
def test_intervals_hold_the_truth_as_often_as_they_say(
    name: str, paired: bool, sigmas: tuple[float, float], n: int
) -> None:
    contrast, values = simulated(name, sigmas, n, EXPERIMENTS)
    held = estimate_all(contrast, values, paired).hold(1.0 if name == "level" else 0.0).mean()
    # Student's interval of pairs is exact; Welch's degrees of freedom are an approximation.
    tolerance = ERROR if paired else ERROR + 0.01
    assert held == pytest.approx(LEVEL, abs=tolerance)


@CELLS
@pytest.mark.parametrize("name", list(ESTIMATORS))
def test_many_experiments_at_once_are_estimated_like_one(
    name: str, paired: bool, sigmas: tuple[float, float], n: int
) -> None:
    contrast, values = simulated(name, sigmas, n, experiments=3)
    at_once = estimate_all(contrast, values, paired)
    blocks = range(1, n + 1) if paired else None
    for number, experiment in enumerate(values if name == "level" else np.exp(values)):
        groups = {
            group: sampled(runs.tolist())
            for group, runs in zip(contrast.weights, experiment, strict=True)
        }
        alone = estimate_contrast(contrast, groups, blocks, LEVEL)
        numbers = at_once.centre[number], at_once.half_width[number]
        assert numbers == pytest.approx((alone.centre, alone.half_width), rel=1e-9, abs=1e-12)
