"""The pipeline on a real Slurm of one node: the machine's own results, and what is lost on the way."""

from __future__ import annotations

import csv
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from evenground.preflight import containers
from fake_image import fake_base, locked_engines
from slurm.one_node import CannotStart, OneNode, members, one_node, own_network
from working_copy import WorkingCopy, fresh_copy, wait_until

PROFILE = ("--workflow-profile", "profiles/slurm", "--latency-wait", "10")
# The controller is asked so many seconds after an end, when the next job is likely to have ended too.
SOON = ("--slurm-init-seconds-before-status-checks", "8")
OUT = Path("results/native")
PATIENCE_S = 60.0
LONG, BASE = "EVENGROUND_LONG", "EVENGROUND_CONTAINER_BASE"

pytestmark = [pytest.mark.slow, pytest.mark.slurm]


@pytest.fixture(scope="module")
def cluster() -> Iterator[OneNode]:
    # The long tests build images, with packages from the network.
    network = nullcontext() if LONG in os.environ else own_network()
    try:
        with network, one_node() as made:
            yield made
    except CannotStart as reason:
        pytest.skip(f"no Slurm here: {reason}")


@pytest.fixture(autouse=True)
def empty_queue(cluster: OneNode) -> None:
    """What an earlier test left at work, where it failed, must not fail this one too."""
    cancel_all(cluster)


def cancel_all(cluster: OneNode) -> None:
    cluster.call("scancel", "--user=root")
    assert wait_until(lambda: not cluster.call("squeue", "-h"), PATIENCE_S), (
        "the queue does not empty"
    )


@dataclass
class OnSlurm(WorkingCopy):
    """A working copy whose calls hand their jobs to the cluster."""

    cluster: OneNode | None = None

    def environ(self) -> dict[str, str]:
        assert self.cluster
        slurm = self.cluster.environ()
        return {**super().environ(), **{name: slurm[name] for name in ("PATH", "SLURM_CONF")}}

    def submit(self, *arguments: str, ok: bool = True) -> subprocess.CompletedProcess[str]:
        return self.call(*PROFILE, *SOON, *arguments, ok=ok)

    @contextmanager
    def begun(self, *arguments: str) -> Iterator[subprocess.Popen[str]]:
        """The same, at work beside the test; killed in the end."""
        self.call(*PROFILE, "--dry-run", "--quiet")
        command = [
            sys.executable,
            "-m",
            "snakemake",
            "--configfile",
            "settings.yaml",
            *PROFILE,
            *SOON,
        ]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
        command += arguments
        with subprocess.Popen(
            command, cwd=self.root, env=self.environ(), text=True, **pipes
        ) as called:
            try:
                yield called
            finally:
                called.kill()

    def training(self, besides: set[str], patience_s: float = PATIENCE_S) -> str:
        """Slurm's number of the job of the training that has begun, other than `besides`."""

        def new() -> set[str]:
            marks = (self.root / "results/attempts").rglob("started.json")
            return {json.loads(mark.read_text())["job"] for mark in marks} - besides

        assert wait_until(lambda: bool(new()), patience_s), self.queue()
        return new().pop()

    def queue(self) -> str:
        assert self.cluster
        return self.cluster.call("squeue", "--states=all", "-h", "-o", "%i %T %k")

    def table(self) -> list[dict[str, str]]:
        with (self.root / OUT / "tables/runs.csv").open(encoding="utf-8") as file:
            return list(csv.DictReader(file))


def on_slurm(cluster: OneNode, folder: Path, **settings: Any) -> OnSlurm:
    copy = fresh_copy(folder)
    return OnSlurm(copy.root, {**copy.settings, **settings}, cluster=cluster)


def run_set(root: Path) -> set[Path]:
    return {
        path.parent.relative_to(root) for path in (root / "results/runs").rglob("manifest.json")
    }


def columns(root: Path, out: Path = OUT) -> dict[str, str]:
    """The head of every table."""
    tables = (root / out / "tables").glob("*.csv")
    return {path.name: path.read_text(encoding="utf-8").splitlines()[0] for path in tables}


def asked_for(cluster: OneNode, rule: str) -> list[dict[str, str]]:
    """What Slurm knows of every job of a rule, in the order of their begin."""
    jobs = [dict(re.findall(r"(\w+)=(\S+)", line)) for line in cluster.call(*SHOW).splitlines()]
    found = [job for job in jobs if job.get("Comment", "").startswith(f"rule_{rule}")]
    return sorted(found, key=lambda job: (job["StartTime"], int(job["JobId"])))


SHOW = ("scontrol", "show", "job", "--oneliner")


