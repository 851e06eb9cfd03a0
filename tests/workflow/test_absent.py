"""An engine that is not installed: the experiment runs without it, and later only its runs are made."""

from __future__ import annotations

import csv
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from evenground.config import load_experiment
from evenground.errors import EvengroundError
from evenground.records.index import read_index
from evenground.runs.installed import newest_pythons, too_new_for
from evenground.runs.plan import Plan, installed
from logged import logged
from planned import make_plan
from working_copy import ABSENT, FAKES, WorkingCopy

REASON = "no Absent in .: touch fake_installed"
ARM = {
    "name": "axon_binary",
    "folder": "tests/fake_absent",
    "arm_of": "axon",
    "options": {"speed": 2},
}
TABLES = Path("results/native/tables")


def plan_of(copy: WorkingCopy, check: bool = True, **changes: Any) -> Plan:
    plan = make_plan(load_experiment({**copy.settings, **changes}), copy.root)
    return installed([plan])[0] if check else plan


def finish(plan: Plan, *numbers: int) -> None:
    for number in numbers:
        folder = plan.root / "results/runs" / plan.runs[number].path
        folder.mkdir(parents=True)
        (folder / "manifest.json").write_text("{}")


def names(plan: Plan) -> list[str]:
    return [engine.name for engine in plan.engines]


@pytest.fixture
def absent(copy: WorkingCopy) -> WorkingCopy:
    """An engine that is there, one that is not, and an arm of that one."""
    copy.settings["engines"] = [FAKES[0], ABSENT, ARM]
    return copy


def test_its_runs_are_not_wanted_and_its_arms_neither(absent: WorkingCopy) -> None:
    whole, plan = plan_of(absent, check=False), plan_of(absent)
    assert absent.asked() == 2, (
        "an arm with other options is asked for itself, and without `check` nobody is"
    )
    assert names(whole) == ["fake_a", "axon", "axon_binary"] and names(plan) == ["fake_a"]
    assert plan.runs == tuple(run for run in whole.runs if run.engine == "fake_a"), (
        "with their numbers"
    )
    reasons = {"axon": ("Absent (axon)", REASON), "axon_binary": ("Absent (axon_binary)", REASON)}
    told = plan.record({}).absent
    assert {one.name: (one.label, one.reason) for one in told} == reasons
    assert [(one.name, one.runs) for one in plan.left_out] == [("axon", 2), ("axon_binary", 2)]
    assert plan.runs and not plan.runs[2:]


def test_installed_is_as_if_there_were_no_check(absent: WorkingCopy) -> None:
    (absent.root / "fake_installed").touch()
    plan = plan_of(absent)
    assert plan == plan_of(absent, check=False) and not plan.record({}).absent


def test_recorded_runs_of_it_stay_wanted(absent: WorkingCopy) -> None:
    whole = plan_of(absent, check=False)
    first = next(number for number, run in enumerate(whole.runs) if run.engine == "axon")
    finish(whole, first)
    plan = plan_of(absent)
    assert names(plan) == ["fake_a", "axon"] and [one.name for one in plan.absent] == [
        "axon_binary"
    ]
    assert [run for run in plan.runs if run.engine == "axon"] == [whole.runs[first]]
    assert {run.engine for run in plan.runs if run.path in plan.pending} == {"fake_a"}
    finish(whole, *(k for k, run in enumerate(whole.runs) if run.engine != "fake_a" and k != first))
    absent.asked()
    assert plan_of(absent).runs == whole.runs and absent.asked() == 0, (
        "all is recorded: nobody is asked"
    )


