"""Complete blocks of a contrast, and why a repetition is none."""

from __future__ import annotations

import time

import pandas as pd
import pytest

from evenground.analysis.blocks import MAX_PAUSE_S
from evenground.analysis.pairs import Blocks, blocks_of, told

RUN_S, GAP_S = 10.0, 1.0
Run = tuple[str, str, int]
JAX, KERAS, TORCH = ("mnist", "jax"), ("mnist", "keras"), ("mnist", "torch")


def planned(arms: list[tuple[str, str]], repetitions: int) -> list[Run]:
    return [(*arm, repetition) for repetition in range(1, repetitions + 1) for arm in arms]


def made(runs: list[Run], *invalid: tuple[str, str, int | None, str]) -> Blocks:
    """Blocks of runs made one right after the other, some of which gates call invalid."""
    columns = ["dataset", "engine", "repetition"]
    circumstances = pd.DataFrame(runs, columns=columns)
    circumstances["launched_s"] = circumstances.index * (RUN_S + GAP_S)
    circumstances["exited_s"] = circumstances["launched_s"] + RUN_S
    quality = pd.DataFrame(invalid, columns=[*columns, "finding"]).assign(state="invalid")
    return blocks_of(circumstances, quality.astype({"repetition": "Int64"}))


def test_every_repetition_that_all_arms_have_is_a_complete_block() -> None:
    blocks = made(planned([KERAS, JAX, TORCH], 5))
    assert blocks.complete([KERAS, JAX]) == ([1, 2, 3, 4, 5], {})
    assert blocks.complete([TORCH, JAX, KERAS]) == ([1, 2, 3, 4, 5], {})


def test_an_invalid_run_drops_its_block_and_no_other() -> None:
    blocks = made(planned([KERAS, JAX, TORCH], 4), ("mnist", "jax", 2, "throttling"))
    assert blocks.complete([KERAS, JAX]) == ([1, 3, 4], {2: "jax is invalid (throttling)"})
    assert blocks.complete([KERAS, TORCH]) == ([1, 2, 3, 4], {})
    assert blocks.valid(JAX) == ([1, 3, 4], {2: "jax is invalid (throttling)"})


def test_every_gate_that_calls_a_run_invalid_is_named() -> None:
    spoilt = [("mnist", "jax", 1, "throttling"), ("mnist", "jax", 1, "swapping")]
    blocks = made(planned([KERAS, JAX], 1), *spoilt, ("mnist", "keras", 1, "cores"))
    why = "keras is invalid (cores) and jax is invalid (throttling, swapping)"
    assert blocks.complete([KERAS, JAX]) == ([], {1: why})


def test_a_warning_or_a_finding_about_the_group_drops_no_run() -> None:
    quality = pd.DataFrame(
        [
            {
                "dataset": "mnist",
                "engine": "jax",
                "repetition": 1,
                "finding": "load",
                "state": "warned",
            },
            {
                "dataset": "mnist",
                "engine": "jax",
                "repetition": None,
                "finding": "device",
                "state": "invalid",
            },
        ]
    ).astype({"repetition": "Int64"})
    times = {"launched_s": 0.0, "exited_s": 1.0}
    circumstances = pd.DataFrame([{"dataset": "mnist", "engine": "jax", "repetition": 1, **times}])
    assert blocks_of(circumstances, quality).valid(JAX) == ([1], {})


def test_a_run_that_did_not_finish_is_named() -> None:
    blocks = made([run for run in planned([KERAS, JAX, TORCH], 3) if run != ("mnist", "jax", 2)])
    assert blocks.complete([KERAS, JAX]) == ([1, 3], {2: "no finished run of jax"})
    assert blocks.complete([KERAS, ("mnist", "axon")])[1][1] == "no finished run of axon"


def test_a_repetition_that_no_arm_has_is_not_told() -> None:
    blocks = made([*planned([KERAS, JAX], 2), ("mnist", "torch", 3)])
    assert blocks.complete([KERAS, JAX]) == ([1, 2], {})


def test_runs_of_different_passes_are_no_block() -> None:
    blocks = made([*planned([KERAS, JAX], 3), *planned([TORCH, ("mnist", "axon")], 3)])
    found, dropped = blocks.complete([KERAS, JAX, TORCH])
    assert found == []
    assert dropped == dict.fromkeys((1, 2, 3), "keras, jax and torch were made in different passes")


def test_arms_of_several_datasets_are_named_with_theirs() -> None:
    cifar = ("cifar10", "jax")
    blocks = made(planned([KERAS, JAX, cifar], 2), ("cifar10", "jax", 1, "swapping"))
    assert blocks.complete([JAX, cifar]) == ([2], {1: "jax on cifar10 is invalid (swapping)"})


def test_an_arm_that_is_named_twice_counts_once() -> None:
    assert made(planned([KERAS, JAX], 2)).complete([KERAS, JAX, KERAS]) == ([1, 2], {})


def test_reasons_are_told_together() -> None:
    dropped = {
        2: "jax is invalid (load)",
        4: "no finished run of keras",
        5: "jax is invalid (load)",
    }
    assert (
        told(dropped)
        == "repetitions 2 and 5: jax is invalid (load); repetition 4: no finished run of keras"
    )
    assert told({}) == ""


def test_a_long_pause_within_a_block_parts_it() -> None:
    runs = pd.DataFrame(planned([KERAS, JAX], 2), columns=["dataset", "engine", "repetition"])
    runs["launched_s"] = [0.0, 11.0, 22.0, 33.0 + MAX_PAUSE_S]
    runs["exited_s"] = runs["launched_s"] + RUN_S
    quality = pd.DataFrame(columns=["dataset", "engine", "repetition", "state", "finding"])
    assert blocks_of(runs, quality).complete([KERAS, JAX])[0] == [1]


@pytest.mark.parametrize("contrasts", [500])
def test_hundreds_of_contrasts_over_a_thousand_runs_take_a_second_at_most(contrasts: int) -> None:
    arms = [(dataset, f"engine{k}") for dataset in ("mnist", "cifar10") for k in range(10)]
    blocks = made(planned(arms, 50))
    begun = time.perf_counter()
    for k in range(contrasts):
        assert len(blocks.complete([arms[k % 20], arms[(k + 1) % 20]])[0]) == 50
    assert time.perf_counter() - begun < 1.0