def test_the_same_runs_tables_and_order_as_on_the_machine_itself(
    cluster: OneNode, tmp_path: Path
) -> None:
    local = fresh_copy(tmp_path / "local")
    local.call("--cores", "2")
    there = on_slurm(cluster, tmp_path / "there")
    said = there.submit()
    assert run_set(there.root) == run_set(local.root) and len(run_set(local.root)) == 4
    assert columns(there.root) == columns(local.root) and "runs.csv" in columns(local.root)
    # Each training is logged when it begins and when it ends: not one began before another ended.
    assert there.log() == local.log()
    assert "report:  results/native/report.html" in said.stdout, "the last step is made here"

    jobs = asked_for(cluster, "train")
    assert len(jobs) == 4 and {job["OverSubscribe"] for job in jobs} == {"NO"}
    # Twice the 20 s of its time limit, for the warm-up, and ten minutes; without a warm-up once.
    assert sorted(job["TimeLimit"] for job in jobs) == ["00:11:00"] * 4
    (condition,) = json.loads((there.root / OUT / "index.json").read_text())["conditions"]
    wanted = [(run["engine"], str(run["repetition"])) for run in condition["runs"]]
    comments = [job["Comment"].split("_tiny_")[1] for job in jobs]
    assert [(name[:6], name.split("_")[3]) for name in comments] == wanted, (
        "submitted in the plan's order"
    )
    again = there.submit()
    assert "Nothing to be done" in again.stdout + again.stderr


@dataclass(frozen=True)
class Lost:
    """An invocation that lost four of its six trainings, each in another way."""

    copy: OnSlurm
    said: str
    jobs: tuple[str, str, str]
    """Slurm's numbers of those that had begun: cancelled, its node down, past its limit."""


@pytest.fixture(scope="module")
def lost(cluster: OneNode, tmp_path_factory: pytest.TempPathFactory) -> Lost:
    folder = tmp_path_factory.mktemp("lost")
    copy = on_slurm(cluster, folder, warm_up_examples=0, time_limit_s=600.0, repetitions=3)
    hold = copy.root / "fake_mode"
    hold.write_text("hold")
    jobs: list[str] = []
    with copy.begun("--set-resources", "train:runtime=1") as called:
        cancel_waiting(cluster)
        for end in (cancel, node_down, wait_for_limit):
            job = copy.training(set(jobs))
            end(cluster, job)
            jobs.append(job)
        hold.unlink()
        said, _ = called.communicate(timeout=300)
    assert called.returncode != 0, said
    cancelled, down, late = jobs
    return Lost(copy=copy, said=said, jobs=(cancelled, down, late))


class TestLost:
    """In this order: what the invocation says that lost them, and what the next one makes of it."""

    def test_each_job_fails_and_the_rest_goes_on(self, lost: Lost) -> None:
        assert "4 of 6 wanted runs did not finish:" in lost.said
        named = [
            line for line in lost.said.splitlines() if "the next invocation records why" in line
        ]
        numbers = [re.findall(r"Slurm's job (\d+)", line)[0] for line in named]
        assert sorted(numbers) == sorted(lost.jobs), lost.said
        assert "  1 more were not trained" in lost.said
        assert len(run_set(lost.copy.root)) == 2
        assert not (lost.copy.root / OUT / "index.json").exists()

    def test_a_dry_run_records_nothing(self, lost: Lost) -> None:
        lost.copy.call(*PROFILE, "--dry-run")
        assert reasons(lost.copy) == [None, None]

    def test_the_next_invocation_records_them_and_trains_what_is_missing(self, lost: Lost) -> None:
        copy = lost.copy
        copy.log()
        said = copy.submit().stderr
        assert said.count("lost by an earlier invocation: ") == 3
        assert copy.trainings() == 4
        assert sorted(filter(None, reasons(copy))) == ["cancelled", "node-failed", "time-limit"]
        details = " ".join(str(outcome["detail"]) for outcome in outcomes(copy))
        for job, state in zip(lost.jobs, ("CANCELLED", "NODE_FAIL", "TIMEOUT"), strict=True):
            assert f"(Slurm's job {job}: {state})" in details
        # The last was cancelled while it waited, which is no attempt.
        assert [(row["status"], row["attempts"]) for row in copy.table()] == [
            ("finished", number) for number in ("2", "2", "2", "1", "1", "1")
        ]


def outcomes(copy: OnSlurm) -> list[dict[str, Any]]:
    """What came of each attempt that has an outcome."""
    return [
        json.loads(path.read_text())
        for path in (copy.root / "results/attempts").rglob("outcome.json")
    ]


