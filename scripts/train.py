#!/usr/bin/env python3
"""Make one attempt at one wanted run. A failed training is an outcome, not an error of this script."""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path

import _path  # noqa: F401
from evenground.call import end_with
from evenground.config import load_experiment
from evenground.errors import EvengroundError, cli
from evenground.files import read_json
from evenground.images import check_inside, read_record
from evenground.runs.plan import make_plan
from evenground.runs.training import Training, headline, train


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--experiment", type=Path, required=True, help="results/experiment.json")
    parser.add_argument("--place", type=Path, required=True, help="MACHINE/DATASET/ENGINE/KEY/rN")
    parser.add_argument("--attempt", type=int, required=True)
    parser.add_argument("--python", default="", help="interpreter of the engine's environment, if it has one")
    parser.add_argument("--warm-up", choices=["yes", "no"], required=True)
    parser.add_argument("--image", default="", help="record of the container image this runs in, if any")
    parser.add_argument("--source", type=json.loads, default={}, help="commit and dirtiness, as JSON")
    parser.add_argument("--pipeline", type=int, nargs="+", default=[], help="processes this ends with")
    return parser.parse_args()


def main() -> None:
    given = arguments()
    end_with(given.pipeline)
    experiment = load_experiment(read_json(given.experiment), str(given.experiment))
    # Which engines are installed was asked when the run was planned.
    plan = make_plan(experiment, Path.cwd(), check=False)
    wanted = given.place.parts[0]
    if wanted != plan.here.name:
        raise EvengroundError(
            f"'{wanted}' is another machine",
            f"this one is '{plan.here.name}'",
            "train on that machine; in a container, let it see the GPU: --apptainer-args '--nv --cleanenv'",
        )
    run = plan.find(given.place)
    shown = f"[{run.order}/{len(plan.runs)}] {run.dataset} {run.engine} r{run.repetition}"
    note = " (with a warm-up before it)" if given.warm_up == "yes" else ""
    print(f"{shown}: training{note} ...", file=sys.stderr, flush=True)
    python = Path(given.python) if given.python else None
    image = read_record(Path(given.image)) if given.image else None
    home = tempfile.TemporaryDirectory(prefix="evenground-home-")
    if image:
        check_inside(image)
        # Snakemake makes the working copy a container's home: frameworks' caches do not belong there.
        os.environ["HOME"] = home.name
    training = Training(plan, run, given.attempt, python, given.warm_up == "yes", image, given.source)
    outcome = train(training)
    home.cleanup()
    ended = f"FAILED: {outcome.reason}: {outcome.detail}" if outcome.reason else headline(training.place)
    print(f"{shown}: {ended}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    cli(main)
