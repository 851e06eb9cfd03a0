"""The plan: keys that change with what decides a result and with nothing else, and the order of runs."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from evenground.config import load_experiment
from evenground.errors import EvengroundError
from evenground.gpus.choice import Choice, Chosen
from evenground.gpus.look import Card, Look
from evenground.records.plan import PlanFile
from evenground.runs.machine import Machine, this_machine
from evenground.runs.plan import Plan, make_plans
from evenground.runs.study import make_study, write_study
from planned import make_plan, training_of
from working_copy import ABSENT, WorkingCopy


def plan_of(copy: WorkingCopy, **changes: Any) -> Plan:
    return make_plan(load_experiment({**copy.settings, **changes}), copy.root)


def write(copy: WorkingCopy, **changes: Any) -> None:
    write_study(make_study({**copy.settings, **changes}, copy.root))


def keys(plan: Plan) -> dict[tuple[str, str], str]:
    return {(run.dataset, run.engine): run.key for run in plan.runs}


@pytest.mark.parametrize(
    "change",
    [
        {"epochs": 5},
        {"batch_size": 16},
        {"learning_rate": 0.01},
        {"seed": 7},
        {"threads": 1},
        {"linger_s": 1.0},
        {"sampling_rate_hz": 20.0},
        {"warm_up_examples": 0},
    ],
)
def test_a_parameter_that_reaches_the_engine_changes_every_key(
    copy: WorkingCopy, change: dict[str, Any]
) -> None:
    before, after = keys(plan_of(copy)), keys(plan_of(copy, **change))
    assert before.keys() == after.keys()
    assert not set(before.values()) & set(after.values())


@pytest.mark.parametrize(
    "change",
    [
        {"repetitions": 9},
        {"repetitions": 4, "looks": [4, 8]},
        {"looks": "precision"},
        {"order_seed": 5},
        {"grid_s": 0.5},
        {"stand_ins": {"elixir": "fake_a"}},
        {"time_limit_s": 9.0},
        {"mirrors": ["/nowhere"]},
        {"gpu": "1"},
        # There is no GPU here: the same work.
        {"accelerator": "cpu"},
    ],
)
def test_what_decides_no_result_changes_no_key(copy: WorkingCopy, change: dict[str, Any]) -> None:
    assert keys(plan_of(copy)) == keys(plan_of(copy, **change))


def test_the_report_is_told_the_looks_and_that_a_repetition_is_a_block(copy: WorkingCopy) -> None:
    usual = plan_of(copy).record({}).report
    assert (usual.looks, usual.design) == ((), "blocks")
    on_nodes = {**copy.settings, "repetitions": 4, "looks": [4, 8], "nodes": {"small": {}}}
    (plan,) = make_plans([load_experiment(on_nodes)], copy.root)
    planned = plan.record({}).report
    assert (planned.looks, planned.design) == ((4, 8), "independent")


def test_other_looks_train_nothing_and_are_in_the_index(copy: WorkingCopy) -> None:
    finish(plan_of(copy, repetitions=4))
    plan = plan_of(copy, repetitions=4, looks=[4, 8])
    assert not plan.pending and len(plan.runs) == 8
    write(copy, repetitions=4, looks=[4, 8])
    (condition,) = PlanFile.read(copy.root / "results/native/plan.json").conditions
    written = condition.report
    assert (written.looks, written.design) == ((4, 8), "blocks")
    write(copy, repetitions=4, looks="precision")
    (condition,) = PlanFile.read(copy.root / "results/native/plan.json").conditions
    assert condition.report.looks == "precision"


@pytest.fixture
def with_card(monkeypatch: pytest.MonkeyPatch) -> Machine:
    """This machine, as if it had a GPU."""
    chosen = Chosen(Card(index=0, name="NVIDIA A100", uuid="GPU-1", near_cpus=(1,)))
    machine = replace(
        this_machine(),
        gpu=chosen.model,
        driver="580.95.05",
        look=Look((chosen.card,)),
        choice=Choice(chosen),
    )
    monkeypatch.setattr("evenground.runs.plan.this_machine", lambda gpu: machine)
    return machine


@pytest.mark.usefixtures("with_card")
def test_on_a_machine_with_a_gpu_auto_is_cuda_and_never_told_to_an_engine(
    copy: WorkingCopy,
) -> None:
    plan = plan_of(copy)
    assert plan.accelerator == "cuda" and plan.record({}).parameters.accelerator == "cuda"
    assert "nvidia-a100" in plan.machine
    assert keys(plan) == keys(plan_of(copy, accelerator="cuda"))
    assert not set(keys(plan).values()) & set(keys(plan_of(copy, accelerator="cpu")).values())
    work = training_of(plan, plan.runs[0], 1, False).work(copy.root)
    assert work.accelerator == "cuda"


@pytest.mark.usefixtures("with_card")
def test_an_arm_that_has_no_gpu_trains_on_the_processor_and_is_refused_where_cuda_is_asked(
    copy: WorkingCopy,
) -> None:
    described = copy.root / "tests/fake_engine/engine.yaml"
    described.write_text(described.read_text() + "processor_only: {speed: [2, 3]}\n")
    first, _ = copy.settings["engines"]
    engines = [first, {**first, "name": "slow", "arm_of": "fake_a", "options": {"speed": 2}}]
    plan = plan_of(copy, engines=engines)
    told = {name: plan.accelerator_of(plan.engine(name)) for name in ("fake_a", "slow")}
    assert told == {"fake_a": "cuda", "slow": "cpu"}
    with pytest.raises(
        EvengroundError, match="'slow' computes on the processor only, with speed: 2"
    ):
        plan_of(copy, engines=engines, accelerator="cuda")


@pytest.mark.parametrize(("accelerator", "told"), [("auto", "cuda GPU-1"), ("cpu", "cpu none")])
def test_a_check_sees_the_card_that_a_training_would_see(
    copy: WorkingCopy, with_card: Machine, accelerator: str, told: str
) -> None:
    check = copy.root / "tests/fake_absent/check.sh"
    check.write_text('echo "$* ${CUDA_VISIBLE_DEVICES:-none}"; exit 1')
    engines = [copy.settings["engines"][0], ABSENT]
    # A class without a GPU stands before this machine: there it would be told otherwise.
    given = {**copy.settings, "engines": engines, "accelerator": accelerator}
    elsewhere = load_experiment({**given, "machine": "cray-1-nogpu-1"})
    (run, *_) = make_plans([elsewhere], copy.root)[0].runs
    (copy.root / "results/runs" / run.path).mkdir(parents=True)
    (copy.root / "results/runs" / run.path / "manifest.json").write_text("{}")
    study = make_study({**given, "machine": ["cray-1-nogpu-1", "here"]}, copy.root)
    assert study.plans[-1].machine == with_card.name
    assert [left.reason for left in study.plans[-1].left_out] == [
        f"--option speed=1 --accelerator {told}"
    ]


def test_cores_near_the_card_are_taken_first(
    copy: WorkingCopy, with_card: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[object] = []
    monkeypatch.setattr("evenground.runs.training.choose", lambda threads, near: asked.append(near))
    for accelerator in ("cuda", "cpu"):
        plan = plan_of(copy, accelerator=accelerator)
        _ = training_of(plan, plan.runs[0], 1, False).cpus
    assert asked == [(1,), ()]


def test_other_engines_and_datasets_change_no_key(copy: WorkingCopy) -> None:
    both = keys(plan_of(copy))
    alone = keys(plan_of(copy, engines=copy.settings["engines"][:1], datasets=["tiny", "shapes"]))
    assert alone["tiny", "fake_a"] == both["tiny", "fake_a"]


def test_an_option_changes_the_key_of_its_engine_alone(copy: WorkingCopy) -> None:
    before = keys(plan_of(copy))
    first, second = copy.settings["engines"]
    after = keys(plan_of(copy, engines=[{**first, "options": {"speed": 2}}, second]))
    assert after["tiny", "fake_a"] != before["tiny", "fake_a"]
    assert after["tiny", "fake_b"] == before["tiny", "fake_b"]


def test_a_lock_is_in_the_key(copy: WorkingCopy) -> None:
    before = keys(plan_of(copy, engines=["keras", "jax"]))
    with (copy.root / "envs" / "jax.txt").open("a") as file:
        file.write("# changed\n")
    after = keys(plan_of(copy, engines=["keras", "jax"]))
    assert after["tiny", "keras"] == before["tiny", "keras"]
    assert after["tiny", "jax"] != before["tiny", "jax"]


def test_the_order_is_randomised_complete_blocks(copy: WorkingCopy) -> None:
    plan = plan_of(copy, repetitions=20, datasets=["tiny", "shapes"])
    blocks = [plan.runs[start : start + 4] for start in range(0, 80, 4)]
    pairs = {("tiny", "fake_a"), ("tiny", "fake_b"), ("shapes", "fake_a"), ("shapes", "fake_b")}
    for repetition, block in enumerate(blocks, 1):
        assert {run.repetition for run in block} == {repetition}
        assert {(run.dataset, run.engine) for run in block} == pairs
    firsts = Counter((block[0].dataset, block[0].engine) for block in blocks)
    assert len(firsts) == 4
    assert [run.order for run in plan.runs] == list(range(1, 81))
    assert plan.runs[:16] == plan_of(copy, repetitions=4, datasets=["tiny", "shapes"]).runs
    assert (
        plan.runs != plan_of(copy, repetitions=20, datasets=["tiny", "shapes"], order_seed=2).runs
    )


def finish(plan: Plan) -> None:
    for run in plan.runs:
        folder = plan.root / "results/runs" / run.path
        folder.mkdir(parents=True)
        (folder / "manifest.json").write_text("{}")


def test_the_plan_is_written_only_when_it_differs_or_work_is_left(copy: WorkingCopy) -> None:
    path = copy.root / "results/native/plan.json"
    write(copy)
    first = path.read_bytes()
    write(copy)
    assert path.read_bytes() != first, "work is left: Snakemake must see a difference in content"
    finish(plan_of(copy))
    written = path.read_bytes()
    write(copy)
    assert path.read_bytes() == written, "nothing is left and nothing differs"
    write(copy, repetitions=1)
    assert len(PlanFile.read(path).run_paths) == 2


def test_a_failed_attempt_is_followed_by_the_next_number(copy: WorkingCopy) -> None:
    plan = plan_of(copy)
    assert set(plan.pending.values()) == {1}
    ended = plan.root / "results/attempts" / plan.runs[0].path / "1" / "outcome.json"
    ended.parent.mkdir(parents=True)
    ended.write_text("{}")
    assert plan_of(copy).pending[plan.runs[0].path] == 2
    assert plan_of(copy).pending[plan.runs[1].path] == 1


def test_a_foreign_class_without_runs_is_refused(copy: WorkingCopy) -> None:
    with pytest.raises(
        EvengroundError, match="no wanted run is recorded for the machine class 'cray-1'"
    ):
        plan_of(copy, machine="cray-1")


def test_a_foreign_class_is_replayed(copy: WorkingCopy) -> None:
    here = plan_of(copy)
    for run in here.runs:
        folder = Path(
            str(here.root / "results/runs" / run.path).replace(here.machine, "cray-1-nogpu-1")
        )
        folder.mkdir(parents=True)
        (folder / "manifest.json").write_text("{}")
    plan = plan_of(copy, machine="cray-1-nogpu-1")
    assert not plan.pending
    assert {run.machine for run in plan.runs} == {"cray-1-nogpu-1"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"datasets": ["tinny"]}, "unknown dataset 'tinny'.*did you mean 'tiny'"),
        ({"engines": ["kerras"]}, "unknown engine 'kerras'.*did you mean 'keras'"),
        (
            {"engines": [{"name": "jax", "options": {"jit": True}}]},
            "engine 'jax' has no option 'jit'",
        ),
    ],
)
def test_unknown_names_are_refused_in_one_line(
    copy: WorkingCopy, change: dict[str, Any], message: str
) -> None:
    with pytest.raises(EvengroundError, match=message) as caught:
        plan_of(copy, **change)
    assert "\n" not in str(caught.value)


def test_other_code_that_calibrates_wants_another_calibration_and_changes_no_key(
    copy: WorkingCopy,
) -> None:
    before = plan_of(copy)
    loads = copy.root / "src/evenground/sidecar/calibration/loads.py"
    for added, changes in (("# words\n", False), ("MORE = 1\n", True)):
        loads.write_text(loads.read_text() + added)
        after = plan_of(copy)
        assert keys(after) == keys(before)
        assert (after.calibration != before.calibration) is changes


def test_an_arm_trains_on_its_datasets_only_and_moves_no_key(copy: WorkingCopy) -> None:
    registry = dict.fromkeys(("tiny", "small"), copy.settings["registry"]["tiny"])
    changes = {"datasets": ["tiny", "small"], "registry": registry}
    engines = copy.settings["engines"]
    arm = {"name": "arm", "folder": "tests/fake_engine", "arm_of": "fake_a", "datasets": ["small"]}
    arm["repetitions"] = 3
    before = keys(plan_of(copy, **changes))
    plan = plan_of(copy, **changes, engines=[*engines, arm])
    after = keys(plan)
    assert after.keys() - before.keys() == {("small", "arm")}
    assert {pair: key for pair, key in after.items() if pair in before} == before
    assert [run.repetition for run in plan.runs if run.engine == "arm"] == [1, 2, 3]
    assert max(run.repetition for run in plan.runs if run.engine != "arm") == 2
    assert [engine.arm_of for engine in plan.record({}).engines] == [None, None, "fake_a"]


def test_the_plan_names_each_engines_lock(copy: WorkingCopy) -> None:
    plan = plan_of(copy)
    named = [engine.environment for engine in plan.record({}).engines]
    assert named == [plan.environment(engine) for engine in plan.engines]


def test_the_plan_says_how_each_engine_waits(copy: WorkingCopy) -> None:
    file = copy.root / "tests/fake_engine/engine.yaml"
    assert {engine.wait_policy for engine in plan_of(copy).record({}).engines} == {None}
    file.write_text(f"{file.read_text()}wait_policy: sleeps at once\n")
    waits = {engine.wait_policy for engine in plan_of(copy).record({}).engines}
    assert waits == {"sleeps at once"}


def limited(copy: WorkingCopy, limit: int | None) -> dict[str, Any]:
    """The engines of the copy, and an arm that trains on so many examples."""
    arm = {"name": "arm", "folder": "tests/fake_engine", "arm_of": "fake_a", "train_limit": limit}
    return {"engines": [*copy.settings["engines"], arm]}


def test_a_train_limit_is_in_the_key_of_its_arm_and_in_no_other(copy: WorkingCopy) -> None:
    before, all_of_it = keys(plan_of(copy)), keys(plan_of(copy, **limited(copy, None)))
    some, more = (keys(plan_of(copy, **limited(copy, limit))) for limit in (32, 64))
    assert len({all_of_it["tiny", "arm"], some["tiny", "arm"], more["tiny", "arm"]}) == 3
    for found in (all_of_it, some, more):
        assert {pair: key for pair, key in found.items() if pair[1] != "arm"} == before


def test_the_plan_says_how_much_there_is_and_how_much_is_trained(copy: WorkingCopy) -> None:
    record = plan_of(copy, **limited(copy, 32)).record({})
    assert [engine.train_limit for engine in record.engines] == [None, None, 32]
    assert [dataset.train_examples for dataset in record.datasets] == [80]


def test_a_train_limit_without_one_step_is_refused(copy: WorkingCopy) -> None:
    with pytest.raises(
        EvengroundError, match=r"'arm' has a train_limit of 31, .*batch_size is 32"
    ) as caught:
        plan_of(copy, **limited(copy, 31))
    assert "\n" not in str(caught.value)
