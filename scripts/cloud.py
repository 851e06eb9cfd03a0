#!/usr/bin/env python3
"""Submit, ask after and cancel a job of Snakemake with kubectl or aws, for the profiles of docs/cloud.md."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

import yaml

import _path
from environment import cache_dir
from evenground.errors import EvengroundError, cli
from evenground.runs.cloud import (
    State,
    aws_job,
    aws_state,
    kubernetes_job,
    kubernetes_state,
    must_be_filled_in,
    must_be_mounted,
    read_job,
)
from evenground.runs.links import folders_elsewhere


def main() -> None:
    given = arguments()
    if given.do == "cancel":
        cancel(given.cloud, given.jobs)
    elif given.do == "status":
        print(kubernetes_status(given.jobs[0]) if given.cloud == "kubernetes" else aws_status(given.jobs[0]))
    else:
        script = Path(given.jobs[0])
        print(
            submit_to_kubernetes(given.template, script)
            if given.cloud == "kubernetes"
            else submit_to_aws(given.queue, given.definition, script)
        )


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cloud", choices=["kubernetes", "aws-batch"])
    parser.add_argument("do", choices=["submit", "status", "cancel"])
    parser.add_argument("--template", type=Path, default=Path("profiles/kubernetes/job.yaml"))
    parser.add_argument("--queue", default="", help="AWS Batch: the job queue")
    parser.add_argument("--definition", default="", help="AWS Batch: the job definition")
    parser.add_argument("jobs", nargs="+", help="to submit: a job's script; else what submit printed")
    return parser.parse_args()


def submit_to_kubernetes(template: Path, script: Path) -> str:
    """Create the job; its id here is NAMESPACE/NAME."""
    content = yaml.safe_load(template.read_text(encoding="utf-8"))
    must_be_filled_in(content, str(template))
    places = {"working copy": _path.ROOT, "cache": cache_dir().absolute()}
    for folder in folders_elsewhere(_path.ROOT):
        places[f"folder {folder}, which a link in results or data leads to,"] = Path(folder)
    must_be_mounted(content, places)
    manifest = kubernetes_job(content, read_job(script), environ())
    told("kubectl", "create", "-f", "-", input=json.dumps(manifest))
    return f"{manifest['metadata'].get('namespace', 'default')}/{manifest['metadata']['name']}"


def submit_to_aws(queue: str, definition: str, script: Path) -> str:
    must_be_filled_in([queue, definition], "profiles/aws-batch/config.yaml")
    job = json.dumps(aws_job(queue, definition, read_job(script), environ()))
    return aws("submit-job", "--cli-input-json", job, "--query", "jobId")


def environ() -> dict[str, str]:
    """What a job must be told: this call's variables, and where its cache lies, whatever its home is."""
    own = {name: value for name, value in os.environ.items() if name.startswith("EVENGROUND_")}
    return {**own, "EVENGROUND_CACHE": str(cache_dir().absolute())}


def kubernetes_status(job: str) -> State:
    namespace, _, name = job.partition("/")
    command = ["get", "job", name, "--namespace", namespace, "--ignore-not-found", "--output", "json"]
    try:
        answer = told("kubectl", *command)
    except EvengroundError as error:
        return not_known(error)
    return kubernetes_state(json.loads(answer) if answer else None)


def aws_status(job: str) -> State:
    try:
        return aws_state(aws("describe-jobs", "--jobs", job, "--query", "jobs[0].status"))
    except EvengroundError as error:
        return not_known(error)


def not_known(error: EvengroundError) -> State:
    """A cloud that does not answer has not ended the job: Snakemake asks again."""
    print(f"error: {error}", file=sys.stderr, flush=True)
    return "running"


def cancel(cloud: str, jobs: list[str]) -> None:
    """Begin to cancel all at once and do not wait; `profiles/CLOUD/cancel` has let go of this already."""
    for job in jobs:
        namespace, _, name = job.partition("/")
        command = (
            ["kubectl", "delete", "job", name, "--namespace", namespace, "--ignore-not-found", "--wait=false"]
            if cloud == "kubernetes"
            else ["aws", "batch", "terminate-job", "--job-id", job, "--reason", "the call was ended"]
        )
        subprocess.Popen(command)


def aws(*words: str) -> str:
    return told("aws", "batch", *words, "--output", "text")


def told(*command: str, input: str | None = None) -> str:
    """What a command prints; EvengroundError with its own words where it fails."""
    try:
        done = subprocess.run(command, input=input, capture_output=True, text=True)
    except FileNotFoundError:
        raise EvengroundError(f"'{command[0]}' is not installed", "this machine", "install it") from None
    if done.returncode:
        todo = "mend it; `--dry-run` of the same call needs no cluster"
        raise EvengroundError(f"{command[0]} refused", done.stderr.strip() or "no word", todo)
    return done.stdout.strip()


if __name__ == "__main__":
    cli(main)
