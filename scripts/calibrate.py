#!/usr/bin/env python3
"""Measure known loads with the sampler, nothing else beside it; a missed goal is a result, no error."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

import _path
from environment import cache_dir
from evenground.errors import EvengroundError, cli
from evenground.runs.training import alone

PASSED, MISSED = 0, 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, required=True)
    given = parser.parse_args()
    given.output.parent.mkdir(parents=True, exist_ok=True)
    print("calibrating the sampler (once per machine, about 40 s) ...", flush=True)
    command = [sys.executable, "-m", "evenground.sidecar", "calibrate", "--output", str(given.output)]
    env = {**os.environ, "PYTHONPATH": str(_path.ROOT / "src")}
    with alone(cache_dir() / "train.lock"):
        status = subprocess.run(command, env=env).returncode
    if status not in (PASSED, MISSED) or not given.output.is_file():
        raise EvengroundError(
            "the sampler cannot be calibrated", f"status {status}", "the line above says why; then call again"
        )
    if status == MISSED:
        print(
            "some goals are missed on this machine: results/tables/calibration.md will say which", flush=True
        )


if __name__ == "__main__":
    cli(main)
