#!/usr/bin/env python3
"""Make one attempt at one wanted run. A failed training is an outcome, not an error of this script."""

from __future__ import annotations

import argparse
import json
import socket
import sys
from pathlib import Path

import _path  # noqa: F401
from evenground.config import load_experiment
from evenground.errors import cli
from evenground.files import read_json
from evenground.images import check_inside, read_record
from evenground.invocation import end_with, refuse_ended
from evenground.runs.attempt import give_up, restored
from evenground.runs.machine import Machine, this_machine
from evenground.runs.outcome import Outcome
from evenground.runs.plan import make_plan
from evenground.runs.study import PARTS
from evenground.runs.training import Training, headline, train


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--experiment", type=Path, required=True, help="results/experiment.json")
    parser.add_argument("--run", type=Path, required=True, help="MACHINE/DATASET/ENGINE/KEY/rN")
    parser.add_argument("--attempt", type=int, required=True)
    parser.add_argument(
        "--python", default="", help="interpreter of the engine's environment, if it has one"
    )
    parser.add_argument("--warm-up", choices=["yes", "no"], required=True)
    parser.add_argument(
        "--cold-start", choices=["yes", "no"], default="no", help="whether it lacks a warm-up"
    )
    parser.add_argument("--container", default="", help="what Apptainer calls the image, if any")
    parser.add_argument(
        "--image", default="", help="record of the container image this runs in, if any"
    )
    parser.add_argument(
        "--mounted",
        nargs="*",
        default=[],
        help="where the machine has disks mounted in the working copy",
    )
    parser.add_argument(
        "--source", type=json.loads, default={}, help="commit and dirtiness, as JSON"
    )
    parser.add_argument("--invocation", default="", help="number of the invocation of the pipeline")
    parser.add_argument(
        "--job", default="", help="the scheduler's number of this job, if one started it"
    )
    parser.add_argument(
        "--pipeline", type=int, nargs="+", default=[], help="processes this ends with"
    )
    return parser.parse_args()


def main() -> None:
    given = arguments()
    end_with(given.pipeline)
    if given.invocation:
        refuse_ended(Path.cwd(), given.invocation)
    if restored(Path.cwd(), given.run, given.attempt):
        return
    experiment = load_experiment(read_json(given.experiment), str(given.experiment))
    # Asked once: another answer to a second question could be a training on another card.
    here = this_machine(experiment.gpu)
    other = other_machine(given.run.parts[0], here)
    if other:
        give_up(Path.cwd(), given.run, given.attempt, experiment.deployment, other)
        say(" ".join([*given.run.parts[1:3], given.run.name]), other)
        return
    # Which engines are installed was asked when the run was planned.
    plan = make_plan(experiment, Path.cwd(), check=False, here=here)
    run = plan.find(given.run)
    above = given.experiment.parent
    part = f" of {above.name}" if above.parent.name == PARTS else ""
    shown = f"[{run.order}/{len(plan.runs)}{part}] {run.dataset} {run.engine} r{run.repetition}"
    note = " (with a warm-up before it)" if given.warm_up == "yes" else ""
    print(f"{shown}: training{note} ...", file=sys.stderr, flush=True)
    python = Path(given.python) if given.python else None
    image = read_record(Path(given.image)) if given.image else None
    if image:
        check_inside(image)
    training = Training(
        plan=plan,
        run=run,
        attempt=given.attempt,
        python=python,
        warm_up=given.warm_up == "yes",
        cold_start=given.cold_start == "yes",
        image=image,
        container=given.container,
        mounted=given.mounted,
        source=given.source,
        job=given.job,
    )
    outcome = train(training)
    say(shown, outcome, headline(training.run_dir) if outcome.reason is None else "")


def other_machine(wanted: str, here: Machine) -> Outcome | None:
    """The outcome of an attempt that is wanted on another class of machine; None where it is this one."""
    if wanted == here.name:
        return None
    seen = f"this one, {socket.gethostname()}, is '{here.name}', {here.description}"
    fix = "train on that machine; a container must see the same cores and GPUs as what is outside of it"
    if here.choice.fault:
        seen, fix = f"{seen}: {here.choice.fault}", f"{here.choice.fix}; or {fix}"
    return Outcome("other-machine", f"'{wanted}' is another machine ({seen}): {fix}")


def say(shown: str, outcome: Outcome, good: str = "") -> None:
    ended = f"FAILED: {outcome.reason}: {outcome.detail}" if outcome.reason else good
    print(f"{shown}: {ended}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    cli(main)
