#!/usr/bin/env python3
"""Say what this machine can run of the experiment; trains nothing, ends non-zero where something lacks."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import _path  # noqa: F401
from environment import MARKER, cache_dir, env_dir
from evenground.config import load_experiment
from evenground.datasets.fetch import all_mirrors
from evenground.errors import cli
from evenground.files import read_json
from evenground.preflight.check import Prepared, check
from evenground.preflight.experiment import answers
from evenground.preflight.finding import passed
from evenground.runs.plan import Plan, make_plan
from image import images


def prepared(plan: Plan) -> Prepared:
    """Where the experiment's environments stand, or under `deployment: apptainer` its images."""
    wanted = images(plan)
    markers = {} if wanted else {name: env_dir(name) / MARKER for name in plan.environments}
    return Prepared(markers, wanted, cache_dir())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--experiment", type=Path, required=True, help="experiment.json of the deployment")
    given = parser.parse_args()
    plan = make_plan(load_experiment(read_json(given.experiment), str(given.experiment)), Path.cwd())
    findings = check(plan, prepared(plan), all_mirrors(plan.experiment.mirrors), answers)
    print("\n".join(finding.line() for finding in findings), flush=True)
    sys.exit(0 if passed(findings) else 1)


if __name__ == "__main__":
    cli(main)
