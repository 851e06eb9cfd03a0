"""The ratio of two engines: of pairs, of independent runs, and the ratio of two such ratios."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from analysis.remade import notes_of, tables_of
from evenground.analysis.pairs import Blocks
from evenground.analysis.ratios import Compared, Pair, Runs, of_ratios, paired, unpaired, within
from evenground.records.index import Condition, read_index
from made_records import index_of

KERAS, JAX = ("mnist", "keras"), ("mnist", "jax")
A, B = [1.0, 1.2, 0.9, 1.1, 1.4], [2.1, 2.2, 1.9, 2.4, 2.6]
NAN = math.nan


def pair(a: Sequence[float], b: Sequence[float], invalid: dict[int, str] | None = None) -> Pair:
    """Runs of repetitions from the first on, all in one pass; those of jax may be invalid."""
    values = [dict(enumerate(side, start=1)) for side in (a, b)]
    passes = {arm: dict.fromkeys(side, 0) for arm, side in zip((KERAS, JAX), values, strict=True)}
    blocks = Blocks(passes=passes, invalid={JAX: invalid or {}})
    return Runs(blocks, KERAS, values[0]), Runs(blocks, JAX, values[1])


@pytest.fixture
def condition(blocks_path: Path) -> Condition:
    return read_index(blocks_path).first


def independent(condition: Condition) -> Condition:
    report = condition.report.model_copy(update={"design": "independent"})
    return condition.model_copy(update={"report": report})


def test_pairs_agree_with_scipys_paired_test() -> None:
    found = paired(pair(A, B))
    scipys = stats.ttest_rel(np.log(B), np.log(A)).confidence_interval(0.95)
    assert (found.ratio.low, found.ratio.high) == pytest.approx(tuple(np.exp(scipys)))
    assert found.ratio.value == pytest.approx(stats.gmean(B) / stats.gmean(A))
    assert (found.method, found.n_pairs, found.reason) == ("pairs", 5, "")


def test_independent_runs_agree_with_welchs_test() -> None:
    found = unpaired(pair(A, B))
    scipys = stats.ttest_ind(np.log(B), np.log(A), equal_var=False).confidence_interval(0.95)
    assert (found.ratio.low, found.ratio.high) == pytest.approx(tuple(np.exp(scipys)))
    assert (found.method, found.n_pairs, found.reason) == ("welch", None, "")


def test_the_design_decides_and_the_data_never(condition: Condition) -> None:
    for values in ((A, B), (A, A[::-1]), (A[:2], B)):
        assert within(condition, pair(*values)).method == "pairs"
        assert within(independent(condition), pair(*values)).method == "welch"


@pytest.mark.parametrize("method", [paired, unpaired])
def test_an_invalid_run_does_not_count_and_is_named(method: Callable[[Pair], Compared]) -> None:
    with_it = method(pair(A, [*B[:4], 99.0], {5: "throttling"}))
    without = method(pair(A if method is unpaired else A[:4], B[:4]))
    assert (with_it.ratio.value, with_it.ratio.low) == pytest.approx(
        (without.ratio.value, without.ratio.low)
    )
    assert with_it.reason == "repetition 5: jax is invalid (throttling)"


def test_three_pairs_have_a_ratio_and_no_interval() -> None:
    found = paired(pair(A[:3], B[:3]))
    assert found.ratio.value == pytest.approx(stats.gmean(B[:3]) / stats.gmean(A[:3]))
    assert math.isnan(found.ratio.low) and found.n_pairs == 3
    assert found.reason.startswith("too few runs: 3") and "4 pairs" in found.reason


def test_a_pair_without_a_value_is_no_pair() -> None:
    found = paired(pair(A, [*B[:4], NAN]))
    assert (found.n_pairs, found.reason) == (4, "repetition 5: no value")
    assert found.ratio.low == pytest.approx(paired(pair(A[:4], B[:4])).ratio.low)


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        (pair(A, []), "no finished run"),
        (pair(A, [NAN] * 5), "no value"),
        (
            pair([1.0], [2.0], {1: "swapping"}),
            "no complete pair; repetition 1: jax is invalid (swapping)",
        ),
    ],
)
def test_no_ratio_has_a_reason(values: Pair, reason: str) -> None:
    found = paired(values)
    assert math.isnan(found.ratio.value) and found.reason == reason and found.n_pairs == 0


def test_unlike_work_has_no_numbers_and_that_reason_alone() -> None:
    found = paired(pair(A, B, {5: "throttling"})).without("trained on 100 examples only")
    assert math.isnan(found.ratio.value) and found.reason == "trained on 100 examples only"


C, D = [3.0, 3.3, 2.8, 3.1], [5.0, 5.1, 5.6, 5.2]


def test_ratio_of_ratios_of_pairs_is_welch_of_their_log_ratios(condition: Condition) -> None:
    there = of_ratios((condition, pair(A, B)), (condition, pair(C, D)))
    a, b = (np.log(np.array(y) / np.array(x)) for x, y in ((A, B), (C, D)))
    scipys = stats.ttest_ind(b, a, equal_var=False).confidence_interval(0.95)
    assert (there.low, there.high) == pytest.approx(tuple(np.exp(scipys)))
    back = of_ratios((condition, pair(C, D)), (condition, pair(A, B)))
    turned = (1 / there.value, 1 / there.high, 1 / there.low)
    assert turned == pytest.approx((back.value, back.low, back.high))
    assert (there.n, there.reason) == (4, "")


def test_ratio_of_ratios_of_independent_runs_with_known_variances(condition: Condition) -> None:
    """By hand: four groups of three, logarithms -s, 0 and s, so each variance is s^2."""
    s = (0.1, 0.2, 0.3, 0.4)
    groups = [[math.exp(-k), 1.0, math.exp(k)] for k in s]
    sides = [(independent(condition), pair(*groups[:2])), (condition, pair(*groups[2:]))]
    found = of_ratios(sides[0], sides[1])
    parts = [k**2 / 3 for k in s]
    df = sum(parts) ** 2 / sum(v**2 / 2 for v in parts)
    half = stats.t.ppf(0.975, df) * math.sqrt(sum(parts))
    assert (found.value, found.df) == pytest.approx((1.0, df))
    assert (found.low, found.high) == pytest.approx((math.exp(-half), math.exp(half)))


@pytest.mark.parametrize("design", ["blocks", "independent"])
def test_ratio_of_ratios_covers_the_truth_as_often_as_it_says(
    condition: Condition, design: str
) -> None:
    generator = np.random.default_rng(5)
    side = condition if design == "blocks" else independent(condition)
    held = 0
    for _ in range(1000):
        groups = [
            np.exp(generator.normal(m, s, 5)).tolist()
            for m, s in ((0, 0.1), (1, 0.3), (2, 0.1), (3.5, 0.2))
        ]
        found = of_ratios((side, pair(*groups[:2])), (side, pair(*groups[2:])))
        held += found.low <= math.exp(0.5) <= found.high
    assert 0.93 <= held / 1000 <= 0.975


@pytest.mark.parametrize(
    ("b", "reason"),
    [
        (pair([], D), "no finished run"),
        (pair(C[:3], D[:3]), "too few runs: 3, an interval takes 4 pairs"),
    ],
)
def test_ratio_of_ratios_without_enough_has_a_reason(
    condition: Condition, b: Pair, reason: str
) -> None:
    found = of_ratios((condition, pair(A, B)), (condition, b))
    assert found.reason == reason and math.isnan(found.low)
    few = of_ratios((independent(condition), pair(A[:2], B[:2])), (condition, b))
    assert few.reason and math.isnan(few.low)


def test_tables_of_independent_runs_have_no_pairs_and_no_blocks(condition: Condition) -> None:
    apart, together = index_of(independent(condition)), index_of(condition)
    tables = tables_of(apart)
    assert set(tables["ratios"]["method"]) == {"welch"} and tables["ratios"]["n_pairs"].isna().all()
    assert tables["blocks"].empty
    assert "there are no blocks" in notes_of(apart, "blocks")
    assert "no blocks" not in notes_of(together, "blocks")


def test_a_ratio_in_the_table_is_the_quotient_of_geometric_means_where_all_are_paired(
    condition: Condition,
) -> None:
    paired = [run for run in condition.runs if run.repetition in (1, 2, 4, 5)]
    tables = tables_of(index_of(condition.with_runs(tuple(paired))))
    means = tables["summary"].set_index(["dataset", "engine", "measure"])["geometric_mean"]
    for row in tables["ratios"].to_dict("records"):
        keys = [(row["dataset"], row[role], row["measure"]) for role in ("engine", "baseline")]
        assert (
            row["ratio"] == pytest.approx(means[keys[0]] / means[keys[1]]) and row["n_pairs"] == 4
        )
