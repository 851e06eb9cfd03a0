"""The profiles for clouds: dry runs, and whole calls where kubectl and aws are fakes that run jobs here."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from evenground.files import read_json, write_json
from evenground.runs.machine import this_machine
from evenground.runs.plan import NODES
from working_copy import ROOT, WorkingCopy, trainings_in, wait_until

pytestmark = pytest.mark.slow
CLOUDS = ("kubernetes", "aws-batch")
QUICKLY = ("--seconds-between-status-checks", "1", "--latency-wait", "10")


@pytest.fixture(scope="module")
def python() -> Path:
    """The Python of the environment that the profiles are called in."""
    command = [sys.executable, str(ROOT / "scripts/environment.py"), "cloud"]
    built = subprocess.run(command, capture_output=True, text=True)
    if built.returncode:
        pytest.skip(f"the environment 'cloud' cannot be built here: {built.stderr.strip().splitlines()[-1]}")
    return Path(built.stdout.strip()) / "bin" / "python"


@pytest.fixture
def cloud(copy: WorkingCopy, python: Path, tmp_path: Path) -> WorkingCopy:
    """A working copy in which every placeholder is filled in, and the fakes come before any real client."""
    for name in ("kubernetes/job.yaml", "aws-batch/config.yaml"):
        file = copy.root / "profiles" / name
        text = file.read_text().replace("mountPath: FILL-IN", f"mountPath: {copy.root}")
        file.write_text(text.replace("FILL-IN", "made"))
    jobs = tmp_path / "jobs"
    jobs.mkdir()
    path = f"{ROOT / 'tests/fake_clouds'}:{python.parent}:{os.environ['PATH']}"
    copy.python, copy.variables = str(python), {"PATH": path, "FAKE_CLOUD": str(jobs)}
    copy.settings["nodes"] = {"big": {"cores": 2, "mem_mb": 900, "constraint": "kind=big"}}
    return copy


def knows_nodes(copy: WorkingCopy) -> None:
    """Let nodes have said already that they are of this machine's class."""
    write_json(copy.root / NODES / "big.json", {"class": this_machine().name, "description": "a node"})


def jobs(copy: WorkingCopy, rule: str) -> list[dict[str, Any]]:
    """What the cloud was asked for, for every job of a rule or group."""
    folder = Path(copy.variables["FAKE_CLOUD"])
    return [read_json(path) for path in sorted(folder.glob(f"evenground-{rule}-*.json"))]


def requests(job: dict[str, Any]) -> dict[str, str]:
    """What a job asks of its node."""
    if "spec" in job:
        asked: dict[str, str] = job["spec"]["template"]["spec"]["containers"][0]["resources"]["requests"]
        return asked
    return {need["type"]: need["value"] for need in job["containerOverrides"]["resourceRequirements"]}


@pytest.mark.parametrize("name", CLOUDS)
def test_a_dry_run_asks_for_a_whole_node_per_training_and_for_no_cluster(
    cloud: WorkingCopy, name: str
) -> None:
    knows_nodes(cloud)
    cloud.settings["nodes"]["big"] |= {"cores": 8, "mem_mb": 28000, "gpus": 1}
    # Clients that would fail: a dry run calls none.
    cloud.variables["FAKE_CLOUD"] = "/nowhere"
    arguments = ("--workflow-profile", f"profiles/{name}", "--dry-run", "--quiet", "host")
    printed = cloud.call(*arguments).stdout
    trainings = re.findall(r"^ *rule train:\n(?: +\S.*\n)+", printed, re.M)
    assert len(trainings) == 4
    # Of the cores a dry run says nothing: Snakemake has one for it.
    for training in trainings:
        (line,) = re.findall(r"resources: (.*)", training)
        asked = dict(item.split("=", 1) for item in line.split(", "))
        wanted = {"mem_mb": "28000", "gpu": "1", "constraint": "kind=big"}
        assert wanted.items() <= asked.items() and int(asked["runtime"]) >= 10
    (prepared,) = re.findall(r"^ *rule prepare:\n(?: +\S.*\n)+", printed, re.M)
    assert "mem_mb=4000" in prepared and "gpu=" not in prepared


@pytest.mark.parametrize("name", CLOUDS)
def test_a_whole_call_with_a_fake_cloud(cloud: WorkingCopy, name: str) -> None:
    profile = ("--workflow-profile", f"profiles/{name}", *QUICKLY)
    cloud.call(*profile, "nodes")
    assert read_json(cloud.root / NODES / "big.json")["class"] == this_machine().name
    cloud.call(*profile)
    index = read_json(cloud.root / "results/native/index.json")
    assert [run["status"] for run in index["runs"]] == ["finished"] * 4, index
    assert (cloud.root / "results/native/complete.json").is_file()
    asked = {rule: len(jobs(cloud, rule)) for rule in ("node", "data", "train", "analysis")}
    assert asked == {"node": 1, "data": 1, "train": 4, "analysis": 1}
    wanted = {"cpu": "1800m", "memory": "900M"} if name == "kubernetes" else {"VCPU": "2", "MEMORY": "900"}
    for job in jobs(cloud, "train"):
        assert wanted.items() <= requests(job).items()
    # Nothing is left to do.
    cloud.call(*profile)
    assert len(jobs(cloud, "train")) == 4


def test_a_job_that_somebody_deletes_is_a_lost_training_and_the_rest_goes_on(cloud: WorkingCopy) -> None:
    knows_nodes(cloud)
    cloud.settings |= {"linger_s": 4.0}
    main = started(cloud)
    assert wait_until(lambda: bool(jobs(cloud, "train")), 90)
    name = jobs(cloud, "train")[0]["metadata"]["name"]
    assert wait_until(lambda: marks(cloud) > 0, 60)
    subprocess.run(["kubectl", "delete", "job", name], env=cloud.environ(), check=True)
    assert main.wait(240) == 1
    index = read_json(cloud.root / "results/native/index.json")
    assert sorted(run["status"] for run in index["runs"]) == ["failed"] + ["finished"] * 3
    (lost,) = [run for run in index["runs"] if run["status"] == "failed"]
    assert lost["reason"] == "lost"


def test_ending_the_call_cancels_its_jobs(cloud: WorkingCopy) -> None:
    knows_nodes(cloud)
    cloud.settings |= {"linger_s": 60.0, "time_limit_s": 90.0}
    main = started(cloud)
    assert wait_until(lambda: trainings_in(cloud.root) > 0, 90)
    main.send_signal(signal.SIGINT)
    main.wait(60)
    assert wait_until(lambda: trainings_in(cloud.root) == 0, 30)


def started(copy: WorkingCopy) -> subprocess.Popen[bytes]:
    """A call on the fake Kubernetes, begun."""
    (copy.root / "settings.yaml").write_text(yaml.safe_dump(copy.settings))
    profile = ["--workflow-profile", "profiles/kubernetes", *QUICKLY]
    command = [copy.python, "-m", "snakemake", "--configfile", "settings.yaml", *profile]
    with (copy.root / "call.log").open("wb") as log:
        return subprocess.Popen(command, cwd=copy.root, env=copy.environ(), stdout=log, stderr=log)


def marks(copy: WorkingCopy) -> int:
    """Trainings that have begun and not ended."""
    return len(list((copy.root / "results/attempts").rglob("started.json")))
