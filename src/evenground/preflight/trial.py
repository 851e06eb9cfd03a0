"""Tries CUDA on a card and explains a failure; standard library only, for it runs in images."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from evenground.commands import exit_code

PROGRAM = Path(__file__).with_name("card.py")
# The first context after a start of the machine can take ten seconds.
LIMIT_S = 30.0
FIX_DRIVER = "fix NVIDIA's driver: as root, dmesg | grep -i nvrm says more"
MAKE_DEVICES = "as root: nvidia-modprobe -u -c=0, or run any program of CUDA once"
OTHER_LIBRARY = "take that libcuda.so.1 out of the loader's path: the driver's own must be found"
FIXES = {
    "CUDA_ERROR_NO_DEVICE": "let this user open /dev/nvidia*, and fix the driver: "
    "nvidia-smi has to answer",
    "CUDA_ERROR_OUT_OF_MEMORY": "end what holds the card's memory: nvidia-smi names it",
    "CUDA_ERROR_DEVICE_UNAVAILABLE": "end what computes there, "
    "or as administrator: nvidia-smi -c DEFAULT",
    "CUDA_ERROR_ECC_UNCORRECTABLE": "the card's memory is faulty (nvidia-smi -q -d ECC): "
    "name another card",
    "CUDA_ERROR_SYSTEM_NOT_READY": "as root: systemctl start nvidia-fabricmanager",
    "CUDA_ERROR_SYSTEM_DRIVER_MISMATCH": "its kernel module and its libraries "
    "are of two versions: restart",
    "CUDA_ERROR_COMPAT_NOT_SUPPORTED_ON_DEVICE": OTHER_LIBRARY,
    "CUDA_ERROR_STUB_LIBRARY": OTHER_LIBRARY,
}


@dataclass(frozen=True)
class Trial:
    """The result of trying CUDA."""

    called: str = ""
    """The call that failed or did not return; empty if the library was not found."""
    error: str = ""
    """CUDA's name of the error, or a description; empty if nothing failed."""
    devices: int | None = None
    """Number of cards that CUDA sees."""
    digits: str = ""
    """The hexadecimal digits of the UUID of the only card."""
    has_devices: bool = True
    """Whether the device files exist that CUDA needs to start."""


@dataclass(frozen=True)
class Fault:
    """Why nothing can be computed on the card, and the fix."""

    seen: str
    fix: str
    is_of_library: bool = False
    """Whether libcuda.so.1 was not found."""


def try_card(uuid: str, env: Mapping[str, str], limit_s: float = LIMIT_S) -> Trial:
    """Try CUDA on a card in a separate process, whose whole environment is `env`."""
    command = [sys.executable, "-I", "-S", str(PROGRAM), digits_of(uuid)]
    with tempfile.TemporaryFile() as out:
        status = exit_code(command, env, out, limit_s=limit_s)
        out.seek(0)
        lines = out.read().decode(errors="replace").splitlines()
    last = lines[-1] if lines else ""
    if status == 0 and last.startswith("{"):
        return Trial(**json.loads(last))
    ended = f"its process ended with {status}"
    if status is None:
        ended = f"no answer for {limit_s:g} s"
    # The program prints each call before it is made.
    return Trial(called=last, error=ended)


def digits_of(uuid: str) -> str:
    """Return the 32 hexadecimal digits of the UUID `GPU-…` of a card or `MIG-…` of an instance."""
    return uuid.partition("-")[2].replace("-", "").lower()


def fault_of(trial: Trial, uuid: str) -> Fault | None:
    """Return why the card that was tried cannot be used; None if it can."""
    if trial.error and not trial.called:
        fix = "install NVIDIA's driver with its libraries for CUDA"
        return Fault(seen=trial.error, fix=fix, is_of_library=True)
    failed = f"{trial.called}: {trial.error}"
    if trial.error.startswith("CUDA") and not trial.has_devices:
        return Fault(seen=f"{failed}, and /dev/nvidia-uvm is missing", fix=MAKE_DEVICES)
    if trial.error:
        return Fault(seen=failed, fix=FIXES.get(trial.error, FIX_DRIVER))
    if trial.devices != 1:
        seen = f"CUDA sees {trial.devices} cards with CUDA_VISIBLE_DEVICES={uuid}"
        return Fault(seen=seen, fix=FIX_DRIVER)
    if trial.digits != digits_of(uuid):
        seen = f"CUDA sees another card: {trial.digits}, not {uuid}"
        return Fault(seen=seen, fix=FIX_DRIVER)
    return None
