"""What an invocation does before there is any rule, without Snakemake."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from evenground.containers.launcher import Launcher
from evenground.errors import EvengroundError
from evenground.invocation import INVOCATION
from evenground.records.plan import PlanFile
from evenground.runs.plan import RUNS
from evenground.runs.study import make_study
from evenground.workflow.begin import Begun, Call, begin
from evenground.workflow.explained import Explained
from evenground.workflow.shown import figures_in, is_shown
from working_copy import WorkingCopy


def no_launcher(told: object) -> Launcher:
    raise AssertionError("nothing is started in a container")


@pytest.fixture
def call(copy: WorkingCopy, monkeypatch: pytest.MonkeyPatch) -> Call:
    """An invocation in the working copy, which is also the folder that it is called in."""
    monkeypatch.chdir(copy.root)
    monkeypatch.setenv(INVOCATION, "")
    (copy.root / ".snakemake").mkdir()
    return Call(
        root=copy.root,
        config=copy.settings,
        args=["snakemake", "--cores", "1"],
        is_main=True,
        is_on_cluster=False,
        uses_containers=False,
        apptainer_args="",
        bound=[],
        launcher_of=no_launcher,
        environ=dict(os.environ),
    )


def begun_by(call: Call) -> Begun:
    """An invocation that has begun; the working copy is free again at once."""
    begun = begin(call)
    begun.held.close()
    return begun


def test_an_invocation_writes_its_plan_and_its_jobs_get_the_same(call: Call) -> None:
    begun = begun_by(call)
    assert begun.study and begun.told is None and begun.told_text == ""
    plan = PlanFile.read(call.root / "results/native/plan.json")
    stored = {path.stem for path in (call.root / "results/specs").iterdir()}
    assert {run_path.parent.name for run_path in plan.run_paths} == stored
    assert len(begun.records) == 6, "one of each step from the index to the page"
    job = begin(replace(call, is_main=False, is_on_cluster=True))
    assert job.planned == begun.planned and job.study is None and job.records == []
    # It has nothing to record: that was for the invocation itself.
    job.record_lost()


def test_a_job_of_an_invocation_that_has_ended_does_nothing(
    call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun_by(call)
    monkeypatch.setenv(INVOCATION, "1")
    with pytest.raises(EvengroundError, match="job belongs to a finished invocation"):
        begin(replace(call, is_main=False))


def test_settings_of_the_callers_python_and_shell_reach_no_step(call: Call) -> None:
    call.environ.update(PYTHONPATH="/mine", BASH_ENV="/mine", LANG="C")
    begun_by(call)
    assert not {"PYTHONPATH", "BASH_ENV"} & call.environ.keys() and call.environ["LANG"] == "C"


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"uses_containers": True}, "explain_idle traces native trainings only"),
        ({"is_on_cluster": True}, "explain_idle traces trainings on this machine only"),
    ],
)
def test_idle_time_is_explained_natively_and_here_only(
    call: Call, changes: dict[str, Any], fault: str
) -> None:
    with pytest.raises(EvengroundError, match=fault):
        begin(replace(call, args=[*call.args, "explain_idle"], **changes))


def test_braces_in_the_cache_are_refused(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVENGROUND_CACHE", "/a{b}")
    with pytest.raises(EvengroundError, match="what stands in braces for a wildcard"):
        begin(call)


def test_a_dry_run_starts_no_job(call: Call) -> None:
    assert call.starts_jobs
    for word in ("-n", "--dry-run", "--unlock", "--dag", "--summary"):
        assert not replace(call, args=[*call.args, word]).starts_jobs


def test_each_pair_of_each_condition_has_an_extra_training(call: Call) -> None:
    study = make_study({**call.config, "batch_size": [8, 16]}, call.root)
    explained = Explained(study)
    assert explained.options(None) == [f"--condition=batch_size-{size}" for size in (8, 8, 16, 16)]
    files = explained.files(None)
    for plan, own in zip(study.plans, (files[:2], files[2:]), strict=True):
        wanted = {(run.dataset, run.engine, run.key) for run in plan.runs}
        folder = "results/native/explain_idle"
        assert set(own) == {f"{folder}/{'/'.join(names)}/1/explained.json" for names in wanted}
    assert Explained(None).files(None) == Explained(None).options(None) == []


def test_a_recorded_class_has_no_extra_training(call: Call) -> None:
    for run in make_study(call.config, call.root).first.runs:
        folder = call.root / RUNS / Path("cray-1-nogpu-1", *run.path.parts[1:])
        folder.mkdir(parents=True)
        (folder / "manifest.json").write_text("{}")
    study = make_study({**call.config, "machine": ["cray-1-nogpu-1", "here"]}, call.root)
    explained = Explained(study)
    assert explained.options(None) == [f"--condition={study.plans[1].machine}"] * 2
    assert len(explained.files(None)) == 2


def test_what_was_lost_is_not_recorded_by_who_only_looks(call: Call) -> None:
    begun = begun_by(replace(call, args=[*call.args, "preflight"]))
    assert begun.only_looks


def test_captions_are_shown_in_snakemakes_report_as_plain_text(tmp_path: Path) -> None:
    assert figures_in(tmp_path) == []
    (tmp_path / "figures").mkdir()
    listed = [{"name": "a", "title": "A", "caption": "`x` * y_z"}]
    (tmp_path / "figures/figures.json").write_text(json.dumps(listed))
    assert figures_in(tmp_path)[0]["caption"] == r"\`x\` \* y\_z"
    assert is_shown(["snakemake", "--report=x.html"]) and not is_shown(["snakemake"])
