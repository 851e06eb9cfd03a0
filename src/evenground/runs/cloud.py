"""A job of Snakemake as a job of Kubernetes or of AWS Batch: what it asks for, what its state means."""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any, Literal

from evenground.errors import EvengroundError

State = Literal["running", "success", "failed"]
PROPERTIES = "# properties = "
UNFILLED = "FILL-IN"
NODE_SHARE = 0.9
"""Of a Kubernetes node's cores: it keeps some for itself, and a pod that asks for all is never placed."""


@dataclass(frozen=True)
class CloudJob:
    """What Snakemake wrote of a job into its script."""

    name: str
    """New in every call: a name that a cluster has had is refused."""
    script: Path
    threads: int
    resources: Mapping[str, Any]

    def asked(self, resource: str) -> Any:
        """What is asked for of a resource; None where nothing is, which rules also say with 0 and ''."""
        return self.resources.get(resource) or None

    @property
    def limit_s(self) -> int | None:
        """The scheduler's time limit; Snakemake's `runtime` is in minutes."""
        minutes = self.asked("runtime")
        return int(minutes) * 60 if minutes else None


def read_job(script: Path) -> CloudJob:
    """The job whose script Snakemake wrote; EvengroundError when it is none."""
    for line in script.read_text(encoding="utf-8").splitlines():
        if line.startswith(PROPERTIES):
            told = json.loads(line.removeprefix(PROPERTIES))
            rule = re.sub(r"[^a-z0-9]+", "-", str(told.get("rule") or told["groupid"]).lower()).strip("-")
            name = f"evenground-{rule[:30]}-{secrets.token_hex(6)}"
            return CloudJob(name, script.resolve(), int(told["threads"]), told["resources"])
    raise EvengroundError("not a job's script", str(script), "let Snakemake call this")


def must_be_filled_in(value: Any, where: str) -> None:
    """EvengroundError where a placeholder still stands in what an operator has to write."""
    if UNFILLED in json.dumps(value):
        raise EvengroundError("this cluster is not described yet", where, f"replace every {UNFILLED}")


def kubernetes_job(template: Mapping[str, Any], job: CloudJob, env: Mapping[str, str]) -> dict[str, Any]:
    """The manifest of `job`: the operator's template with its name, its command and what it asks for."""
    manifest: dict[str, Any] = deepcopy(dict(template))
    manifest["metadata"]["name"] = job.name
    pod = manifest["spec"]["template"]["spec"]
    container = pod["containers"][0]
    container["command"] = ["/bin/sh", str(job.script)]
    container["env"] = [*container.get("env", []), *named(env)]
    container["resources"] = _kubernetes_resources(job)
    if labels := job.asked("constraint"):
        pod["nodeSelector"] = {**pod.get("nodeSelector", {}), **_labels(labels)}
    if job.limit_s:
        # Of the pod, not of the job: that one's time runs while it waits for a node.
        pod["activeDeadlineSeconds"] = job.limit_s
    return manifest


def _kubernetes_resources(job: CloudJob) -> dict[str, Any]:
    """Requests as large as the node; no limits, which would slow a training down: its node is its own."""
    requests: dict[str, str] = {"cpu": f"{round(job.threads * NODE_SHARE * 1000)}m"}
    if memory_mb := job.asked("mem_mb"):
        requests["memory"] = f"{int(memory_mb)}M"
    if gpus := job.asked("gpu"):
        cards = {"nvidia.com/gpu": str(gpus)}
        return {"requests": {**requests, **cards}, "limits": cards}
    return {"requests": requests}


def _labels(constraint: str) -> dict[str, str]:
    """Labels a node must have, of KEY=VALUE,KEY=VALUE."""
    pairs = [part.strip().partition("=") for part in constraint.split(",")]
    if not all(key and value for key, _, value in pairs):
        todo = "on Kubernetes `constraint` is KEY=VALUE, a label of the node"
        raise EvengroundError("not labels of a node", constraint, todo)
    return {key: value for key, _, value in pairs}


def must_be_mounted(template: Mapping[str, Any], folders: Mapping[str, Path]) -> None:
    """EvengroundError for one of `folders` (what it is -> where) that lies on no volume of the template."""
    container = template["spec"]["template"]["spec"]["containers"][0]
    mounts = [PurePath(mount["mountPath"]) for mount in container.get("volumeMounts", [])]
    for what, folder in folders.items():
        if not any(folder.is_relative_to(mount) for mount in mounts):
            todo = (
                f"it must lie below {' or '.join(map(str, mounts)) or 'a volume'}, the same path in every pod"
            )
            raise EvengroundError(f"the {what} is not on the shared file system", str(folder), todo)


def kubernetes_state(told: Mapping[str, Any] | None) -> State:
    """Of what `kubectl get job -o json` says; None, a job that somebody deleted, has failed."""
    if told is None:
        return "failed"
    conditions = told.get("status", {}).get("conditions") or []
    true = {condition["type"] for condition in conditions if condition["status"] == "True"}
    if "Complete" in true:
        return "success"
    return "failed" if "Failed" in true else "running"


def aws_job(queue: str, definition: str, job: CloudJob, env: Mapping[str, str]) -> dict[str, Any]:
    """What `aws batch submit-job --cli-input-json` is told of `job`; a `slurm_partition` is another queue."""
    needs = {"VCPU": job.threads, "MEMORY": job.asked("mem_mb"), "GPU": job.asked("gpu")}
    told: dict[str, Any] = {
        "jobName": job.name,
        "jobQueue": job.asked("slurm_partition") or queue,
        "jobDefinition": definition,
        "containerOverrides": {
            "command": ["/bin/sh", str(job.script)],
            "environment": named(env),
            "resourceRequirements": [
                {"type": kind, "value": str(need)} for kind, need in needs.items() if need
            ],
        },
        # A training that the cloud began again by itself would be made twice.
        "retryStrategy": {"attempts": 1},
    }
    if job.limit_s:
        told["timeout"] = {"attemptDurationSeconds": job.limit_s}
    return told


def named(env: Mapping[str, str]) -> list[dict[str, str]]:
    """Variables as both clouds write them."""
    return [{"name": name, "value": value} for name, value in env.items()]


def aws_state(word: str) -> State:
    """Of the job's status; a job that AWS no longer knows, whose status is None, has failed."""
    if word == "SUCCEEDED":
        return "success"
    return "failed" if word in {"FAILED", "None", ""} else "running"
