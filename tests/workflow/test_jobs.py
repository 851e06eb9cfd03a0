"""What the rules ask of a job, and what an invocation hands on to those on other machines."""

from __future__ import annotations

import json
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from evenground.config import load_experiment
from evenground.containers.images import Image
from evenground.errors import EvengroundError
from evenground.files import write_json
from evenground.invocation import INVOCATION, hand_on, handed_on
from evenground.runs.plan import NODES, RUNS
from evenground.runs.study import make_study
from evenground.workflow.jobs import Jobs, run_path_of
from evenground.workflow.planned import Planned, plan_jobs
from made_run_records import made_node
from working_copy import ABSENT, WorkingCopy


def planned_of(copy: WorkingCopy, images: list[Image] | None = None, **settings: Any) -> Planned:
    study = make_study({**copy.settings, **settings}, copy.root)
    return plan_jobs(
        study=study,
        nodes=load_experiment({"nodes": {"small": {"cores": 2}}}).nodes,
        source={"commit": "a" * 40, "dirty": False},
        images=images or [],
        ours=["/elsewhere"],
        mounted=["/disk"],
    )


def jobs_of(given: Planned) -> Jobs:
    return Jobs(planned=given, python="/py", pipeline=[1, 2], number="77", job="5")


def wildcards_of(run_path: str) -> SimpleNamespace:
    machine, dataset, engine, key, repetition = run_path.split("/")
    rep = repetition.removeprefix("r")
    return SimpleNamespace(machine=machine, dataset=dataset, engine=engine, key=key, rep=rep)