def reasons(copy: OnSlurm) -> list[str | None]:
    return [outcome["reason"] for outcome in outcomes(copy)]


def cancel(cluster: OneNode, job: str) -> None:
    cluster.call("scancel", job)
    assert wait_until(lambda: not running(cluster, job), PATIENCE_S)


def cancel_waiting(cluster: OneNode) -> None:
    """The last of six trainings that wait for the one node."""

    def trainings() -> list[str]:
        lines = cluster.call("squeue", "-h", "-S", "i", "-o", "%i %T %k").splitlines()
        return [line for line in lines if "rule_train" in line]

    assert wait_until(lambda: len(trainings()) == 6, PATIENCE_S)
    job, state, _ = trainings()[-1].split()
    assert state == "PENDING"
    cancel(cluster, job)


def node_down(cluster: OneNode, job: str) -> None:
    """The node is lost with the job on it, and comes back."""
    node = f"nodename={cluster.host}"
    cluster.call("scontrol", "update", node, "state=down", "reason=test")
    assert wait_until(lambda: not running(cluster, job), PATIENCE_S)
    # It may have come back by itself (ReturnToService); then Slurm refuses to resume it.
    with suppress(subprocess.CalledProcessError):
        cluster.call("scontrol", "update", node, "state=resume")
    up = {"idle", "mixed", "allocated", "completing"}
    assert wait_until(lambda: cluster.call("sinfo", "-h", "-o", "%T") in up, PATIENCE_S)


def wait_for_limit(cluster: OneNode, job: str) -> None:
    """Its minute passes."""
    assert wait_until(lambda: not running(cluster, job), 150)


def running(cluster: OneNode, job: str) -> bool:
    return cluster.call("squeue", "-h", "-j", job, "-o", "%T") in {
        "RUNNING",
        "COMPLETING",
        "PENDING",
    }


def test_an_invocation_beside_a_job_that_outlived_its_invocation_is_refused(
    cluster: OneNode, tmp_path: Path
) -> None:
    copy = on_slurm(cluster, tmp_path, warm_up_examples=0, repetitions=1)
    (copy.root / "fake_mode").write_text("hold")
    with copy.begun():
        job = copy.training(set())
    done = copy.submit(ok=False)
    said = [line for line in (done.stdout + done.stderr).splitlines() if line.startswith("error: ")]
    assert len(said) == 1 and "a training of an earlier invocation is still at work" in said[0]
    assert said[0].endswith(f"wait for it to end, or: scancel {job}")
    cancel_all(cluster)
    (copy.root / "fake_mode").unlink()
    copy.log()
    copy.submit(str(OUT / "tables/runs.csv"))
    assert [(row["status"], row["attempts"]) for row in copy.table()] == [
        ("finished", "2"),
        ("finished", "1"),
    ]
    assert f"(Slurm's job {job}: CANCELLED)" in " ".join(
        outcome["detail"] for outcome in outcomes(copy)
    )


def test_a_job_left_in_the_queue_by_an_ended_invocation_does_nothing(
    cluster: OneNode, tmp_path: Path
) -> None:
    copy = on_slurm(cluster, tmp_path, warm_up_examples=0, repetitions=1)
    cluster.call("scontrol", "update", "partitionname=main", "state=down")
    try:
        with copy.begun(str(OUT / "index.json")):
            assert wait_until(lambda: "PENDING rule_data" in copy.queue(), PATIENCE_S), copy.queue()
        copy.call("--cores", "2", str(OUT / "index.json"))
        copy.log()
    finally:
        cluster.call("scontrol", "update", "partitionname=main", "state=up")
    assert wait_until(lambda: not cluster.call("squeue", "-h"), PATIENCE_S)
    logs = [path.read_text() for path in (copy.root / ".snakemake/slurm_logs").rglob("*.log")]
    assert any("error: job belongs to a finished invocation" in log for log in logs)


def test_nodes_say_of_what_class_they_are_and_are_asked_for_as_configured(
    cluster: OneNode, tmp_path: Path
) -> None:
    kind = {"cores": 1, "mem_mb": 2500, "slurm_partition": "main"}
    copy = on_slurm(cluster, tmp_path, nodes={"small": kind}, repetitions=1, warm_up_examples=0)
    done = copy.submit(ok=False)
    assert "machine class of node kind 'small' is unknown" in done.stdout + done.stderr
    copy.submit("nodes")
    assert json.loads((copy.root / "results/nodes/small.json").read_text())["host"] == cluster.host
    copy.submit(str(OUT / "index.json"))
    assert copy.trainings() == 2
    (*_, job) = asked_for(cluster, "train")
    assert job["MinMemoryNode"] == "2500M" and job["NumTasks"] == "1" and job["Partition"] == "main"


