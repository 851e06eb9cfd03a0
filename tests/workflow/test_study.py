"""An experiment of several parts: the cross product of lists, the machine classes, order, what is refused."""

from __future__ import annotations

import json
from collections import Counter
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from datasets.small_data import idx_entry, small_idx
from evenground.errors import EvengroundError
from evenground.files import write_json
from evenground.runs.machine import this_machine
from evenground.runs.plan import NODES, RUNS, Plan
from evenground.runs.study import Study, make_study, write_study
from made_run_records import made_node
from working_copy import WorkingCopy

OTHER = "cray-1-nogpu-1"
SMALL = idx_entry(small_idx()) | {"network": "cnn", "height": 9, "width": 32}


def study_of(copy: WorkingCopy, **changes: Any) -> Study:
    return make_study({**copy.settings, **changes}, copy.root)


def record(plan: Plan, machine: str | None = None) -> None:
    """Let every run of `plan` be recorded, of `machine` instead of its own class where one is given."""
    for run in plan.runs:
        folder = plan.root / RUNS / Path(machine or run.machine, *run.path.parts[1:])
        folder.mkdir(parents=True)
        write_json(folder / "manifest.json", {"files": {}})


def asked(copy: WorkingCopy, **kinds: str) -> dict[str, Any]:
    """Settings with kinds of node that have said of what class they are."""
    for kind, name in kinds.items():
        made_node(name, f"a {kind}").write(copy.root / NODES / f"{kind}.json")
    return {"nodes": {kind: {} for kind in kinds}}


def test_one_value_of_each_is_one_part_under_its_old_name(copy: WorkingCopy) -> None:
    study = study_of(copy)
    (part,) = study.parts
    assert (
        part.results == study.results == Path("results/native")
        and not part.settings
        and not study.swept
    )
    write_study(study)
    assert not (copy.root / "results/native/parts.json").exists()
    assert (
        json.loads((copy.root / "results/native/experiment.json").read_text())["machine"] == "here"
    )


def test_lists_are_a_cross_product_of_parts_with_keys_of_their_own(copy: WorkingCopy) -> None:
    study = study_of(copy, batch_size=[16, 32], threads=[1, "all"], epochs=[2])
    assert [dict(part.settings) for part in study.parts] == [
        {"epochs": 2, "batch_size": size, "threads": threads}
        for size, threads in product([16, 32], [1, "all"])
    ]
    assert study.swept == ["epochs", "batch_size", "threads"]
    assert study.parts[1].name == "native/parts/epochs-2_batch_size-16_threads-all"
    keys = {run.key for part in study.parts for run in part.plan.runs}
    assert len(keys) == 4 * 2 and len(study.by_path) == 4 * 4


def test_a_point_of_a_sweep_has_the_runs_of_the_same_experiment_alone(copy: WorkingCopy) -> None:
    alone = {run.path for run in study_of(copy, batch_size=16).first.runs}
    swept = {run.path for run in study_of(copy, batch_size=[8, 16]).parts[1].plan.runs}
    assert alone == swept


def test_a_repetition_is_a_block_over_all_parts_and_shuffled(copy: WorkingCopy) -> None:
    study = study_of(copy, batch_size=[8, 16, 32], repetitions=3)
    order = [(run.repetition, part.settings["batch_size"]) for part, run in study.by_path.values()]
    assert [repetition for repetition, _ in order] == [1] * 6 + [2] * 6 + [3] * 6
    blocks = [[size for _, size in order[k : k + 6]] for k in (0, 6, 12)]
    assert all(Counter(block) == {8: 2, 16: 2, 32: 2} for block in blocks)
    assert len({tuple(block) for block in blocks}) == 3 and blocks[0] != sorted(blocks[0])
    again = study_of(copy, batch_size=[8, 16, 32], repetitions=3)
    assert list(again.by_path) == list(study.by_path)


def test_an_experiment_of_one_part_keeps_the_order_of_its_plan(copy: WorkingCopy) -> None:
    study = study_of(copy, repetitions=4)
    assert list(study.by_path) == [run.path for run in study.first.runs]
    assert list(study.ranks.values()) == list(range(8)) and list(study.pending) == list(
        study.by_path
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"batch_size": []},
            r"the list 'batch_size' is empty \(params.yaml\): give a value",
        ),
        ({"threads": [2, 2]}, r"the list 'threads' = \[2, 2\] names a value twice"),
        ({"epochs": [1, 0]}, r"'epochs' = 0 is not allowed"),
        ({"epochs": [1, [2]]}, r"'epochs' = \[2\] is not allowed"),
        ({"seed": [1, 2]}, r"'seed' = \[1, 2\] is not allowed"),
        (
            {"epochs": list(range(1, 41)), "batch_size": list(range(1, 41))},
            r"1,600 points of epochs, batch_size",
        ),
        ({"registry": {"tiny": SMALL}}, r"pictures of 9x32 pixels are too small for network 'cnn'"),
        (
            {"batch_size": [8, 100]},
            r"'tiny' has 80 training examples, less than one batch .*batch_size is 100",
        ),
        (
            {"machine": ["here", "cray-2"]},
            r"no wanted run is recorded for the machine class 'cray-2'",
        ),
        ({"machine": "recorded"}, r"no run of this experiment is recorded, of any machine class"),
        (
            {"nodes": {"big": {"core": 2}}},
            r"unknown key 'nodes.big.core' = 2 .*did you mean 'cores'",
        ),
        (
            {"nodes": {"big": {}}},
            r"machine class of node kind 'big' is unknown .*results/nodes/big",
        ),
    ],
)
def test_refused_in_one_line(copy: WorkingCopy, change: dict[str, Any], message: str) -> None:
    with pytest.raises(EvengroundError, match=message) as caught:
        study_of(copy, **change)
    assert "\n" not in str(caught.value)


