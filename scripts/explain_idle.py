#!/usr/bin/env python3
"""Make one extra training below tracers, counted nowhere. If it fails, that is an outcome, not an error."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

import _path  # noqa: F401
from _training import training_parser
from evenground import logs
from evenground.engines import engine_of
from evenground.errors import cli
from evenground.explain.tracer import trace
from evenground.explain.training import attempt, explain
from evenground.invocation import end_with
from evenground.records.spec import read_spec
from evenground.runs.machine import this_machine
from evenground.runs.training import Training

EXPLAIN, TRACE, ATTEMPT = "explain", "trace", "attempt"


def arguments() -> argparse.Namespace:
    parser = training_parser(__doc__)
    add = parser.add_argument
    add("--py-spy", type=Path, required=True, help="the program py-spy")
    add("--output", type=Path, required=True, help="explained.json; its folder is emptied")
    add(
        "--role",
        choices=[EXPLAIN, TRACE, ATTEMPT],
        default=EXPLAIN,
        help="set by the script itself, which starts itself as the tracer, and below that to train",
    )
    return parser.parse_args()


def main() -> None:
    args = arguments()
    folder = args.output.absolute().parent
    if args.role == TRACE:
        trace(_command(ATTEMPT), args.py_spy.absolute(), folder)
        return
    end_with(args.pipeline)
    training = _training(args)
    if args.role == ATTEMPT:
        attempt(training, folder)
        return
    label = f"{training.spec.dataset.name} {training.spec.engine.name} {args.condition}".rstrip()
    logs.info(f"{label}: an extra training to explain its idle windows ...")
    # The training below ends with this process.
    tracer = _command(TRACE) + ["--pipeline", str(os.getpid())]
    outcome = explain(training, folder, tracer)
    if outcome.reason:
        logs.warning(f"{label}: FAILED: {outcome.reason}: {outcome.detail}")
    else:
        logs.info(f"{label}: trained")


def _training(args: argparse.Namespace) -> Training:
    spec = read_spec(args.spec, args.spec.stem)
    here = this_machine(args.gpu)
    return Training(
        root=Path.cwd(),
        spec=spec,
        machine=here.name,
        repetition=1,
        attempt=1,
        engine=engine_of(spec.engine, args.engine_dir, Path.cwd()),
        here=here,
        time_limit_s=args.time_limit_s,
        python=args.python,
    )


def _command(role: str) -> list[str]:
    """Return the command of this script with the same arguments in another role."""
    return [sys.executable] + sys.argv + ["--role", role]


if __name__ == "__main__":
    cli(main)
