#!/usr/bin/env python3
"""Calibrate the sampler on this machine, alone; a goal that is missed is a result, not an error."""

from __future__ import annotations

import argparse
import ctypes
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import _path
from evenground.errors import EvengroundError, cli
from evenground.files import write_json
from evenground.gpus.choice import AUTO
from evenground.invocation import end_with
from evenground.runs.machine import this_machine
from evenground.runs.training import alone

PASSED, MISSED = 0, 1
PR_SET_PDEATHSIG = 1


def main() -> None:
    """Write the calibration; raises EvengroundError if this is not the machine it is for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--machine", required=True, help="class of the machine it is to run on")
    parser.add_argument("--gpu", default=AUTO, help="`gpu` of the experiment")
    parser.add_argument(
        "--pipeline", type=int, nargs="+", default=[], help="processes this ends with"
    )
    args = parser.parse_args()
    end_with(args.pipeline)
    machine = this_machine(args.gpu)
    if args.machine != machine.name:
        why = machine.choice.fault or machine.description
        raise EvengroundError(
            f"the sampler of '{args.machine}' cannot be calibrated on another machine",
            f"this one, {socket.gethostname()}, is '{machine.name}': {why}",
            machine.choice.fix or "fix the request for its kind of node in `nodes`",
        )
    args.output.parent.mkdir(parents=True, exist_ok=True)
    print("calibrating the sampler (once per machine, about 30 s) ...", flush=True)
    command = [sys.executable, "-m", "evenground.sidecar", "calibrate"]
    command += ["--output", str(args.output)]
    if machine.choice.chosen:
        command += ["--gpu", machine.choice.chosen.uuid]
    env = os.environ | {"PYTHONPATH": str(_path.ROOT / "src")}
    with alone():
        status = subprocess.run(command, env=env, preexec_fn=end_with_this_script).returncode
    if status not in (PASSED, MISSED) or not args.output.is_file():
        # An unproven sampler is a result, which a table shows; the trainings go on.
        figures = {"calibration": failed(status)}
        write_json(args.output, {"schema": 1, "passed": False, "figures": figures})
    if status != PASSED:
        print(
            "some goals are missed on this machine: tables/calibration.md will list them",
            flush=True,
        )


def end_with_this_script() -> None:
    """Let the kernel end the calling process, which calibrates, when this script dies."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def failed(status: int) -> dict[str, Any]:
    """The one figure of a calibration that could not run."""
    return {
        "what": "the calibration itself",
        "unit": "",
        "goal": None,
        "at_least": False,
        "measured": None,
        "passed": False,
        "reason": f"it ended with status {status}: results/logs/calibrate says why",
    }


if __name__ == "__main__":
    cli(main)
