#!/usr/bin/env python3
"""Make one attempt at a wanted run. A failed training is an outcome, not an error."""

from __future__ import annotations

import argparse
import json
import socket
from pathlib import Path

import _path  # noqa: F401
from evenground import logs
from evenground.config import load_experiment
from evenground.containers.images import check_inside, read_record
from evenground.errors import cli
from evenground.files import read_json
from evenground.invocation import end_with, refuse_ended
from evenground.runs.attempt import give_up, restored
from evenground.runs.machine import Machine, this_machine
from evenground.runs.outcome import Outcome
from evenground.runs.plan import Plan, make_plan
from evenground.runs.study import PARTS
from evenground.runs.training import Training, headline, train


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("--experiment", type=Path, required=True, help="experiment.json of the run's part")
    add("--run", type=Path, required=True, help="MACHINE/DATASET/ENGINE/KEY/rN")
    add("--attempt", type=int, required=True)
    add("--python", default="", help="interpreter of the engine's environment, if it has one")
    add("--warm-up", choices=["yes", "no"], required=True)
    add("--cold-start", choices=["yes", "no"], default="no", help="whether it lacks a warm-up")
    add("--container", default="", help="what Apptainer calls the image, if any")
    add("--image", default="", help="record of the container image this runs in, if any")
    add("--mounted", nargs="*", default=[], help="where disks are mounted in the working copy")
    add("--source", type=json.loads, default={}, help="commit and dirtiness, as JSON")
    add("--invocation", default="", help="number of the pipeline's invocation")
    add("--job", default="", help="the scheduler's number of this job, if one started it")
    add("--pipeline", type=int, nargs="+", default=[], help="processes this ends with")
    return parser.parse_args()


def main() -> None:
    args = arguments()
    root = Path.cwd()
    end_with(args.pipeline)
    if args.invocation:
        refuse_ended(root, args.invocation)
    if restored(root, args.run, args.attempt):
        return
    experiment = load_experiment(read_json(args.experiment), str(args.experiment))
    # Looked at once: at a second look another card could be chosen.
    here = this_machine(experiment.gpu)
    machine, dataset, engine, _, repetition = args.run.parts
    other = other_machine(machine, here)
    if other:
        give_up(root, args.run, args.attempt, experiment.deployment, other)
        log_failure(f"{dataset} {engine} {repetition}", other)
        return
    # Whether engines are installed was checked when the run was planned.
    plan = make_plan(experiment, root, here=here)
    training = training_of(args, plan)
    label = label_of(training, args.experiment.parent)
    note = ""
    if training.warm_up:
        note = " (with a warm-up before it)"
    logs.info(f"{label}: training{note} ...")
    outcome = train(training)
    if outcome.reason:
        log_failure(label, outcome)
    else:
        logs.info(f"{label}: {headline(training.run_dir)}")


def training_of(args: argparse.Namespace, plan: Plan) -> Training:
    """The training of the command line; raises EvengroundError if its image was replaced."""
    python = image = None
    if args.python:
        python = Path(args.python)
    if args.image:
        image = read_record(Path(args.image))
        check_inside(image)
    return Training(
        plan=plan,
        run=plan.find(args.run),
        attempt=args.attempt,
        python=python,
        warm_up=args.warm_up == "yes",
        cold_start=args.cold_start == "yes",
        image=image,
        container=args.container,
        mounted=args.mounted,
        source=args.source,
        job=args.job,
    )


def label_of(training: Training, results: Path) -> str:
    """`[3/40] mnist keras r1`; in a sweep with the part's name, that of its `results` folder."""
    run = training.run
    part = ""
    if results.parent.name == PARTS:
        part = f" of {results.name}"
    number = f"{run.order}/{len(training.plan.runs)}{part}"
    return f"[{number}] {run.dataset} {run.engine} r{run.repetition}"


def other_machine(wanted: str, here: Machine) -> Outcome | None:
    """The outcome of an attempt on a machine that is not of the class `wanted`; None if it is."""
    if wanted == here.name:
        return None
    seen = f"this one, {socket.gethostname()}, is '{here.name}', {here.description}"
    fix = "train on that machine; a container must see the same cores and GPUs as its host"
    if here.choice.fault:
        seen = f"{seen}: {here.choice.fault}"
        fix = f"{here.choice.fix}; or {fix}"
    return Outcome("other-machine", f"'{wanted}' is another machine ({seen}): {fix}")


def log_failure(label: str, outcome: Outcome) -> None:
    logs.warning(f"{label}: FAILED: {outcome.reason}: {outcome.detail}")


if __name__ == "__main__":
    cli(main)
