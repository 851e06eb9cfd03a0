#!/usr/bin/env python3
"""Build the container image of an environment, unless it is in the cache, and write its record."""

from __future__ import annotations

import argparse
from pathlib import Path

import _path  # noqa: F401
from contain import launcher_of
from evenground.containers.apptainer import Told
from evenground.containers.build import ready
from evenground.errors import cli
from evenground.files import read_json
from evenground.preflight.containers import recorded_digests
from evenground.preflight.gate import try_image
from evenground.runs.study import make_study


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("environment", help="its requirements are envs/ENVIRONMENT.txt")
    parser.add_argument("--record", type=Path, required=True, help="results/images/NAME.json")
    parser.add_argument("--log", type=Path, required=True, help="what the build prints")
    parser.add_argument("--experiment", type=Path, required=True, help="of the deployment")
    parser.add_argument("--told", required=True, help="Apptainer's settings, as JSON")
    args = parser.parse_args()
    launcher = launcher_of(Told.of(args.told))
    study = make_study(read_json(args.experiment), Path.cwd(), str(args.experiment))
    plans = study.plans
    recorded = recorded_digests(plans, args.environment)
    image, record = ready(args.environment, args.log, recorded, launcher)
    record.write(args.record)
    try_image(image, plans, launcher)
    size_mb = record.bytes / 1e6
    digest = record.sha256[:12]
    print(f"image of '{args.environment}': {size_mb:.0f} MB, sha256:{digest}", flush=True)


if __name__ == "__main__":
    cli(main)
