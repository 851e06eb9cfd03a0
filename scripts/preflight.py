#!/usr/bin/env python3
"""Report what this machine can run of the experiment; trains nothing, exits with 1 if something is missing."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import _path  # noqa: F401
from contain import launcher_of
from evenground.containers.apptainer import Told
from evenground.containers.build import images
from evenground.datasets.fetch import all_mirrors
from evenground.environments.build import MARKER, env_dir
from evenground.environments.cache import cache_dir
from evenground.errors import cli
from evenground.files import read_json
from evenground.preflight.check import Prepared, check
from evenground.preflight.experiment import answers
from evenground.preflight.finding import passed
from evenground.runs.machine import hold
from evenground.runs.study import Study, make_study


def prepared(study: Study, told: str) -> Prepared:
    """Return the experiment's environments, or with `deployment: apptainer` its images."""
    wanted = images(study.first.experiment.deployment, study.environments)
    markers = {}
    if not wanted:
        markers = {name: env_dir(name) / MARKER for name in study.environments}
    launcher = launcher_of(Told.of(told)) if told else None
    return Prepared(markers=markers, images=wanted, cache=cache_dir(), launcher=launcher)


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
    plans = [part.plan for part in study.parts]
    first = study.first
    # On a cluster each node chooses its own card.
    if not first.experiment.nodes:
        hold(first.here)
    mirrors = all_mirrors(first.experiment.mirrors)
    findings = check(plans, prepared(study, args.told), mirrors, answers)
    print("\n".join(finding.line() for finding in findings), flush=True)
    sys.exit(0 if passed(findings) else 1)


if __name__ == "__main__":
    cli(main)
