"""Block effects, their test and the drift: against values by hand and by scipy, and which arms are chosen."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from analysis.remade import change_run, tables_by_files, tables_of
from analysis.synthetic import MadeResults, write_results
from evenground.analysis.block_effects import COMPUTING, TRAINING, choose, effects_of
from evenground.analysis.pairs import Blocks
from evenground.records.index import read_index

A, B, C = ("mnist", "a"), ("mnist", "b"), ("mnist", "c")


def test_the_analysis_of_variance_by_hand() -> None:
    """Blocks are off by -1, 1/6 and 5/6: 31/6 over two degrees. What is left is 1/3 over four: F = 31."""
    found = effects_of(np.array([[1.0, 2.0, 3.0], [2.0, 3.0, 4.0], [3.0, 4.5, 4.5]]))
    assert found.effects.tolist() == pytest.approx([-1, 1 / 6, 5 / 6])
    assert (found.df_blocks, found.df_error, found.f) == (2, 4, pytest.approx(31.0))
    assert found.p == pytest.approx(stats.f.sf(31, 2, 4))


def test_how_long_each_arm_takes_has_no_part_in_it() -> None:
    logs = np.random.default_rng(1).normal(0.0, 0.1, (4, 6))
    shifted = logs + np.array([[0.0], [1.0], [-2.0], [5.0]])
    first, second = effects_of(logs), effects_of(shifted)
    assert first.f == pytest.approx(second.f) and first.effects.tolist() == pytest.approx(
        second.effects
    )


def test_the_drift_is_that_of_scipys_regression_of_the_blocks_means() -> None:
    logs = np.random.default_rng(2).normal(0.0, 0.1, (3, 5)) + 0.04 * np.arange(5)
    found, fit = effects_of(logs), stats.linregress(np.arange(5), logs.mean(axis=0))
    half = stats.t.ppf(0.975, 3) * fit.stderr
    assert (found.drift, found.low, found.high) == pytest.approx(
        (fit.slope, fit.slope - half, fit.slope + half)
    )


def test_the_p_value_is_right_where_blocks_are_alike() -> None:
    generator = np.random.default_rng(3)
    p = [effects_of(generator.normal(0.0, 0.1, (4, 5))).p for _ in range(2000)]
    assert np.mean(np.array(p) < 0.05) == pytest.approx(0.05, abs=0.015)
    held = [
        effects_of(generator.normal(0.0, 0.1, (4, 5)) + 0.1 * np.arange(5)) for _ in range(2000)
    ]
    assert np.mean([one.low <= 0.1 <= one.high for one in held]) == pytest.approx(0.95, abs=0.015)


def test_blocks_that_are_all_there_is_have_effects_and_no_test() -> None:
    found = effects_of(np.array([[0.0, 0.1, 0.3]] * 2))
    assert math.isnan(found.f) and math.isnan(found.p)
    assert found.effects.tolist() == pytest.approx([-0.4 / 3, -0.1 / 3, 0.5 / 3])


def circumstances(repetitions: int) -> pd.DataFrame:
    """Launches one after the other, ten minutes apart in turn; the blocks were made backwards."""
    rows = [
        {
            "dataset": "mnist",
            "engine": arm[1],
            "repetition": number,
            "launched_s": -600.0 * number + place,
        }
        for number in range(1, repetitions + 1)
        for place, arm in enumerate((A, B, C))
    ]
    return pd.DataFrame(rows)


def blocks(
    passes: dict[tuple[str, str], dict[int, int]], invalid: dict[int, str] | None = None
) -> Blocks:
    return Blocks(passes=passes, invalid={C: invalid or {}})


def test_blocks_are_in_the_order_in_which_they_were_made() -> None:
    chosen = choose(
        [A, B, C], blocks({arm: dict.fromkeys((1, 2, 3), 0) for arm in (A, B, C)}), circumstances(3)
    )
    assert chosen.arms == (A, B, C) and chosen.left_out == ""
    assert chosen.repetitions == (3, 2, 1) and chosen.start_min.tolist() == [0.0, 10.0, 20.0]


def test_an_arm_of_fewer_repetitions_is_left_out_and_named() -> None:
    passes = {A: dict.fromkeys(range(1, 6), 0), B: dict.fromkeys(range(1, 6), 0), C: {1: 0, 2: 0}}
    chosen = choose([A, B, C], blocks(passes), circumstances(5))
    assert (
        chosen.arms == (A, B)
        and len(chosen.repetitions) == 5
        and chosen.left_out == "left out: c on mnist"
    )


def test_arms_that_were_added_later_do_not_take_the_others_along() -> None:
    first, later = dict.fromkeys(range(1, 6), 0), dict.fromkeys(range(1, 6), 1)
    chosen = choose([A, C, B], blocks({A: first, B: first, C: later}), circumstances(5))
    assert chosen.arms == (A, B) and chosen.left_out == "left out: c on mnist"


def test_a_block_with_an_invalid_run_is_left_out_where_its_arm_has_more_to_give() -> None:
    every = dict.fromkeys(range(1, 6), 0)
    chosen = choose(
        [A, B, C], blocks({A: every, B: every, C: every}, {2: "swapping"}), circumstances(5)
    )
    assert chosen.arms == (A, B, C) and set(chosen.repetitions) == {1, 3, 4, 5}
    assert chosen.left_out == "repetition 2: c is invalid (swapping)"


def test_effects_and_drift_stand_in_the_table(blocks_path: Path) -> None:
    """Six blocks that drift by some two percent each; in two of them a run is invalid, or did not finish."""
    found = tables_of(read_index(blocks_path))["blocks"]
    for measure in (TRAINING, COMPUTING):
        rows = found[found["measure"] == measure].set_index("block")
        assert [*rows.index] == ["1", "2", "4", "5", "all"]
        effects = rows.loc[["1", "2", "4", "5"], "effect_pct"]
        assert (1 + effects / 100).prod() == pytest.approx(1.0) and effects.is_monotonic_increasing
        total = rows.loc["all"]
        assert 0 < total["low_95"] < total["drift_pct_per_block"] < total["high_95"]
        assert (total["n"], total["n_arms"], total["df_error"]) == (16, 4, 9)


@pytest.mark.parametrize(
    ("made", "reason"),
    [
        (MadeResults(repetitions=2), "too few complete blocks: 2, it takes 3"),
        (
            MadeResults(datasets=(("digits", "Digits", "mlp"),), engines=("keras",), repetitions=5),
            "too few engines and datasets with complete blocks: 1, it takes 2",
        ),
    ],
)
def test_too_few_blocks_or_arms_have_the_reason(
    made: MadeResults, reason: str, tmp_path: Path
) -> None:
    rows = tables_of(read_index(write_results(tmp_path, made)))["blocks"]
    assert rows["block"].tolist() == ["all", "all"] and rows["f"].isna().all()
    assert rows["reason"].tolist() == [reason, reason]


def test_an_idle_time_that_is_not_known_leaves_the_one_measure_out(tmp_path: Path) -> None:
    index = write_results(tmp_path, MadeResults(repetitions=4))
    change_run(index, 0, lambda frame: frame.__setitem__("cpu_s", ""))
    rows = tables_by_files(index)["blocks"]
    assert rows["measure"].tolist() == [TRAINING] * 5 + [COMPUTING]
    assert rows["reason"].iloc[-1] == "not known of 1 of 16 runs, or zero"