def test_what_an_invocation_hands_on_stands_until_another_begins(
    copy: WorkingCopy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(INVOCATION, "")
    (copy.root / ".snakemake").mkdir()
    given = planned_of(copy)
    number = hand_on(copy.root, given)
    assert Planned.read(handed_on(copy.root)) == given
    assert list(Planned.read(handed_on(copy.root)).runs) == list(given.runs)
    hand_on(copy.root, given)
    monkeypatch.setenv(INVOCATION, number)
    with pytest.raises(EvengroundError, match="job belongs to a finished invocation"):
        handed_on(copy.root)


def test_trainings_are_those_that_are_missing_in_order(copy: WorkingCopy) -> None:
    study = make_study(copy.settings, copy.root)
    jobs = jobs_of(planned_of(copy))
    assert [Path(run_path) for run_path in jobs.planned.runs] == list(study.pending)
    outcomes = jobs.attempts
    assert len(outcomes) == len(study.pending) == 4
    assert outcomes[0] == f"results/attempts/{next(iter(study.pending))}/1/outcome.json"
    priorities = [jobs.priority(wildcards_of(run_path)) for run_path in jobs.planned.runs]
    assert priorities == [4, 3, 2, 1]
    assert all(run_path_of(wildcards_of(run_path)) == run_path for run_path in jobs.planned.runs)


def test_a_training_is_told_what_its_specification_does_not_say(copy: WorkingCopy) -> None:
    jobs = jobs_of(planned_of(copy, gpu="3", time_limit_s=9.0))
    first = next(iter(jobs.planned.runs))
    options = jobs.training(wildcards_of(first))
    engine = "tests/fake_engine"
    said = ["--number=1/4", "--condition=", "--cold"]
    said += [f"--engine-dir={engine}", "--gpu=3", "--time-limit-s=9.0"]
    source = json.dumps({"commit": "a" * 40, "dirty": False})
    said += [f"--source={source}", "--invocation=77", "--job=5", "--mounted", "/disk"]
    assert options == [*said, "--pipeline", "1", "2"]
    last = list(jobs.planned.runs)[-1]
    assert "--cold" not in jobs.training(wildcards_of(last))


def test_in_a_sweep_messages_name_the_condition_and_numbers_go_over_all(copy: WorkingCopy) -> None:
    planned = planned_of(copy, epochs=[1, 2])
    jobs = jobs_of(planned)
    assert [run.number for run in planned.runs.values()] == [f"{n}/8" for n in range(1, 9)]
    named = {jobs.training(wildcards_of(run_path))[1] for run_path in planned.runs}
    assert named == {"--condition=epochs-1", "--condition=epochs-2"}
    assert {jobs.explained(wildcards_of(run_path))[-1] for run_path in planned.runs} == named
    assert jobs.results == "results/native"


def test_of_two_machine_classes_with_the_same_keys_each_names_its_own_condition(
    copy: WorkingCopy,
) -> None:
    for kind in ("big", "small"):
        made_node(f"{kind}-nogpu-1").write(copy.root / NODES / f"{kind}.json")
    planned = planned_of(copy, nodes={"big": {}, "small": {}}, epochs=[1, 2])
    jobs = jobs_of(planned)
    assert len({run_path.split("/")[3] for run_path in planned.runs}) == 4, "keys know no machine"
    for name, machine in planned.machines.items():
        assert set(machine.conditions.values()) == {f"{name}_epochs-1", f"{name}_epochs-2"}
    for run_path in planned.runs:
        wildcards = wildcards_of(run_path)
        assert jobs.training(wildcards)[1].startswith(f"--condition={wildcards.machine}_epochs-")


def test_a_training_waits_for_the_calibration_of_its_own_class_only(copy: WorkingCopy) -> None:
    planned = planned_of(copy)
    ((name, machine),) = planned.machines.items()
    jobs = jobs_of(planned)
    assert jobs.calibrations == [machine.calibration] and jobs.is_trained_here
    assert jobs.beside_runs == [machine.calibration, *jobs.contact_sheets]
    other = machine.model_copy(update={"calibration": "results/c.json"})
    both = {name: machine, "cray-1": other}
    of_class = jobs_of(planned.model_copy(update={"machines": both}))
    assert callable(of_class.calibrations)
    assert of_class.calibrations(SimpleNamespace(machine="cray-1")) == ["results/c.json"]
    recorded = machine.model_copy(update={"trains": False})
    adopted = jobs_of(planned.model_copy(update={"machines": {name: recorded}}))
    assert adopted.calibrations == adopted.beside_runs == [] and not adopted.is_trained_here
    mixed = jobs_of(planned.model_copy(update={"machines": {name: machine, "cray-1": recorded}}))
    assert mixed.calibrations == [machine.calibration] and not mixed.is_trained_here


def test_an_engine_of_one_condition_only_has_its_environment(copy: WorkingCopy) -> None:
    """It is not installed here and has recorded runs of one value, its arm has none yet."""
    arm = {"name": "arm", "folder": "tests/fake_engine", "arm_of": "axon"}
    copy.settings["engines"] = [copy.settings["engines"][0], ABSENT, arm]
    (copy.root / "fake_installed").touch()
    for run in make_study({**copy.settings, "batch_size": 8}, copy.root).first.runs:
        if run.engine == "axon":
            folder = copy.root / RUNS / run.path
            folder.mkdir(parents=True)
            write_json(folder / "manifest.json", {"files": {}})
    (copy.root / "fake_installed").unlink()
    jobs = jobs_of(planned_of(copy, batch_size=[8, 16]))
    trained = [wildcards_of(run_path) for run_path in jobs.planned.runs]
    assert {wildcards.engine for wildcards in trained} == {"fake_a", "arm"}
    for wildcards in trained:
        assert "--engine-dir=tests/fake_engine" in jobs.training(wildcards)


def test_natively_and_in_images_an_engine_has_its_own_python(
    copy: WorkingCopy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EVENGROUND_CACHE", "/cache")
    copy.settings["engines"] = ["keras"]
    native = jobs_of(planned_of(copy))
    run = wildcards_of(next(iter(native.planned.runs)))
    assert any(option.startswith("--python=/cache/envs/keras-") for option in native.training(run))
    assert native.runner == "/py" and native.images == []
    assert native.environments[0].startswith("/cache/envs/keras-")
    image = Image(environment="keras", recipe="", file=Path("/k.sif"), record=Path("k.json"))
    contained = jobs_of(planned_of(copy, [image]))
    assert contained.container(run) == contained.any_container(run) == "/k.sif"
    assert contained.environments == contained.images == ["k.json"]
    options = contained.training(run)
    assert "--image=k.json" in options and contained.runner in "".join(options).replace(
        "engine/bin", "runner/bin"
    )


def test_only_programs_of_an_engine_are_looked_up_for_it(
    copy: WorkingCopy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = jobs_of(planned_of(copy))
    (tmp_path / "tool").touch(mode=0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}/usr/bin")
    assert not any(str(tmp_path) in variable for variable in jobs.variables_of_none)
    engine = jobs.planned.engines["fake_a"].model_copy(update={"programs": ("tool",)})
    other = jobs_of(jobs.planned.model_copy(update={"engines": {"fake_a": engine}}))
    variables = other.variables(SimpleNamespace(engine="fake_a"))
    assert any(v.startswith("PATH=") and str(tmp_path) in v for v in variables)
