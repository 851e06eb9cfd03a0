#!/usr/bin/env python3
"""Make one extra training below tracers, counted nowhere. If it fails, that is an outcome, no error."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

import _path  # noqa: F401
from evenground.call import end_with
from evenground.config import load_experiment
from evenground.errors import cli
from evenground.explain.tracer import trace
from evenground.explain.training import attempt, explain
from evenground.files import read_json
from evenground.runs.plan import make_plan
from evenground.runs.training import Training

EXPLAIN, TRACE, ATTEMPT = "explain", "trace", "attempt"


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--experiment", type=Path, required=True, help="experiment.json of the part"
    )
    parser.add_argument("--place", type=Path, required=True, help="MACHINE/DATASET/ENGINE/KEY/rN")
    parser.add_argument(
        "--python", default="", help="interpreter of the engine's environment, if it has one"
    )
    parser.add_argument("--py-spy", type=Path, required=True, help="the program py-spy")
    parser.add_argument(
        "--output", type=Path, required=True, help="explained.json; its folder is emptied"
    )
    parser.add_argument(
        "--pipeline", type=int, nargs="+", default=[], help="processes this ends with"
    )
    parser.add_argument(
        "--role",
        choices=[EXPLAIN, TRACE, ATTEMPT],
        default=EXPLAIN,
        help="it calls itself to become the tracer, and below that to train",
    )
    return parser.parse_args()


def main() -> None:
    given = arguments()
    folder = given.output.absolute().parent
    if given.role == TRACE:
        trace(_command(ATTEMPT), given.py_spy.absolute(), folder)
        return
    end_with(given.pipeline)
    experiment = load_experiment(read_json(given.experiment), str(given.experiment))
    plan = make_plan(experiment, Path.cwd(), check=False)
    run = plan.find(given.place)
    training = Training(plan, run, 1, Path(given.python) if given.python else None, warm_up=False)
    if given.role == ATTEMPT:
        attempt(training, folder)
        return
    shown = f"{run.dataset} {run.engine}"
    print(
        f"{shown}: an extra training to explain its idle windows ...", file=sys.stderr, flush=True
    )
    outcome = explain(training, folder, _command(TRACE, "--pipeline", str(os.getpid())))
    ended = f"FAILED: {outcome.reason}: {outcome.detail}" if outcome.reason else "trained"
    print(f"{shown}: {ended}", file=sys.stderr, flush=True)


def _command(role: str, *more: str) -> list[str]:
    """This script with the arguments that it was called with, in another role."""
    return [sys.executable, *sys.argv, *more, "--role", role]


if __name__ == "__main__":
    cli(main)
