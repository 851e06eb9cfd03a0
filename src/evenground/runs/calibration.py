"""Calibrating the sampler on this machine; a goal that is missed is a result, not an error."""

from __future__ import annotations

import signal
import socket
import subprocess
from pathlib import Path

from evenground.errors import EvengroundError
from evenground.records.calibration import Calibration, Figure
from evenground.runs.machine import this_machine
from evenground.runs.training import alone
from evenground.sidecar import linux
from evenground.sidecar.api import sidecar_command

PASSED, MISSED = 0, 1


def calibrate(to: Path, machine: str, gpu: str) -> bool:
    """Calibrate the sampler, alone, and write the calibration; whether it meets all goals.

    `gpu`: that of the experiment. Raises EvengroundError on a machine of another class than
    `machine`.
    """
    here = this_machine(gpu)
    if machine != here.name:
        why = here.choice.fault or here.description
        raise EvengroundError(
            f"the sampler of '{machine}' cannot be calibrated on another machine",
            f"this one, {socket.gethostname()}, is '{here.name}': {why}",
            here.choice.fix or "fix the request for its kind of node in `nodes`",
        )
    to.parent.mkdir(parents=True, exist_ok=True)
    args = ["calibrate", "--output", str(to.absolute())]
    if here.choice.chosen:
        args += ["--gpu", here.choice.chosen.uuid]
    with alone():
        command = sidecar_command(args)
        status = subprocess.run(command, preexec_fn=_end_with_parent).returncode
    if status not in (PASSED, MISSED) or not to.is_file():
        # An unproven sampler is a result, which a table shows; the trainings go on.
        Calibration(passed=False, figures={"calibration": failed(status)}).write(to)
    return status == PASSED


def _end_with_parent() -> None:
    """Let the kernel end the calling process, which calibrates, when its parent dies."""
    linux.prctl(linux.PR_SET_PDEATHSIG, signal.SIGTERM)


def failed(status: int) -> Figure:
    """The one figure of a calibration that could not run."""
    return Figure(
        what="the calibration itself",
        unit="",
        goal=None,
        at_least=False,
        measured=None,
        passed=False,
        reason=f"it ended with status {status}: results/logs/calibrate says why",
    )