@pytest.mark.container
def test_in_containers(cluster: OneNode, tmp_path: Path) -> None:
    for found in (containers.apptainer(), containers.container_start()):
        if found.state != "ok":
            pytest.skip(f"{found.what}: {found.seen}")
    copy = on_slurm(cluster, tmp_path / "copy", repetitions=1, warm_up_examples=0)
    copy.settings["engines"] = locked_engines(copy.root)
    copy.variables = fake_base(tmp_path)
    (copy.root / "fake_mode").write_text("hold")
    with copy.begun("--use-singularity") as called:
        # The sampler is calibrated first, by a job of its own.
        cancel(cluster, copy.training(set(), 3 * PATIENCE_S))
        (copy.root / "fake_mode").unlink()
        said, _ = called.communicate(timeout=300)
    assert called.returncode != 0 and "1 of 2 wanted runs did not finish" in said, said
    copy.submit("--use-singularity")
    (condition,) = json.loads((copy.root / "results/apptainer/index.json").read_text())[
        "conditions"
    ]
    assert [(run["status"], run["attempts"]) for run in condition["runs"]] == [
        ("finished", 2),
        ("finished", 1),
    ]
    (lost,) = (outcome for outcome in outcomes(copy) if outcome["reason"])
    assert lost["reason"] == "cancelled" and lost["run"]["deployment"] == "apptainer"
    record = json.loads((copy.root / condition["runs"][1]["path"] / "environment.json").read_text())
    assert record["deployment"] == "apptainer" and record["image"]["name"].startswith("locked-")

    local = fresh_copy(tmp_path / "local")
    local.settings |= {name: copy.settings[name] for name in ("repetitions", "warm_up_examples")}
    local.settings["engines"] = locked_engines(local.root)
    local.variables = copy.variables
    local.call("--cores", "2", "--use-singularity", "containers")
    local.calibrated("apptainer")
    local.call("--cores", "2", "--use-singularity")
    out = Path("results/apptainer")
    assert run_set(copy.root) == run_set(local.root) and len(run_set(local.root)) == 2
    assert columns(copy.root, out) == columns(local.root, out) and "runs.csv" in columns(
        local.root, out
    )


@pytest.mark.skipif(LONG not in os.environ, reason=f"takes a quarter of an hour: {LONG}=1")
@pytest.mark.parametrize("deployment", ["native", "apptainer"])
def test_the_quick_profile_with_the_real_engines(
    cluster: OneNode, tmp_path: Path, deployment: str
) -> None:
    """Keras and JAX on digits and shapes, four times each, here and through Slurm."""
    if deployment == "apptainer" and BASE not in os.environ:
        pytest.skip(f"no base image: containers/local_base.sh makes one, {BASE} names it")
    contained = ["--use-singularity"] if deployment == "apptainer" else []
    cache = os.environ.get("EVENGROUND_CACHE", str(Path.home() / ".cache/evenground"))
    copies = [fresh_copy(tmp_path / name) for name in ("local", "there")]
    settings = yaml.safe_load((copies[0].root / "profiles/quick/params.yaml").read_text())
    local, there = (
        OnSlurm(copy.root, settings, variables={"EVENGROUND_CACHE": cache}, cluster=cluster)
        for copy in copies
    )
    local.call("--workflow-profile", "profiles/quick", *contained)
    there.submit(*contained)
    out = Path("results", deployment)
    assert run_set(there.root) == run_set(local.root) and len(run_set(local.root)) == 16
    assert (
        columns(there.root, out) == columns(local.root, out) and len(columns(local.root, out)) > 10
    )


def test_a_cluster_ends_with_all_its_jobs_when_its_user_is_killed() -> None:
    """The last one, beside nothing else: a whole cluster of its own."""
    command = [sys.executable, str(Path(__file__).with_name("one_node.py")), "--", "sh", "-c"]
    inner = 'sbatch --parsable -o /dev/null --wrap "sleep 900" && echo $SLURM_CONF && sleep 900'
    with subprocess.Popen(
        [*command, inner], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as user:
        assert user.stdout and user.stderr
        if not user.stdout.readline().strip():
            pytest.skip(user.stderr.read())
        folder = Path(user.stdout.readline().strip()).parent
        assert wait_until(lambda: len(members(folder)) > 3, 20)
        user.kill()
        assert wait_until(lambda: not members(folder) and not folder.exists(), 40), members(folder)
