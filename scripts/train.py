#!/usr/bin/env python3
"""Make one attempt at a wanted run. A failed training is an outcome, not an error."""

from __future__ import annotations

import argparse
import json
import socket
from pathlib import Path

import _path  # noqa: F401
from _training import training_parser
from evenground import logs
from evenground.containers.images import check_inside
from evenground.engines import engine_of
from evenground.errors import cli
from evenground.invocation import end_with, refuse_ended
from evenground.records.image import ImageRecord
from evenground.records.spec import Specification, read_spec
from evenground.runs.attempt import give_up, restored
from evenground.runs.keys import refuse_changed
from evenground.runs.machine import Machine, this_machine
from evenground.runs.outcome import Outcome
from evenground.runs.training import Training, headline, train


def arguments() -> argparse.Namespace:
    parser = training_parser(__doc__)
    add = parser.add_argument
    add("--machine", required=True, help="the class of machine that it is wanted on")
    add("--repetition", type=int, required=True)
    add("--attempt", type=int, required=True)
    add("--cold", action="store_true", help="what it reads may not be in memory: warm up first")
    add("--container", default="", help="what Apptainer calls the image, if any")
    add("--image", type=Path, help="record of the container image this runs in, if any")
    add("--mounted", nargs="*", default=[], help="where disks are mounted in the working copy")
    add("--number", default="", help="its place among all trainings, for messages")
    add("--source", type=json.loads, default={}, help="commit and dirtiness, as JSON")
    add("--invocation", default="", help="number of the pipeline's invocation")
    add("--job", default="", help="the scheduler's number of this job, if one started it")
    return parser.parse_args()


def main() -> None:
    args = arguments()
    root = Path.cwd()
    end_with(args.pipeline)
    if args.invocation:
        refuse_ended(root, args.invocation)
    spec = read_spec(args.spec, args.spec.stem)
    run_path = spec.run_path(args.machine, args.repetition)
    if restored(root, run_path, args.attempt):
        return
    label = label_of(args, spec)
    # Looked at once: at a second look another card could be chosen.
    here = this_machine(args.gpu)
    other = other_machine(args.machine, here)
    if other:
        give_up(root, run_path, args.attempt, spec.deployment, other)
        log_failure(label, other)
        return
    training = training_of(args, spec, here)
    refuse_changed(spec, training.engine, root)
    note = ""
    if training.warms_up:
        note = " (with a warm-up before it)"
    logs.info(f"{label}: training{note} ...")
    outcome = train(training)
    if outcome.reason:
        log_failure(label, outcome)
    else:
        logs.info(f"{label}: {headline(training.run_dir)}")


def training_of(args: argparse.Namespace, spec: Specification, here: Machine) -> Training:
    """The training of the command line; raises EvengroundError if its image was replaced."""
    root = Path.cwd()
    image = None
    if args.image:
        image = ImageRecord.read(args.image)
        check_inside(image)
    return Training(
        root=root,
        spec=spec,
        machine=args.machine,
        repetition=args.repetition,
        attempt=args.attempt,
        engine=engine_of(spec.engine, args.engine_dir, root),
        here=here,
        time_limit_s=args.time_limit_s,
        python=args.python,
        cold=args.cold,
        image=image,
        container=args.container,
        mounted=args.mounted,
        source=args.source,
        job=args.job,
    )


def label_of(args: argparse.Namespace, spec: Specification) -> str:
    """`[3/40] mnist keras r1`; of several conditions with the name of its own."""
    number = f"[{args.number}] " if args.number else ""
    condition = f" of {args.condition}" if args.condition else ""
    return f"{number}{spec.dataset.name} {spec.engine.name} r{args.repetition}{condition}"


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
