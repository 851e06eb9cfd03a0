"""A job of Snakemake as a job of Kubernetes or of AWS Batch."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from evenground.errors import EvengroundError
from evenground.runs.cloud import (
    CloudJob,
    aws_job,
    aws_state,
    kubernetes_job,
    kubernetes_state,
    must_be_filled_in,
    must_be_mounted,
    read_job,
)

ROOT = Path(__file__).resolve().parents[2]
TEMPLATE = ROOT / "profiles/kubernetes/job.yaml"
DEFINITION = ROOT / "profiles/aws-batch/definition.json"
NODE = {
    "mem_mb": 28000,
    "gpu": 1,
    "constraint": "kind=big,zone=a",
    "runtime": 12,
    "slurm_extra": "--exclusive",
}
ENV = {"EVENGROUND_CACHE": "/shared/cache"}


def job(**resources: Any) -> CloudJob:
    return CloudJob("evenground-train-1", Path("/shared/copy/job.sh"), 8, resources)


def template() -> dict[str, Any]:
    """The profile's, filled in."""
    text = TEMPLATE.read_text().replace("mountPath: FILL-IN", "mountPath: /shared").replace("FILL-IN", "made")
    content: dict[str, Any] = yaml.safe_load(text)
    return content


def script(folder: Path, **told: Any) -> Path:
    path = folder / "job.sh"
    path.write_text(f"#!/bin/sh\n# properties = {json.dumps(told)}\ncd /shared\n")
    return path


def test_a_job_is_read_from_the_script_that_snakemake_wrote(tmp_path: Path) -> None:
    path = script(tmp_path, rule="some_Rule", threads=3, resources={"mem_mb": 7})
    one, two = read_job(path), read_job(path)
    assert one.name.startswith("evenground-some-rule-") and one.name != two.name and len(one.name) <= 63
    assert (one.script, one.threads, one.asked("mem_mb")) == (path, 3, 7)
    assert read_job(script(tmp_path, groupid="data", threads=1, resources={})).name.startswith(
        "evenground-data-"
    )
    path.write_text("#!/bin/sh\n")
    with pytest.raises(EvengroundError, match="not a job's script"):
        read_job(path)


