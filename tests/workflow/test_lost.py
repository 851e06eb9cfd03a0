"""Trainings of this machine that are lost: killed from outside, left by a killed invocation, on another machine."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from evenground.gpus.choice import VISIBLE
from evenground.runs.plan import NODES
from evenground.runs.study import make_study, write_study
from made_run_records import made_node
from planned import options_of
from stand_in_driver import StandIn
from working_copy import ROOT, WorkingCopy, trainings_in, wait_until

TABLE = "results/native/tables/runs.csv"


def begun(copy: WorkingCopy, *arguments: str) -> subprocess.Popen[str]:
    """An invocation at work beside the test."""
    (copy.root / "settings.yaml").write_text(yaml.safe_dump(copy.settings))
    command = [
        sys.executable,
        "-m",
        "snakemake",
        "--configfile",
        "settings.yaml",
        "--cores",
        "2",
        *arguments,
    ]
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    return subprocess.Popen(command, cwd=copy.root, env=copy.environ(), **pipes)


def table(copy: WorkingCopy) -> list[tuple[str, str, str]]:
    with (copy.root / TABLE).open(encoding="utf-8") as file:
        return [(row["status"], row["reason"], row["attempts"]) for row in csv.DictReader(file)]


def unrecorded(copy: WorkingCopy) -> list[Path]:
    """Marks of attempts that have no outcome."""
    marks = (copy.root / "results/attempts").rglob("started.json")
    return [mark for mark in marks if not mark.with_name("outcome.json").exists()]


def training_script(copy: WorkingCopy) -> int:
    """The process of scripts/train.py: the sidecar and the engine are further down."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words, folder = (
                (process / "cmdline").read_bytes().split(b"\0"),
                (process / "cwd").resolve(),
            )
        except OSError:
            continue
        if folder == copy.root and b"scripts/train.py" in words[1:3]:
            return int(process.name)
    raise AssertionError("no training is at work")


@pytest.mark.slow
def test_a_killed_training_is_recorded_by_the_next_invocation_and_the_rest_goes_on(
    copy: WorkingCopy,
) -> None:
    copy.settings["warm_up_examples"] = 0
    (copy.root / "fake_mode").write_text("hold")
    call = begun(copy, TABLE)
    assert wait_until(lambda: copy.trainings() > 0, 60)
    os.kill(training_script(copy), signal.SIGKILL)
    (copy.root / "fake_mode").unlink()
    said, _ = call.communicate(timeout=120)
    assert call.returncode == 1 and "the next invocation records why" in said, said
    assert copy.trainings() == 3 and not (copy.root / TABLE).exists()
    (mark,) = unrecorded(copy)

    copy.call("--cores", "2", "--dry-run", TABLE)
    copy.call("--cores", "2", "-np", TABLE)
    copy.call("--cores", "2", "preflight")
    assert unrecorded(copy) == [mark], "what trains nothing writes nothing down"
    (copy.root / "fake_mode").write_text("crash")
    said = copy.call("--cores", "2", TABLE).stderr
    assert "lost by an earlier invocation: tiny fake_" in said and unrecorded(copy) == []
    lost = json.loads(mark.with_name("outcome.json").read_text())
    assert (lost["reason"], lost["attempt"]) == ("lost", 1)
    assert table(copy) == [("failed", "crashed", "2"), *[("finished", "", "1")] * 3]

    (copy.root / "fake_mode").unlink()
    copy.log()
    copy.call("--cores", "2", TABLE)
    assert copy.trainings() == 1 and table(copy)[0] == ("finished", "", "3")


@pytest.mark.slow
def test_what_a_killed_invocation_trained_is_a_lost_attempt(copy: WorkingCopy) -> None:
    """A mark cannot tell who ended its process: the caller, the kernel or a power cut."""
    copy.settings |= {"warm_up_examples": 0, "repetitions": 1}
    (copy.root / "fake_mode").write_text("hold")
    call = begun(copy)
    assert wait_until(lambda: copy.trainings() > 0, 60)
    call.kill()
    call.communicate()
    assert wait_until(lambda: trainings_in(copy.root) == 0, 10)
    (mark,) = unrecorded(copy)
    (copy.root / "fake_mode").unlink()
    copy.call("--cores", "2", TABLE)
    assert json.loads(mark.with_name("outcome.json").read_text())["reason"] == "lost"
    assert sorted(table(copy)) == [("finished", "", "1"), ("finished", "", "2")]


def test_another_machine_is_an_outcome(copy: WorkingCopy) -> None:
    study = make_study(copy.settings, copy.root)
    write_study(study)
    elsewhere = Path("cray-1-nogpu-1", *study.first.runs[0].path.parts[1:])
    command = [sys.executable, "scripts/train.py"]
    command += options_of(study.first.runs[0]) + ["--machine", "cray-1-nogpu-1"]
    done = subprocess.run(command, cwd=copy.root, capture_output=True, text=True)
    assert done.returncode == 0 and "FAILED: other-machine: 'cray-1-nogpu-1'" in done.stderr
    ended = json.loads((copy.root / "results/attempts" / elsewhere / "1/outcome.json").read_text())
    assert ended["reason"] == "other-machine" and study.first.machine in ended["detail"]
    assert ended["run"]["machine"] == "cray-1-nogpu-1"


def test_a_node_without_the_card_that_is_named_trains_on_no_other(
    copy: WorkingCopy, stand_in: StandIn
) -> None:
    """No card is held there, and none is chosen beside the key `gpu`."""
    stand_in.answers("cards 2\n")
    environ = {
        name: value for name, value in os.environ.items() if name != VISIBLE
    } | stand_in.env()
    code = "from evenground.runs.machine import this_machine; print(this_machine().name)"
    command = [sys.executable, "-c", code]
    asked = subprocess.run(
        command,
        env={**environ, "PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        check=True,
    )
    wanted = asked.stdout.strip()
    given = {**copy.settings, "gpu": "5", "machine": wanted, "nodes": {"some": {}}}
    made_node(wanted, "a node").write(copy.root / NODES / "some.json")
    study = make_study(given, copy.root)
    write_study(study)
    run = study.first.runs[0]
    words = [*options_of(run), "--gpu", "5"]
    subprocess.run(
        [sys.executable, "scripts/train.py", *words], cwd=copy.root, env=environ, check=True
    )
    ended = json.loads((copy.root / "results/attempts" / run.path / "1/outcome.json").read_text())
    assert ended["reason"] == "other-machine" and "gpu: 5: there is no such card" in ended["detail"]


@pytest.mark.slow
def test_how_many_cores_a_cluster_is_asked_for_has_to_be_known(copy: WorkingCopy) -> None:
    slurm = ("--workflow-profile", "profiles/slurm", "--dry-run")
    copy.call(*slurm)
    done = copy.call(*slurm, "--cores", "2", ok=False)
    assert (
        "error: --cores would limit what every job asks the scheduler for"
        in done.stdout + done.stderr
    )
    copy.settings["threads"] = "all"
    done = copy.call(*slurm, ok=False)
    said = [line for line in (done.stdout + done.stderr).splitlines() if line.startswith("error: ")]
    assert (
        len(said) == 1
        and "how many cores a training asks for on this cluster is not known" in said[0]
    )