def test_an_engine_without_packages_for_this_python_is_left_out_like_one(
    absent: WorkingCopy, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert {"keras", "keras-cuda"} <= newest_pythons(absent.root).keys()
    choices = ["keras", "jax", {"name": "keras_jit", "folder": "keras", "arm_of": "keras"}]
    assert names(plan_of(absent, engines=choices)) == ["keras", "jax", "keras_jit"]
    monkeypatch.setattr("evenground.runs.installed.sys.version_info", (3, 99, 0, "final", 0))
    plan = plan_of(absent, engines=choices)
    why = "its packages are published up to Python 3.13, this is 3.99: start the pipeline with an older one"
    assert names(plan) == ["jax"] and {(one.name, one.reason) for one in plan.left_out} == {
        *(("keras", why), ("keras_jit", why))
    }
    assert names(plan_of(absent, engines=["keras"], deployment="apptainer")) == ["keras"]


def test_every_bound_of_python_is_one_of_an_environment(absent: WorkingCopy) -> None:
    for name, newest in newest_pythons(absent.root).items():
        assert (absent.root / f"envs/{name}.txt").is_file() and not too_new_for(newest)


def test_an_arm_of_another_folder_goes_with_its_engine(absent: WorkingCopy) -> None:
    arm = {"name": "arm", "folder": "tests/fake_engine", "arm_of": "axon"}
    plan = plan_of(absent, engines=[FAKES[0], ABSENT, arm])
    assert [(one.name, one.reason) for one in plan.absent] == [("axon", REASON), ("arm", REASON)]


def test_an_arm_that_is_not_installed_leaves_its_engine(absent: WorkingCopy) -> None:
    plan = plan_of(absent, engines=[FAKES[0], {**ABSENT, "arm_of": "fake_a"}])
    assert names(plan) == ["fake_a"] and [one.name for one in plan.absent] == ["axon"]


def test_without_any_other_engine_it_is_one_clear_line(absent: WorkingCopy) -> None:
    with pytest.raises(
        EvengroundError, match=rf"^no engine of .* \(axon: {REASON}\): fix that, or add"
    ):
        plan_of(absent, engines=[ABSENT])


def test_on_another_machine_and_in_containers_nobody_is_asked(absent: WorkingCopy) -> None:
    here = plan_of(absent, check=False)
    finish(here, *range(len(here.runs)))
    runs = absent.root / "results/runs"
    (runs / here.machine).rename(runs / "cray-1-nogpu-1")
    assert names(plan_of(absent, machine="cray-1-nogpu-1")) == ["fake_a", "axon", "axon_binary"]
    copied = absent.root / "tests/fake_absent/engine.yaml"
    copied.write_text(copied.read_text() + "environment: jax\n")
    plan = plan_of(absent, engines=["keras", ABSENT], deployment="apptainer")
    assert names(plan) == ["keras", "axon"] and absent.asked() == 0


def test_the_check_is_in_no_key_but_by_the_engines_files(absent: WorkingCopy) -> None:
    plan = plan_of(absent, check=False)
    axon = plan.engine("axon")
    other = replace(axon, file=axon.file.model_copy(update={"check": ["another"]}))
    assert plan.spec("tiny", other).key == plan.spec("tiny", axon).key
    script = absent.root / "tests/fake_absent/check.sh"
    script.write_text(script.read_text() + "# changed\n")
    assert plan_of(absent, check=False).spec("tiny", other) != plan.spec("tiny", axon)


def rows(copy: WorkingCopy, name: str) -> list[dict[str, str]]:
    with (copy.root / TABLES / f"{name}.csv").open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def said(done: subprocess.CompletedProcess[str]) -> list[str]:
    return [line for line in logged(done.stdout + done.stderr) if " left out" in line]


@pytest.mark.slow
def test_the_experiment_runs_without_it_and_later_only_its_runs_are_made(
    absent: WorkingCopy,
) -> None:
    absent.settings |= {
        "engines": [FAKES[0], ABSENT],
        "stand_ins": {"elixir": "axon", "mnist": "tiny"},
    }
    done = absent.call("--cores", "2")
    assert said(done) == [f"info: axon left out: {REASON}"]
    assert absent.trainings() == 2 and absent.asked() == 1
    assert {row["engine"] for row in rows(absent, "runs")} == {"fake_a"}
    judged = {row["claim"]: row for row in rows(absent, "verdicts")}
    assert judged["T1"]["verdict"] == "cannot be tested here"
    assert judged["T1"]["reason"] == f"engine axon not installed: {REASON}"
    assert (
        judged["X1"]["reason"] == f"engine axon_binary absent: {REASON}"
        or "absent" in judged["X1"]["reason"]
    )
    page = (absent.root / "results/native/report.html").read_text()
    assert f"Left out, not installed: Absent (axon) ({REASON})." in page
    assert str(absent.root) not in (absent.root / "results/native/index.json").read_text()

    done = absent.call("--cores", "1", "preflight")
    assert f"  !  engine axon: {REASON} -> " in done.stdout and absent.trainings() == 0

    # Nothing changed: nothing is made, the line is said again.
    done = absent.call("--cores", "2", "--dry-run")
    assert "Nothing to be done" in done.stdout + done.stderr and len(said(done)) == 1

    (absent.root / "fake_installed").touch()
    absent.asked()
    done = absent.call("--cores", "2")
    begun = [line for line in absent.log() if line.startswith("begin")]
    assert said(done) == [] and len(begun) == 2 and absent.asked() == 1
    assert {row["engine"]: row["status"] for row in rows(absent, "runs")} == {
        "fake_a": "finished",
        "axon": "finished",
    }
    assert read_index(absent.root / "results/native/index.json").first.absent == ()

    # Gone again: what was recorded stays.
    (absent.root / "fake_installed").unlink()
    absent.call("--cores", "2")
    assert absent.trainings() == 0 and len(rows(absent, "runs")) == 4 and absent.asked() == 0


def test_with_no_engine_left_nothing_is_trained(absent: WorkingCopy) -> None:
    absent.settings["engines"] = [ABSENT, ARM]
    done = absent.call("--cores", "2", ok=False)
    lines = [
        line for line in (done.stdout + done.stderr).splitlines() if line.startswith("error: ")
    ]
    assert len(lines) == 1 and REASON in lines[0] and absent.trainings() == 0
