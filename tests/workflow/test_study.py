"""An experiment of several conditions: the product of lists, machine classes, order, refusals."""

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
from evenground.records.plan import PlanFile
from evenground.records.spec import spec_file
from evenground.runs.machine import this_machine
from evenground.runs.plan import NODES, RUNS, Plan
from evenground.runs.study import Study, make_study, write_study
from made_run_records import made_node
from working_copy import ABSENT, WorkingCopy

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


def machines_of(study: Study) -> list[str]:
    return [plan.machine for plan in study.plans]


def asked(copy: WorkingCopy, **kinds: str) -> dict[str, Any]:
    """Settings with kinds of node that have said of what class they are."""
    for kind, name in kinds.items():
        made_node(name, f"a {kind}").write(copy.root / NODES / f"{kind}.json")
    return {"nodes": {kind: {} for kind in kinds}}


def test_one_value_of_each_is_one_condition_without_a_name(copy: WorkingCopy) -> None:
    study = study_of(copy)
    (condition,) = study.conditions
    assert (condition.name, condition.values) == ("", {})
    assert study.results == Path("results/native")
    write_study(study)
    plan = PlanFile.read(copy.root / "results/native/plan.json")
    assert plan.swept == () and plan.conditions == (study.first.record({}),)
    assert (
        json.loads((copy.root / "results/native/experiment.json").read_text())["machine"] == "here"
    )


def test_lists_are_a_product_of_conditions_with_keys_of_their_own(copy: WorkingCopy) -> None:
    study = study_of(copy, batch_size=[16, 32], threads=[1, "all"], epochs=[2])
    assert [dict(condition.values) for condition in study.conditions] == [
        {"epochs": 2, "batch_size": size, "threads": threads}
        for size, threads in product([16, 32], [1, "all"])
    ]
    assert study.record().swept == ("epochs", "batch_size", "threads")
    assert study.conditions[1].name == "epochs-2_batch_size-16_threads-all"
    keys = {run.key for plan in study.plans for run in plan.runs}
    assert len(keys) == 4 * 2 and len(study.by_path) == 4 * 4


def test_a_point_of_a_sweep_has_the_runs_of_the_same_experiment_alone(copy: WorkingCopy) -> None:
    alone = {run.path for run in study_of(copy, batch_size=16).first.runs}
    swept = {run.path for run in study_of(copy, batch_size=[8, 16]).plans[1].runs}
    assert alone == swept


def test_a_repetition_is_a_block_over_all_conditions_and_shuffled(copy: WorkingCopy) -> None:
    study = study_of(copy, batch_size=[8, 16, 32], repetitions=3)
    order = [(run.repetition, each.values["batch_size"]) for each, run in study.by_path.values()]
    assert [repetition for repetition, _ in order] == [1] * 6 + [2] * 6 + [3] * 6
    blocks = [[size for _, size in order[k : k + 6]] for k in (0, 6, 12)]
    assert all(Counter(block) == {8: 2, 16: 2, 32: 2} for block in blocks)
    assert len({tuple(block) for block in blocks}) == 3 and blocks[0] != sorted(blocks[0])
    again = study_of(copy, batch_size=[8, 16, 32], repetitions=3)
    assert list(again.by_path) == list(study.by_path)
    other = study_of(copy, batch_size=[8, 16, 32], repetitions=3, order_seed=2)
    assert list(other.by_path) != list(study.by_path)


def test_runs_are_numbered_over_all_conditions(copy: WorkingCopy) -> None:
    study = study_of(copy, batch_size=[8, 16, 32], repetitions=3)
    assert [run.order for _, run in study.by_path.values()] == list(range(1, 19))
    for plan in study.plans:
        assert [run.order for run in plan.runs] == sorted(run.order for run in plan.runs)
    more = study_of(copy, batch_size=[8, 16, 32], repetitions=4)
    assert list(more.by_path)[:18] == list(study.by_path), "more repetitions follow"


def test_a_run_has_the_same_number_with_and_without_an_engine(copy: WorkingCopy) -> None:
    copy.settings["engines"] = [*copy.settings["engines"], ABSENT]
    here = study_of(copy, batch_size=[8, 16])
    (copy.root / "fake_installed").touch()
    whole = study_of(copy, batch_size=[8, 16])
    orders = {run.path: run.order for _, run in whole.by_path.values() if run.engine != "axon"}
    assert len(whole.by_path) == 12 and len(orders) == 8
    assert {run.path: run.order for _, run in here.by_path.values()} == orders


def test_an_experiment_of_one_condition_keeps_the_order_of_its_plan(copy: WorkingCopy) -> None:
    study = study_of(copy, repetitions=4)
    assert list(study.by_path) == [run.path for run in study.first.runs]
    assert len(study.by_path) == 8 and list(study.pending) == list(study.by_path)


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


def test_runs_that_were_copied_here_from_another_machine_are_a_condition(copy: WorkingCopy) -> None:
    record(study_of(copy).first, OTHER)
    here = this_machine().name
    study = study_of(copy, machine=["here", OTHER])
    assert [condition.name for condition in study.conditions] == [here, OTHER]
    assert [(plan.machine, plan.trains) for plan in study.plans] == [(here, True), (OTHER, False)]
    assert set(study.pending) == {run.path for run in study.plans[0].runs}
    assert {run.machine for run in study.plans[1].runs} == {OTHER}


