"""The table and the sentences that answer first: which engine is faster, how sure it is, what speaks against it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from analysis.remade import tables_of
from analysis.synthetic import Made, MadeResults, made_run, write_results
from evenground.analysis.experiment import alone
from evenground.analysis.sentences import MAX_TOLD, answers, sentences
from evenground.records.index import read_index

DIGITS = (("digits", "Digits", "mlp"),)
ENGINES = ("keras", "jax", "third")
FACTORS = {"keras": 1.0, "jax": 0.5, "third": 4.0}


def scattered(dataset: str, engine: str, repetition: int, gpu: bool) -> Made:
    """Runs whose times differ by engine and, by a few percent, from run to run."""
    factor = FACTORS[engine] * (1 + 0.02 * ((repetition * len(engine)) % 3))
    return Made(first_batch_s=0.5 * factor, steady_s=2.5 * factor, gpu=gpu)


def told(root: Path, made: MadeResults) -> list[str]:
    """The sentences of one condition."""
    where = write_results(root, made)
    rows = tables_of(read_index(where))["answer"]
    return answers(alone(read_index(where)), rows)


def made(**more: Any) -> MadeResults:
    fields = {"datasets": DIGITS, "repetitions": 4, "make": scattered, "engines": ENGINES[:2]}
    return MadeResults(**(fields | more))


def test_a_ratio_is_told_with_its_interval_and_the_memory(tmp_path: Path) -> None:
    (sentence,) = told(tmp_path, made())
    assert sentence.startswith("**Digits**: JAX takes 0.4")
    assert (
        " times Keras's time (95 % interval 0.4" in sentence
        and ", n = 4 pairs), with 1.00 times its memory." in (sentence)
    )


def test_of_many_engines_the_two_ends_are_told(tmp_path: Path) -> None:
    (sentence,) = told(tmp_path, made(engines=ENGINES))
    fast, slow = sentence.split("; ")
    assert fast.startswith("**Digits**: JAX takes 0.") and slow.startswith("third takes 4.")


def test_one_engine_alone_is_told_without_a_ratio(tmp_path: Path) -> None:
    (sentence,) = told(tmp_path, made(engines=("keras",)))
    assert sentence == (
        "**Digits**: Keras trains it in 3.07 s (n = 4), with 400 MiB of memory at its peak."
    )


def test_a_difference_that_is_not_shown_is_no_difference(tmp_path: Path) -> None:
    def alike(dataset: str, engine: str, repetition: int, gpu: bool) -> Made:
        factor = 1 + 0.1 * ((repetition * len(engine)) % 3)
        return Made(steady_s=2.5 * factor)

    (sentence,) = told(tmp_path, made(make=alike))
    assert "no difference in time is shown between JAX and Keras: " in sentence


def test_too_few_runs_have_no_interval(tmp_path: Path) -> None:
    (sentence,) = told(tmp_path, made(repetitions=1))
    assert "JAX takes 0.481" in sentence and "(1 pair of runs, without an interval)" in sentence


def test_runs_that_are_not_paired_are_counted_by_themselves(tmp_path: Path) -> None:
    where = write_results(tmp_path, made())
    content = json.loads(where.read_text())
    content["conditions"][0]["report"]["design"] = "independent"
    where.write_text(json.dumps(content))
    (sentence,) = answers(alone(read_index(where)), tables_of(read_index(where))["answer"])
    assert ", n = 4), with 1.00 times its memory." in sentence


def test_an_engine_without_a_ratio_is_named_with_the_reason(tmp_path: Path) -> None:
    lost = {("digits", "jax", number): ("failed", "out-of-memory") for number in (1, 2)}
    lost |= {("digits", "keras", number): ("failed", "out-of-memory") for number in (3, 4)}
    (sentence,) = told(tmp_path, made(lost=lost))
    assert sentence.startswith("**Digits**: Keras trains it in ")
    assert " Not compared: JAX (no complete pair; repetitions 1 and 2: " in sentence


def test_what_did_not_finish_is_said(tmp_path: Path) -> None:
    lost = {("digits", "keras", number): ("failed", "out-of-memory") for number in range(1, 5)}
    (sentence,) = told(tmp_path, made(lost=lost))
    said = "**Digits**: Keras, which all are compared with, has no finished training. JAX trains it"
    assert sentence.startswith(said)
    everything = lost | {("digits", "jax", n): ("missing", None) for n in range(1, 5)}
    assert told(tmp_path / "none", made(lost=everything)) == [
        "**Digits**: no training has finished."
    ]


def test_findings_stand_in_one_line_and_in_the_sentence(tmp_path: Path) -> None:
    lost = {("digits", "jax", 2): ("failed", "out-of-memory")}

    def idle(dataset: str, engine: str, repetition: int, gpu: bool) -> Made:
        run = made_run(dataset, engine, repetition, gpu)
        waits = ((1.0, 1.6),) if engine == "jax" and repetition > 2 else ()
        return Made(steady_s=run.steady_s, cpu_idle=waits)

    where = write_results(tmp_path, made(lost=lost, make=idle))
    rows = tables_of(read_index(where))["answer"].set_index("engine")
    assert rows.loc["jax", "against"] == "1 of 4 runs did not finish; idle in 2 of 4 runs"
    assert rows.loc["keras", "against"] == "" and rows.loc["keras", "baseline"] == ""
    condition = read_index(where).first
    (sentence,) = sentences(condition, rows.reset_index())
    assert sentence.endswith(
        "What speaks against it: JAX: 1 of 4 runs did not finish; idle in 2 of 4 runs."
    )


def test_the_numbers_are_those_of_the_other_tables(tmp_path: Path) -> None:
    tables = tables_of(read_index(write_results(tmp_path, made())))
    jax = tables["answer"].set_index("engine").loc["jax"]
    ratios = tables["ratios"].set_index(["engine", "measure"])
    summary = tables["summary"].set_index(["engine", "measure"])
    assert jax["ratio"] == ratios.loc[("jax", "training_s"), "ratio"]
    assert jax["memory_ratio"] == ratios.loc[("jax", "peak_rss_bytes"), "ratio"]
    for name in ("training_s", "cpu_s", "peak_rss_bytes"):
        assert jax[name] == summary.loc[("jax", name), "geometric_mean"]
    assert jax["test_accuracy"] == summary.loc[("jax", "test_accuracy"), "mean"]


def test_of_many_conditions_the_least_and_the_greatest_ratio_are_told(tmp_path: Path) -> None:
    def slower(size: int) -> MadeResults:
        def make(dataset: str, engine: str, repetition: int, gpu: bool) -> Made:
            run = scattered(dataset, engine, repetition, gpu)
            factor = 1 + 0.1 * size * (engine == "jax")
            return Made(first_batch_s=0.5, steady_s=run.steady_s * factor)

        return made(values={"batch_size": size}, make=make, repetitions=1)

    conditions = [slower(size) for size in range(1, MAX_TOLD + 2)]
    where = write_results(tmp_path, *conditions)
    rows = tables_of(read_index(where))["answer"]
    ratios = rows[rows["engine"] == "jax"]["ratio"].tolist()
    assert answers(alone(read_index(where)), rows) == [
        f"**Digits**: JAX takes {ratios[0]:.3f} times Keras's time at batch size 1, "
        f"{ratios[-1]:.3f} times at batch size 5; the other 3 conditions that have both lie between."
    ]
    few = write_results(tmp_path / "few", *conditions[:2])
    said = answers(alone(read_index(few)), tables_of(read_index(few))["answer"])
    assert [sentence.partition(":")[0] for sentence in said] == ["batch size 1", "batch size 2"]


@pytest.mark.parametrize("gpu", [False, True])
def test_energy_is_shown_where_there_is_a_card(tmp_path: Path, gpu: bool) -> None:
    tables = tables_of(read_index(write_results(tmp_path, made(gpu=gpu))))
    assert tables["answer"]["gpu_energy_j"].notna().all() == gpu
