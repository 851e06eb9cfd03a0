#!/usr/bin/env python3
"""Make one attempt at one wanted run. A failed training is an outcome, not an error of this script."""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import signal
import sys
import tempfile
from pathlib import Path

import _path  # noqa: F401
from evenground.config import load_experiment
from evenground.errors import EvengroundError, cli
from evenground.files import read_json
from evenground.images import read_record
from evenground.runs.plan import make_plan
from evenground.runs.training import Training, headline, train

PR_SET_PDEATHSIG = 1


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--experiment", type=Path, required=True, help="results/experiment.json")
    parser.add_argument("--place", type=Path, required=True, help="MACHINE/DATASET/ENGINE/KEY/rN")
    parser.add_argument("--attempt", type=int, required=True)
    parser.add_argument("--python", default="", help="interpreter of the engine's environment, if it has one")
    parser.add_argument("--warm-up", choices=["yes", "no"], required=True)
    parser.add_argument("--image", default="", help="record of the container image this runs in, if any")
    parser.add_argument("--source", type=json.loads, default={}, help="commit and dirtiness, as JSON")
    return parser.parse_args()


def end_with_parent() -> None:
    """Ask the kernel to end this process when the pipeline dies, so that no training is orphaned."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() == 1:
        sys.exit("error: the pipeline ended before this training began")


def main() -> None:
    given = arguments()
    plan = make_plan(load_experiment(read_json(given.experiment), str(given.experiment)), Path.cwd())
    run = plan.find(given.place)
    if run.machine != plan.here:
        raise EvengroundError(
            f"'{run.machine}' is another machine", f"this one is '{plan.here}'", "train on that machine"
        )
    shown = f"[{run.order}/{len(plan.runs)}] {run.dataset} {run.engine} r{run.repetition}"
    note = " (with a warm-up before it)" if given.warm_up == "yes" else ""
    print(f"{shown}: training{note} ...", file=sys.stderr, flush=True)
    python = Path(given.python) if given.python else None
    image = read_record(Path(given.image)) if given.image else None
    if image:
        # Snakemake makes the working copy a container's home: frameworks' caches do not belong there.
        os.environ["HOME"] = tempfile.gettempdir()
    training = Training(plan, run, given.attempt, python, given.warm_up == "yes", image, given.source)
    outcome = train(training)
    ended = f"FAILED: {outcome.reason}: {outcome.detail}" if outcome.reason else headline(training.place)
    print(f"{shown}: {ended}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    end_with_parent()
    cli(main)
