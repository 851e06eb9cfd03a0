#!/usr/bin/env python3
"""Calibrate the sampler on this machine, alone; a goal that is missed is a result, not an error."""

from __future__ import annotations

import argparse
from pathlib import Path

import _path  # noqa: F401
from evenground.errors import cli
from evenground.gpus.choice import AUTO
from evenground.invocation import end_with
from evenground.runs.calibration import calibrate


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--machine", required=True, help="class of the machine it is to run on")
    parser.add_argument("--gpu", default=AUTO, help="`gpu` of the experiment")
    parser.add_argument(
        "--pipeline", type=int, nargs="+", default=[], help="processes this ends with"
    )
    args = parser.parse_args()
    end_with(args.pipeline)
    print("calibrating the sampler (once per machine, about 30 s) ...", flush=True)
    if not calibrate(args.output, args.machine, args.gpu):
        goals = "some goals are missed on this machine"
        print(f"{goals}: tables/calibration.md will list them", flush=True)


if __name__ == "__main__":
    cli(main)