def test_runs_that_were_copied_here_from_another_machine_are_a_part(copy: WorkingCopy) -> None:
    record(study_of(copy).first, OTHER)
    here = this_machine().name
    study = study_of(copy, machine=["here", OTHER])
    assert study.machines == [here, OTHER] and [part.plan.trains for part in study.parts] == [
        True,
        False,
    ]
    assert study.parts[1].name == f"native/parts/{OTHER}"
    assert set(study.pending) == {run.path for run in study.parts[0].plan.runs}
    assert {run.machine for run in study.parts[1].plan.runs} == {OTHER}


def test_recorded_means_every_class_with_runs_of_this_experiment(copy: WorkingCopy) -> None:
    record(study_of(copy).first, OTHER)
    record(study_of(copy, epochs=7).first, "cray-3-nogpu-1")
    assert study_of(copy, machine="recorded").machines == [OTHER]
    record(study_of(copy).first)
    assert study_of(copy, machine="recorded").machines == sorted([OTHER, this_machine().name])


def test_here_and_its_class_are_one_part(copy: WorkingCopy) -> None:
    assert len(study_of(copy, machine=["here", this_machine().name]).parts) == 1


def test_machines_and_values_multiply_and_blocks_stay_whole(copy: WorkingCopy) -> None:
    kinds = asked(copy, big="big-nogpu-1", small="small-nogpu-1")
    study = study_of(copy, **kinds, batch_size=[8, 16])
    assert [(part.plan.machine, part.settings["batch_size"]) for part in study.parts] == [
        *(("big-nogpu-1", 8), ("big-nogpu-1", 16), ("small-nogpu-1", 8), ("small-nogpu-1", 16))
    ]
    for part in study.parts:
        assert part.plan.trains and {run.machine for run in part.plan.runs} == {part.plan.machine}
        blocks = Counter(run.repetition for run in part.plan.runs)
        assert blocks == {1: 2, 2: 2}, "each repetition has all pairs of a dataset and an engine"


def test_of_a_cluster_the_nodes_are_here_and_this_machine_is_not(copy: WorkingCopy) -> None:
    (part,) = study_of(copy, **asked(copy, any="node-nogpu-1")).parts
    assert part.plan.machine == "node-nogpu-1" != this_machine().name
    assert part.plan.trains and not part.plan.asks and part.plan.description == "a any"


def test_two_kinds_of_one_class_are_one_part(copy: WorkingCopy) -> None:
    assert len(study_of(copy, **asked(copy, left="node-nogpu-1", right="node-nogpu-1")).parts) == 1


def test_one_warm_up_for_each_engine_of_an_invocation_however_many_parts(copy: WorkingCopy) -> None:
    study = study_of(copy, batch_size=[8, 16], warm_up_examples=32)
    first = {study.by_path[run_path][1].engine: run_path for run_path in reversed(study.by_path)}
    assert study.warm_ups == frozenset(first.values()) and len(study.warm_ups) == 2
    assert study_of(copy, warm_up_examples=0).warm_ups == frozenset()


@pytest.mark.parametrize("where", ["container", "cluster"])
def test_a_warm_up_before_every_run_that_starts_cold(copy: WorkingCopy, where: str) -> None:
    changes = (
        {"engines": ["jax"], "deployment": "apptainer"}
        if where == "container"
        else asked(copy, any="n-nogpu-1")
    )
    study = study_of(copy, **changes)
    assert study.warm_ups == frozenset(study.by_path)


def test_what_is_written_says_which_parts_there_are(copy: WorkingCopy) -> None:
    study = study_of(copy, batch_size=[8, 16])
    write_study(study)
    results = copy.root / "results/native"
    assert json.loads((results / "experiment.json").read_text())["batch_size"] == [8, 16]
    written = json.loads((results / "parts.json").read_text())
    assert written["swept"] == ["batch_size"] and written["machines"] == [this_machine().name]
    for part in written["parts"]:
        point = json.loads((copy.root / part["folder"] / "experiment.json").read_text())
        plan = json.loads((copy.root / part["folder"] / "plan.json").read_text())
        assert (
            point["batch_size"]
            == part["settings"]["batch_size"]
            == plan["parameters"]["batch_size"]
        )
    again = make_study(json.loads((results / "experiment.json").read_text()), copy.root)
    assert list(again.by_path) == list(study.by_path)
