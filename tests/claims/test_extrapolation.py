"""Arms trained on the first examples only: made runs whose whole time is known, and what is told of them."""

from __future__ import annotations

import csv
import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from analysis.synthetic import Made
from claims.made import DATASETS, THESIS, experiment, verdicts
from claims.test_verdicts import judge_files
from evenground.analysis.extrapolation import Sample, find_sample
from evenground.analysis.instruments import Trace
from evenground.analysis.measures import TIMES, take, training_s
from evenground.claims.judge import TOO_FEW, UNTESTABLE
from evenground.records.index import read_index
from evenground.report.page.verdicts import read_verdicts

BOTH = ("corrected", "as-published")
LIMIT, WHOLE = 320, 60_000
STEPS, WHOLE_STEPS = 3 * 10, 3 * 1875
STEP_S = 0.1
# The roles are played by these names, whatever claims.yaml calls the engines.
PLAYERS = {"elixir": "full", "elixir_without_exla": "part"}
SAID = "part extrapolated from 320 of 60,000 examples"


def run(first_s: float, steps: int) -> Made:
    """So many steps, all alike but the first one; it does not linger."""
    return replace(THESIS["mnist", "keras"], first_batch_s=first_s, steady_s=(steps - 1) * STEP_S)


def made(
    to: Path,
    first_s: float = STEP_S,
    examples: int = WHOLE,
    limit: int = LIMIT,
    **settings: Any,
) -> Path:
    """Index of an engine `full` with 100 steps, and its arm `part` with as many as its limit allows."""
    world = {
        ("mnist", "keras"): THESIS["mnist", "keras"],
        ("mnist", "full"): run(STEP_S, 100),
        ("mnist", "part"): run(first_s, STEPS),
    }
    given = {
        "spread": 0.0,
        "datasets": DATASETS[:1],
        "repetitions": 4,
        "stand_ins": PLAYERS,
        **settings,
    }
    index = experiment(to, world, engines=("keras", "full", "part"), **given)
    content = json.loads(index.read_text())
    (condition,) = content["conditions"]
    condition["engines"][2] |= {"arm_of": "full", "train_limit": limit}
    condition["datasets"][0]["train_examples"] = examples
    index.write_text(json.dumps(content))
    return index


@pytest.mark.parametrize("first_s", [STEP_S, 10 * STEP_S])
@pytest.mark.parametrize("instrument", BOTH)
def test_where_all_steps_but_the_first_are_alike_it_is_exact(
    tmp_path: Path, first_s: float, instrument: str
) -> None:
    truth = (first_s + (WHOLE_STEPS - 1) * STEP_S) / (100 * STEP_S)
    one = verdicts(made(tmp_path, first_s))["X1", instrument]
    assert one.estimate and one.estimate.value == pytest.approx(truth, rel=1e-6)
    assert one.verdict == "direction reproduced, other size" and one.reason.endswith(f"; {SAID}")
    assert one.demonstration == "part as elixir_without_exla; full as elixir", (
        "a sample makes it none"
    )


@pytest.mark.parametrize(("first_s", "whole_s"), [(0.25, 0.25 * 5625), (2.5, 2.5 + 0.25 * 5624)])
def test_the_formula(first_s: float, whole_s: float) -> None:
    sample = Sample(LIMIT, WHOLE, STEPS, WHOLE_STEPS)
    assert sample.whole_s(first_s + 0.25 * (STEPS - 1), first_s) == pytest.approx(
        whole_s, rel=1e-12
    )
    assert not sample.lacks


def trace(sample: Sample | None) -> Trace:
    """A trace of nothing but moments, one of them no short decimal."""
    return Trace(
        t_s=np.arange(4) / 10,
        columns={},
        step_s=0.1,
        launch_s=-1.0,
        first_batch_s=0.1,
        train_end_s=1 / 3,
        evaluate_end_s=1.0,
        linger_end_s=2.0,
        event_step_s=1e-3,
        steps={},
        integrals={},
        missing={},
        since_boot={},
        counted={},
        remarks={},
        idle=(),
        sample=sample,
    )


def test_the_time_of_a_whole_training_is_untouched_to_the_last_bit() -> None:
    assert training_s(trace(None), "") == 1 / 3


def test_of_a_sample_nothing_but_a_time_is_taken() -> None:
    sample = Sample(LIMIT, WHOLE, STEPS, WHOLE_STEPS)
    assert all(take(name, trace(sample), "")[0] > 1 for name in TIMES)
    value, reason = take("rise", trace(sample), "ram")
    assert math.isnan(value)
    assert (
        reason
        == "trained on 320 of 60,000 examples only: 'rise' of the whole is not known from that"
    )