def test_recorded_means_every_class_with_runs_of_this_experiment(copy: WorkingCopy) -> None:
    record(study_of(copy).first, OTHER)
    record(study_of(copy, epochs=7).first, "cray-3-nogpu-1")
    assert machines_of(study_of(copy, machine="recorded")) == [OTHER]
    record(study_of(copy).first)
    machines = machines_of(study_of(copy, machine="recorded"))
    assert machines == sorted([OTHER, this_machine().name])


def test_here_and_its_class_are_one_condition(copy: WorkingCopy) -> None:
    (condition,) = study_of(copy, machine=["here", this_machine().name]).conditions
    assert condition.name == ""


def test_machines_and_values_multiply_and_blocks_stay_whole(copy: WorkingCopy) -> None:
    kinds = asked(copy, big="big-nogpu-1", small="small-nogpu-1")
    study = study_of(copy, **kinds, batch_size=[8, 16])
    assert [(each.plan.machine, each.values["batch_size"]) for each in study.conditions] == [
        *(("big-nogpu-1", 8), ("big-nogpu-1", 16), ("small-nogpu-1", 8), ("small-nogpu-1", 16))
    ]
    assert study.conditions[1].name == "big-nogpu-1_batch_size-16"
    for plan in study.plans:
        assert plan.trains and {run.machine for run in plan.runs} == {plan.machine}
        blocks = Counter(run.repetition for run in plan.runs)
        assert blocks == {1: 2, 2: 2}, "each repetition has all pairs of a dataset and an engine"


def test_of_a_cluster_the_nodes_are_here_and_this_machine_is_not(copy: WorkingCopy) -> None:
    (plan,) = study_of(copy, **asked(copy, any="node-nogpu-1")).plans
    assert plan.machine == "node-nogpu-1" != this_machine().name
    assert plan.trains and not plan.asks and plan.description == "a any"


def test_two_kinds_of_one_class_are_one_condition(copy: WorkingCopy) -> None:
    study = study_of(copy, **asked(copy, left="node-nogpu-1", right="node-nogpu-1"))
    assert len(study.conditions) == 1


def test_one_warm_up_for_each_engine_of_an_invocation_however_many_conditions(
    copy: WorkingCopy,
) -> None:
    study = study_of(copy, batch_size=[8, 16])
    first = {study.by_path[run_path][1].engine: run_path for run_path in reversed(study.by_path)}
    assert study.cold == frozenset(first.values()) and len(study.cold) == 2


@pytest.mark.parametrize("where", ["container", "cluster"])
def test_a_warm_up_before_every_run_that_starts_cold(copy: WorkingCopy, where: str) -> None:
    changes = (
        {"engines": ["jax"], "deployment": "apptainer"}
        if where == "container"
        else asked(copy, any="n-nogpu-1")
    )
    study = study_of(copy, **changes)
    assert study.cold == frozenset(study.by_path)


def test_what_is_written_says_which_conditions_there_are(copy: WorkingCopy) -> None:
    study = study_of(copy, batch_size=[8, 16])
    write_study(study)
    results = copy.root / "results/native"
    assert json.loads((results / "experiment.json").read_text())["batch_size"] == [8, 16]
    plan = PlanFile.read(results / "plan.json")
    assert plan.swept == ("batch_size",) and plan.run_paths == set(study.by_path)
    for size, condition, planned in zip([8, 16], plan.conditions, study.plans, strict=True):
        assert condition.values == {"batch_size": size}
        assert condition.parameters.batch_size == size
        assert condition.machine.class_name == this_machine().name
        assert condition.runs == planned.runs
    for key in {run.key for _, run in study.by_path.values()}:
        assert (copy.root / spec_file(key)).is_file()
    again = make_study(json.loads((results / "experiment.json").read_text()), copy.root)
    assert list(again.by_path) == list(study.by_path)


def test_the_plan_of_two_machines_has_a_condition_and_a_calibration_of_each(
    copy: WorkingCopy,
) -> None:
    record(study_of(copy).first, OTHER)
    study = study_of(copy, machine=["here", OTHER])
    plan = study.record()
    here, other = plan.conditions
    assert plan.swept == () and here.values == other.values == {}
    assert [each.machine.class_name for each in plan.conditions] == [this_machine().name, OTHER]
    assert OTHER in other.calibration and OTHER not in here.calibration
    assert {run.key for run in here.runs} == {run.key for run in other.runs}
    assert not here.runs[0].path.is_relative_to(OTHER)
    orders = sorted(run.order for condition in plan.conditions for run in condition.runs)
    assert orders == list(range(1, 9))
    assert plan.contact_sheets.keys() == {"tiny"}
    assert plan.sources.keys() == {"fake_a", "fake_b"}


def test_an_engine_of_one_condition_only_has_its_sources_in_the_plan(copy: WorkingCopy) -> None:
    """It is not installed here, and has recorded runs of one value."""
    copy.settings["engines"] = [copy.settings["engines"][0], ABSENT]
    (copy.root / "fake_installed").touch()
    record(study_of(copy, batch_size=8).first)
    (copy.root / "fake_installed").unlink()
    plan = study_of(copy, batch_size=[8, 16]).record()
    engines = [[engine.name for engine in condition.engines] for condition in plan.conditions]
    assert engines == [["fake_a", "axon"], ["fake_a"]]
    assert [[gone.name for gone in each.absent] for each in plan.conditions] == [[], ["axon"]]
    assert plan.sources.keys() == {"fake_a", "axon"}
