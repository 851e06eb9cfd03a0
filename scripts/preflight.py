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
from evenground.preflight.check import check
from evenground.preflight.experiment import answers
from evenground.preflight.finding import passed
from evenground.runs.plan import make_plan


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--experiment", type=Path, required=True, help="results/experiment.json")
    given = parser.parse_args()
    plan = make_plan(load_experiment(read_json(given.experiment), str(given.experiment)), Path.cwd())
    names = sorted(filter(None, {plan.environment(engine) for engine in plan.engines}))
    markers = {name: env_dir(name) / MARKER for name in names}
    findings = check(plan, markers, cache_dir(), all_mirrors(plan.experiment.mirrors), answers)
    print("\n".join(finding.line() for finding in findings), flush=True)
    sys.exit(0 if passed(findings) else 1)


if __name__ == "__main__":
    cli(main)