def test_an_arm_that_is_extrapolated_moves_no_other_estimate(tmp_path: Path) -> None:
    index = experiment(tmp_path / "before")
    with_sizes = experiment(tmp_path / "after")
    content = json.loads(with_sizes.read_text())
    (condition,) = content["conditions"]
    for name, part in (("engines", {"train_limit": None}), ("datasets", {"train_examples": WHOLE})):
        condition[name] = [{**one, **part} for one in condition[name]]
    with_sizes.write_text(json.dumps(content))
    before, after = verdicts(index), verdicts(with_sizes)
    for name, one in before.items():
        assert repr((one.estimate, one.reason)) == repr((after[name].estimate, after[name].reason))


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        (
            {"limit": 32, "parameters": {"epochs": 1}},
            "part trained on 32 of 60,000 examples only: no step after the first one",
        ),
    ],
)
def test_what_cannot_be_extrapolated_says_why(
    tmp_path: Path, settings: dict[str, Any], why: str
) -> None:
    found = verdicts(made(tmp_path, **settings))
    for one in (found["X1", instrument] for instrument in BOTH):
        assert (one.verdict, one.reason, one.estimate) == (UNTESTABLE, why, None)
        assert all(
            math.isnan(used.value) for used in one.evidence.used["elixir_without_exla", "mnist"]
        )


def test_of_one_epoch_nobody_knows_how_exact_the_extrapolation_is(tmp_path: Path) -> None:
    world = {
        ("mnist", "full"): run(STEP_S, 100),
        ("mnist", "part"): replace(run(STEP_S, STEPS), epochs=1),
    }
    index = experiment(
        tmp_path, world, engines=("full", "part"), datasets=DATASETS[:1], repetitions=4
    )
    content = json.loads(index.read_text())
    (condition,) = content["conditions"]
    condition["engines"][1] |= {"arm_of": "full", "train_limit": LIMIT}
    condition["datasets"][0] |= {"train_examples": WHOLE}
    index.write_text(json.dumps(content))
    one = verdicts(index, PLAYERS)["X1", "corrected"]
    assert one.verdict == UNTESTABLE and "part on mnist: how exactly its time can be" in one.reason


def test_of_memory_and_use_a_sample_says_nothing(tmp_path: Path) -> None:
    found = verdicts(made(tmp_path), {"elixir": "part"})
    one = found["R1-mnist", "corrected"]
    assert one.verdict == UNTESTABLE
    assert (
        one.reason
        == "part trained on 320 of 60,000 examples only: 'rise' of the whole is not known from that"
    )
    assert found["T1", "corrected"].reason.endswith(SAID), "its time may play any part"


def test_one_run_has_an_estimate_that_says_what_it_is(tmp_path: Path) -> None:
    one = verdicts(made(tmp_path, repetitions=1))["X1", "corrected"]
    assert one.verdict == TOO_FEW and one.estimate and one.estimate.value > 50
    assert one.reason == f"1 complete pair, at least 4 are needed; {SAID}"


def test_a_refuted_size_says_both(tmp_path: Path) -> None:
    world = {
        **THESIS,
        ("mnist", "full"): THESIS["mnist", "keras"],
        ("mnist", "part"): THESIS["mnist", "keras"],
    }
    index = experiment(tmp_path, world, 0.15, engines=("full", "part"), datasets=DATASETS[:1])
    content = json.loads(index.read_text())
    (condition,) = content["conditions"]
    condition["engines"][1] |= {"arm_of": "full", "train_limit": 59_999}
    condition["datasets"][0]["train_examples"] = WHOLE
    index.write_text(json.dumps(content))
    one = verdicts(index, PLAYERS)["X1", "corrected"]
    assert one.verdict == "size refuted"
    assert "the interval contains the bound" in one.reason and one.reason.endswith(
        "from 59,999 of 60,000 examples"
    )


def test_a_limit_that_the_dataset_does_not_reach_is_none(tmp_path: Path) -> None:
    index = made(tmp_path, limit=WHOLE)
    assert find_sample(read_index(index).first, "mnist", "part") is None
    one = verdicts(index)["X1", "corrected"]
    assert one.estimate and one.estimate.value == pytest.approx(STEPS / 100)
    assert "extrapolated" not in one.reason


def test_every_file_of_the_verdicts_says_so(tmp_path: Path) -> None:
    tables = judge_files(made(tmp_path))
    with (tables / "verdicts.csv").open(encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["claim"] == "X1"]
    assert len(rows) == 2 and all(row["reason"].endswith(SAID) for row in rows)
    assert (tables / "verdicts.md").read_text(encoding="utf-8").count(SAID) == 2
    record = tables.parent / "verdicts.json"
    (judged,) = json.loads(record.read_text())["conditions"]
    traced = [row for row in judged["verdicts"] if row["id"] == "X1"]
    for row in traced:
        told = {group["role"]: group["extrapolated_from_examples"] for group in row["groups"]}
        assert row["reason"].endswith(SAID) and told == {
            "elixir_without_exla": LIMIT,
            "elixir": None,
        }
    x1 = next(claim for claim in read_verdicts(record)[0].claims if claim.name == "X1")
    for one in (x1.parts[0].corrected, x1.parts[0].as_published):
        assert one and any(SAID in line for line in one.remarks) and SAID not in one.demonstration
