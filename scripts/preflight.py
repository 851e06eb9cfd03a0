#!/usr/bin/env python3
"""Report what this machine can run of the experiment; trains nothing, exits with 1 if something is missing."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import _path  # noqa: F401
from contain import launcher_of
from evenground.containers.apptainer import Told
from evenground.datasets.fetch import all_mirrors
from evenground.errors import cli
from evenground.files import read_json
from evenground.preflight.check import check
from evenground.preflight.experiment import answers
from evenground.preflight.finding import passed
from evenground.runs.machine import hold
from evenground.runs.study import make_study


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--experiment", type=Path, required=True, help="experiment.json of the deployment"
    )
    parser.add_argument(
        "--told", default="", help="Apptainer's settings in this invocation, as JSON"
    )
    args = parser.parse_args()
    study = make_study(read_json(args.experiment), Path.cwd(), str(args.experiment))
    first = study.first
    # On a cluster each node chooses its own card.
    if not first.experiment.nodes:
        hold(first.here)
    mirrors = all_mirrors(first.experiment.mirrors)
    launcher = launcher_of(Told.of(args.told)) if args.told else None
    findings = check(study, launcher, mirrors, answers)
    print("\n".join(finding.line() for finding in findings), flush=True)
    sys.exit(0 if passed(findings) else 1)


if __name__ == "__main__":
    cli(main)