def test_a_training_on_kubernetes_asks_for_a_whole_node() -> None:
    content = template()
    manifest = kubernetes_job(content, job(**NODE), ENV)
    pod = manifest["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    requests = {"cpu": "7200m", "memory": "28000M", "nvidia.com/gpu": "1"}
    # A card is only given where it is a limit too; cores and memory have none.
    assert container["resources"] == {"requests": requests, "limits": {"nvidia.com/gpu": "1"}}
    assert pod["nodeSelector"] == {"kind": "big", "zone": "a"} and pod["activeDeadlineSeconds"] == 720
    assert container["command"] == ["/bin/sh", "/shared/copy/job.sh"]
    assert container["env"] == [{"name": "EVENGROUND_CACHE", "value": "/shared/cache"}]
    assert manifest["spec"]["backoffLimit"] == 0 and content == template()


def test_pods_of_ours_never_share_a_node() -> None:
    manifest = kubernetes_job(template(), job(), ENV)["spec"]["template"]
    (apart,) = manifest["spec"]["affinity"]["podAntiAffinity"][
        "requiredDuringSchedulingIgnoredDuringExecution"
    ]
    assert apart["topologyKey"] == "kubernetes.io/hostname"
    assert apart["labelSelector"]["matchLabels"].items() <= manifest["metadata"]["labels"].items()


def test_what_is_not_asked_for_is_not_there() -> None:
    pod = kubernetes_job(template(), job(mem_mb=0, runtime=0, constraint=""), ENV)["spec"]["template"]["spec"]
    assert pod["containers"][0]["resources"] == {"requests": {"cpu": "7200m"}}
    assert not {"nodeSelector", "activeDeadlineSeconds"} & set(pod)
    told = aws_job("queue", "made", job(mem_mb=0, runtime=0), ENV)
    assert told["containerOverrides"]["resourceRequirements"] == [{"type": "VCPU", "value": "8"}]
    assert told["jobQueue"] == "queue" and "timeout" not in told


def test_labels_of_the_template_stay_beside_those_of_the_node() -> None:
    content = template()
    content["spec"]["template"]["spec"]["nodeSelector"] = {"pool": "quiet"}
    pod = kubernetes_job(content, job(constraint="kind=big"), ENV)["spec"]["template"]["spec"]
    assert pod["nodeSelector"] == {"pool": "quiet", "kind": "big"}
    with pytest.raises(EvengroundError, match=r"not labels of a node \(avx512\): .* KEY=VALUE"):
        kubernetes_job(content, job(constraint="avx512"), ENV)


def test_the_profiles_as_they_come_are_refused() -> None:
    with pytest.raises(EvengroundError, match=r"not described yet \(job.yaml\): replace every FILL-IN"):
        must_be_filled_in(yaml.safe_load(TEMPLATE.read_text()), "job.yaml")
    must_be_filled_in(template(), "job.yaml")


def test_what_lies_on_no_volume_is_refused() -> None:
    must_be_mounted(template(), {"working copy": Path("/shared/copy"), "cache": Path("/shared")})
    with pytest.raises(
        EvengroundError, match=r"the cache is not on .* \(/home/me\): it must lie below /shared"
    ):
        must_be_mounted(template(), {"working copy": Path("/shared/copy"), "cache": Path("/home/me")})
    del (content := template())["spec"]["template"]["spec"]["containers"][0]["volumeMounts"]
    with pytest.raises(EvengroundError, match="below a volume"):
        must_be_mounted(content, {"cache": Path("/shared")})


@pytest.mark.parametrize(
    ("conditions", "state"),
    [
        (None, "running"),
        ([], "running"),
        ([{"type": "Suspended", "status": "True"}, {"type": "Failed", "status": "False"}], "running"),
        ([{"type": "SuccessCriteriaMet", "status": "True"}], "running"),
        (
            [{"type": "SuccessCriteriaMet", "status": "True"}, {"type": "Complete", "status": "True"}],
            "success",
        ),
        ([{"type": "FailureTarget", "status": "True"}, {"type": "Failed", "status": "True"}], "failed"),
    ],
)
def test_states_of_kubernetes(conditions: Any, state: str) -> None:
    assert kubernetes_state({"status": {"conditions": conditions}}) == state
    assert kubernetes_state({}) == "running" and kubernetes_state(None) == "failed"


@pytest.mark.parametrize(
    ("word", "state"),
    [("SUCCEEDED", "success"), ("FAILED", "failed"), ("None", "failed"), ("RUNNABLE", "running")],
)
def test_states_of_aws_batch(word: str, state: str) -> None:
    assert aws_state(word) == state


def test_a_training_on_aws_batch_asks_for_a_whole_instance_and_the_queue_of_its_kind() -> None:
    told = aws_job("queue", "made", job(**NODE, slurm_partition="cards"), ENV)
    needs = told["containerOverrides"]["resourceRequirements"]
    assert {need["type"]: need["value"] for need in needs} == {"VCPU": "8", "MEMORY": "28000", "GPU": "1"}
    assert told["jobQueue"] == "cards" and told["timeout"] == {"attemptDurationSeconds": 720}
    assert told["retryStrategy"] == {"attempts": 1}


def called(folder: Path, kubectl: str, *words: str) -> subprocess.CompletedProcess[str]:
    """scripts/cloud.py with a kubectl that is this shell script."""
    (folder / "kubectl").write_text(f"#!/bin/sh\n{kubectl}\n")
    (folder / "kubectl").chmod(0o755)
    env = {**os.environ, "PATH": f"{folder}:{os.environ['PATH']}", "EVENGROUND_CACHE": str(ROOT / "cache")}
    command = [sys.executable, str(ROOT / "scripts/cloud.py"), "kubernetes", *words]
    return subprocess.run(command, env=env, cwd=folder, capture_output=True, text=True)


def test_a_cluster_that_does_not_answer_has_not_ended_the_job(tmp_path: Path) -> None:
    silent = called(tmp_path, "echo no route >&2; exit 1", "status", "space/name")
    assert silent.stdout == "running\n" and silent.returncode == 0
    assert "error: kubectl refused (no route)" in silent.stderr
    assert called(tmp_path, "exit 0", "status", "space/name").stdout == "failed\n"


def test_a_job_that_cannot_be_submitted_is_one_line(tmp_path: Path) -> None:
    path = script(tmp_path, rule="train", threads=1, resources={})
    unfilled = called(tmp_path, "exit 0", "submit", "--template", str(TEMPLATE), str(path))
    assert unfilled.returncode == 1 and unfilled.stderr.count("\n") == 1 and "FILL-IN" in unfilled.stderr
    (tmp_path / "job.yaml").write_text(yaml.safe_dump(template()).replace("/shared", str(ROOT)))
    refused = called(tmp_path, "echo Forbidden >&2; exit 1", "submit", "--template", "job.yaml", str(path))
    assert refused.returncode == 1 and not refused.stdout and "kubectl refused (Forbidden)" in refused.stderr
    taken = called(tmp_path, f"cat > {tmp_path}/told.json", "submit", "--template", "job.yaml", str(path))
    name = json.loads((tmp_path / "told.json").read_text())["metadata"]["name"]
    assert taken.stdout == f"made/{name}\n" and name.startswith("evenground-train-")


@pytest.mark.slow
@pytest.mark.parametrize("word", ["submit-job", "register-job-definition"])
def test_the_aws_client_takes_what_it_is_told(word: str, tmp_path: Path) -> None:
    """It compares all names with the service's model; nothing is sent."""
    if not shutil.which("aws"):
        pytest.skip("aws is not installed")
    content = json.loads(DEFINITION.read_text().replace("FILL-IN", "made"))
    told = content if word == "register-job-definition" else aws_job("queue", "made", job(**NODE), ENV)
    (tmp_path / "told.json").write_text(json.dumps(told))
    command = [
        "aws",
        "batch",
        word,
        "--region",
        "eu-west-1",
        "--cli-input-json",
        f"file://{tmp_path}/told.json",
    ]
    done = subprocess.run([*command, "--generate-cli-skeleton", "output"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
