"""Intervals, p-values, Holm's correction and the runs that would decide: known values and simulation."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from evenground.analysis.statistics import Estimate, contrast, ratio_interval, ratio_of_ratios
from evenground.claims.estimators import ESTIMATORS, Arguments, Values
from evenground.claims.inference import Region, holm, p_value, runs_to_decide

ABOVE = Region(1, math.inf)
ALIKE = Region(0.8, 1.25)


def made(seed: int, *groups: tuple[float, float, int]) -> list[list[float]]:
    """Log-normal groups of given location, sigma and size."""
    rng = np.random.default_rng(seed)
    return [np.exp(rng.normal(mu, sigma, n)).tolist() for mu, sigma, n in groups]


def estimate(name: str, datasets: tuple[str, ...], values: Values) -> Estimate:
    over = None if name == "level" else "b"
    return ESTIMATORS[name](
        Arguments(measure="rise", resource="ram", of="a", over=over, datasets=datasets), values
    )


def test_ratio_is_that_of_the_tables() -> None:
    a, b = made(1, (0.3, 0.05, 5), (0, 0.1, 4))
    ours, theirs = estimate("ratio", ("x",), {("a", "x"): a, ("b", "x"): b}), ratio_interval(b, a)
    assert (ours.value, ours.low, ours.high, ours.df) == (theirs.ratio, theirs.low, theirs.high, theirs.df)
    assert p_value(ours, ABOVE) == pytest.approx(
        stats.ttest_ind(np.log(a), np.log(b), equal_var=False).pvalue
    )


def test_ratio_of_ratios_is_that_of_the_comparison() -> None:
    groups = made(2, (0, 0.05, 5), (0.1, 0.1, 4), (0.2, 0.1, 5), (0, 0.2, 3))
    values = dict(zip(itertools.product("xy", "ab"), groups, strict=True))
    ours = estimate("ratio_of_ratios", ("x", "y"), {(r, d): v for (d, r), v in values.items()})
    theirs = ratio_of_ratios((groups[1], groups[0]), (groups[3], groups[2]))
    assert (ours.value, ours.low, ours.high) == pytest.approx((theirs.ratio, theirs.low, theirs.high))


def test_level_is_students_interval() -> None:
    (values,) = made(3, (1, 0.2, 6))
    found = estimate("level", ("x",), {("a", "x"): values})
    low, high = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    assert (found.value, found.low, found.high) == pytest.approx((np.mean(values), low, high))
    assert p_value(found, Region(-math.inf, 2)) == pytest.approx(stats.ttest_1samp(values, 2).pvalue)


def test_mean_ratio_weighs_datasets_alike() -> None:
    groups = made(4, (0.4, 0.1, 5), (0, 0.1, 5), (0.2, 0.1, 3), (0, 0.1, 3))
    values = dict(zip([("a", "x"), ("b", "x"), ("a", "y"), ("b", "y")], groups, strict=True))
    parts = [ratio_interval(groups[k + 1], groups[k]).ratio for k in (0, 2)]
    assert estimate("mean_ratio", ("x", "y"), values).value == pytest.approx(math.sqrt(parts[0] * parts[1]))


def test_a_level_over_two_datasets_by_hand() -> None:
    """Means 2 and 4, variances of the means 1/2 and 2 of two values each, weights a half."""
    found = estimate("level", ("x", "y"), {("a", "x"): [1.5, 2.5], ("a", "y"): [3.0, 5.0]})
    se = math.sqrt(0.25 * 0.25 + 0.25 * 1.0)
    df = (0.0625 + 0.25) ** 2 / (0.0625**2 + 0.25**2)
    assert (found.value, found.se, found.df) == pytest.approx((3.0, se, df))


@pytest.mark.parametrize("region", [ABOVE, Region(-math.inf, 1), ALIKE, Region(-math.inf, 1.3)])
def test_p_is_below_a_twentieth_exactly_where_the_interval_decides(region: Region) -> None:
    for seed in range(300):
        mu = (seed % 7 - 3) / 10
        a, b = made(seed, (mu, 0.05, 4), (0, 0.1, 5))
        found = contrast([(1, a), (-1, b)], log=True)
        inside = region.low <= found.low and found.high <= region.high
        edges = [edge for edge in (region.low, region.high) if math.isfinite(edge)]
        holds_none = all(not found.low <= edge <= found.high for edge in edges)
        outside = holds_none and not region.holds(found.value)
        assert (p_value(found, region) <= 0.05) == (inside or outside)


def test_no_variance_is_decided_by_the_value() -> None:
    found = contrast([(1, [2.0, 2.0])], log=False)
    assert (found.low, found.high) == (2.0, 2.0)
    assert p_value(found, Region(-math.inf, 3)) == 0.0 and p_value(found, Region(2, math.inf)) == 1.0
    assert runs_to_decide(found, Region(2, math.inf)) is None


def test_holm_by_hand() -> None:
    """Sorted 0.005, 0.01, 0.03, 0.04 times 4, 3, 2, 1: 0.02, 0.03, 0.06, and 0.04 is raised to 0.06."""
    found = holm({"a": 0.01, "b": 0.04, "c": 0.03, "d": 0.005, "e": math.nan})
    assert math.isnan(found.pop("e"))
    assert found == pytest.approx({"a": 0.03, "b": 0.06, "c": 0.06, "d": 0.02})
    assert holm({"a": 0.7, "b": 0.6}) == {"a": 1.0, "b": 1.0}


def closed_testing(p: dict[int, float]) -> dict[int, float]:
    """Holm as the closed test of Bonferroni tests: the largest over all sets that hold the hypothesis."""
    sets = [set(s) for size in range(1, len(p) + 1) for s in itertools.combinations(p, size)]
    bonferroni = [(s, min(1.0, len(s) * min(p[key] for key in s))) for s in sets]
    return {key: max(value for s, value in bonferroni if key in s) for key in p}


def test_holm_is_the_closed_bonferroni_test() -> None:
    rng = np.random.default_rng(5)
    for size in range(1, 8):
        for _ in range(20):
            p = dict(enumerate((rng.random(size) ** 3).tolist()))
            assert holm(p) == pytest.approx(closed_testing(p))


def exact(mu: float, *sigmas: float) -> Estimate:
    """An estimate whose effect and variances are the true ones."""
    return Estimate(math.exp(mu), 0, 0, 0, mu, 1.0, True, tuple(s**2 for s in sigmas))


def excluded(n: int, mu: float, sigmas: tuple[float, ...], trials: int) -> float:
    """Share of experiments with n runs a group whose interval excludes 1."""
    rng = np.random.default_rng(20220601)
    centres = [mu, *[0.0] * (len(sigmas) - 1)]
    logs = [rng.normal(c, s, (trials, n)) for c, s in zip(centres, sigmas, strict=True)]
    groups = [np.exp(values).tolist() for values in logs]
    weights = (1, -1)[: len(sigmas)]
    count = 0
    for trial in range(trials):
        mine = [(w, g[trial]) for w, g in zip(weights, groups, strict=True)]
        count += p_value(contrast(mine, log=True), ABOVE) <= 0.05
    return count / trials


@pytest.mark.parametrize(
    ("mu", "sigmas"), [(0.05, (0.1, 0.1)), (0.05, (0.02, 0.12)), (0.15, (0.1, 0.1)), (0.06, (0.1,))]
)
def test_the_runs_that_would_decide_decide_in_half_of_all_experiments(
    mu: float, sigmas: tuple[float, ...]
) -> None:
    n = runs_to_decide(exact(mu, *sigmas), ABOVE)
    assert n is not None and 3 <= n <= 60
    assert 0.42 <= excluded(n, mu, sigmas, 600) <= 0.62
    assert excluded(2 * n, mu, sigmas, 300) > 0.75


def test_the_runs_that_would_decide_are_the_fewest() -> None:
    """By the definition: n excludes the bound, n - 1 does not."""
    n = runs_to_decide(exact(0.05, 0.1, 0.1), ABOVE, 0.01)
    assert n is not None
    half = [stats.t.ppf(0.995, 2 * (k - 1)) * math.sqrt(2 * 0.01 / k) for k in (n - 1, n)]
    assert half[0] >= 0.05 > half[1]


def test_an_effect_next_to_the_bound_has_no_number_of_runs() -> None:
    assert runs_to_decide(exact(1e-6, 0.1, 0.1), ABOVE) is None
    assert runs_to_decide(exact(math.log(1.2499), 0.1, 0.1), ALIKE) is None


@pytest.mark.slow
@pytest.mark.parametrize("n", [5, 10])
@pytest.mark.parametrize("sigmas", [(0.1, 0.1), (0.02, 0.2)])
@pytest.mark.parametrize("name", list(ESTIMATORS))
def test_intervals_hold_the_truth_as_often_as_they_say(
    name: str, sigmas: tuple[float, float], n: int
) -> None:
    rng = np.random.default_rng(20220601)
    trials, held = 4000, 0
    datasets = ("x",) if name == "ratio" else ("x", "y")
    for _ in range(trials):
        values = {
            (role, dataset): (
                1 + rng.normal(0, s, n) if name == "level" else np.exp(rng.normal(0, s, n))
            ).tolist()
            for dataset in datasets
            for role, s in zip("ab", sigmas, strict=True)
        }
        found = estimate(name, datasets, values)
        held += found.low <= 1 <= found.high
    assert 0.93 <= held / trials <= 0.98


@pytest.mark.slow
def test_a_family_of_true_nulls_is_decided_in_a_twentieth_of_experiments() -> None:
    """Any of six claims, three of them on the same runs."""
    rng = np.random.default_rng(7)
    trials, wrong = 3000, 0
    for _ in range(trials):
        groups = np.exp(rng.normal(0, 0.1, (8, 5))).tolist()
        pairs = [(0, 1), (0, 2), (0, 3), (4, 5), (6, 7), (1, 2)]
        p = {
            pair: p_value(contrast([(1, groups[pair[0]]), (-1, groups[pair[1]])], True), ABOVE)
            for pair in pairs
        }
        wrong += min(holm(p).values()) <= 0.05
    assert wrong / trials <= 0.06
