"""Tries whether CUDA works on a card, and says why not; standard library only, for images run it, too."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

PROGRAM = Path(__file__).with_name("card.py")
LIMIT_S = 30.0
"""The first context after the machine's start may take ten."""
ENDING_S = 2.0
UUID = re.compile("(GPU|MIG)-([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})", re.I)
FIX_DRIVER = "fix NVIDIA's driver: as root, dmesg | grep -i nvrm says more"
NO_DEVICES = "/dev/nvidia-uvm is missing"
MAKE_DEVICES = "as root: nvidia-modprobe -u -c=0, or run any program of CUDA once"
OTHER_LIBRARY = "take that libcuda.so.1 out of the loader's path: the driver's own must be found"
MENDS = {
    "CUDA_ERROR_NO_DEVICE": "let this user open /dev/nvidia*, and fix the driver: nvidia-smi has to answer",
    "CUDA_ERROR_OUT_OF_MEMORY": "end what holds the card's memory: nvidia-smi names it",
    "CUDA_ERROR_DEVICE_UNAVAILABLE": "end what computes there, or as administrator: nvidia-smi -c DEFAULT",
    "CUDA_ERROR_ECC_UNCORRECTABLE": "the card's memory is faulty (nvidia-smi -q -d ECC): name another card",
    "CUDA_ERROR_SYSTEM_NOT_READY": "as root: systemctl start nvidia-fabricmanager",
    "CUDA_ERROR_SYSTEM_DRIVER_MISMATCH": "its kernel module and its libraries are of two versions: restart",
    "CUDA_ERROR_COMPAT_NOT_SUPPORTED_ON_DEVICE": OTHER_LIBRARY,
    "CUDA_ERROR_STUB_LIBRARY": OTHER_LIBRARY,
}


@dataclass(frozen=True)
class Trial:
    """What came of it."""

    called: str = ""
    """The call that failed, or did not come back; empty where the library was not found."""
    error: str = ""
    """CUDA's name of why, or words; empty where nothing failed."""
    devices: int | None = None
    """How many cards were seen."""
    digits: str = ""
    """Those of the UUID of the only one."""
    has_devices: bool = True
    """Whether the device files are there without which CUDA does not start."""


@dataclass(frozen=True)
class Fault:
    """Why nothing can be computed on the card, and the fix."""

    seen: str
    fix: str
    is_of_library: bool = False
    """Whether libcuda.so.1 was not found."""


def try_card(uuid: str, env: Mapping[str, str], limit_s: float = LIMIT_S) -> Trial:
    """Try it in a process of its own, with the environment `env` only."""
    command = [sys.executable, "-I", "-S", str(PROGRAM), digits_of(uuid)]
    with tempfile.TemporaryFile() as out:
        process = subprocess.Popen(
            command,
            env=dict(env),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            status: int | None = process.wait(limit_s)
        except subprocess.TimeoutExpired:
            status = None
        finally:
            _end(process)
        out.seek(0)
        lines = out.read().decode(errors="replace").splitlines()
    last = lines[-1] if lines else ""
    if status == 0 and last.startswith("{"):
        return Trial(**json.loads(last))
    silent = f"no answer for {limit_s:g} s"
    return Trial(
        called=last, error=silent if status is None else f"its process ended with {status}"
    )


def _end(process: subprocess.Popen[bytes]) -> None:
    """A process that hangs in the driver may not end even then; nobody waits for it."""
    if process.returncode is None:
        os.killpg(process.pid, signal.SIGKILL)
        with suppress(subprocess.TimeoutExpired):
            process.wait(ENDING_S)


def digits_of(uuid: str) -> str:
    """The 32 hexadecimal digits of a UUID; empty of a name of another form, as older drivers have for MIG."""
    found = UUID.fullmatch(uuid)
    return found[2].replace("-", "").lower() if found else ""


def fault_of(trial: Trial, uuid: str) -> Fault | None:
    """Why the card that was tried cannot be used; None where it can."""
    if trial.error and not trial.called:
        return Fault(
            trial.error, "install NVIDIA's driver with its libraries for CUDA", is_of_library=True
        )
    if trial.error.startswith("CUDA") and not trial.has_devices:
        return Fault(f"{trial.called}: {trial.error}, and {NO_DEVICES}", MAKE_DEVICES)
    if trial.error:
        return Fault(f"{trial.called}: {trial.error}", MENDS.get(trial.error, FIX_DRIVER))
    if trial.devices != 1:
        return Fault(
            f"CUDA sees {trial.devices} cards with CUDA_VISIBLE_DEVICES={uuid}", FIX_DRIVER
        )
    if digits_of(uuid) not in ("", trial.digits):
        return Fault(f"CUDA sees another card: {trial.digits}, not {uuid}", FIX_DRIVER)
    return None
