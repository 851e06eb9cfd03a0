"""A known load on an NVIDIA GPU, through the CUDA driver alone: memory ballast, then spinning.

Started by file name, like `loads.py`: `python -I -S gpu_load.py TRUTH_FILE SECONDS UUID` loads that
card or MIG instance. The truth is one JSON object: the ballast's bytes and the monotonic moments of
each phase, or `error`. Without SECONDS and UUID it has the `uuid` of the card that CUDA counts
first.
"""

from __future__ import annotations

import ctypes
import json
import os
import sys
import time
from pathlib import Path
from typing import Any
from uuid import UUID

LIBRARY = "libcuda.so.1"
BALLAST_BYTES = 256 * 2**20


class CudaError(RuntimeError):
    """A call of the CUDA driver failed; the text names it."""


def no_cuda() -> str | None:
    """Why the CUDA driver cannot be loaded here; None if it can."""
    try:
        ctypes.CDLL(LIBRARY)
    except OSError:
        return f"no CUDA driver library on this machine ({LIBRARY})"
    return None


class Card:
    """The first visible card. Its methods raise CudaError if the driver refuses."""

    def __init__(self, library: Any) -> None:
        """`library` is the CUDA driver, or something with the same functions."""
        self._library = library
        self._memory = ctypes.c_uint64()
        self._context = ctypes.c_void_p()
        self._device = ctypes.c_int()
        self._call("cuInit", ctypes.c_uint(0))
        self._call("cuDeviceGet", ctypes.byref(self._device), ctypes.c_int(0))

    def uuid(self) -> str:
        """As in CUDA_VISIBLE_DEVICES."""
        # For a MIG instance the older call gives the UUID of its card.
        uuid, of_card = self._uuid("cuDeviceGetUuid_v2"), self._uuid("cuDeviceGetUuid")
        kind = "GPU" if uuid == of_card else "MIG"
        return f"{kind}-{uuid}"

    def open(self) -> None:
        """Make the context."""
        self._call("cuCtxCreate_v2", ctypes.byref(self._context), ctypes.c_uint(0), self._device)

    def take(self) -> None:
        """Allocate the ballast."""
        self._call("cuMemAlloc_v2", ctypes.byref(self._memory), ctypes.c_size_t(BALLAST_BYTES))

    def spin_until(self, moment_ns: int) -> None:
        """Write the ballast over and over, almost without pauses, until a monotonic moment."""
        value, size = ctypes.c_ubyte(1), ctypes.c_size_t(BALLAST_BYTES)
        while time.monotonic_ns() < moment_ns:
            # Each call only queues the work: a queue of 32 hides the pause for the clock.
            for _ in range(32):
                self._call("cuMemsetD8_v2", self._memory, value, size)
            self._call("cuCtxSynchronize")

    def give_back(self) -> None:
        """Free the ballast and the context."""
        self._call("cuMemFree_v2", self._memory)
        self._call("cuCtxDestroy_v2", self._context)

    def _uuid(self, function: str) -> UUID:
        buffer = (ctypes.c_ubyte * 16)()
        self._call(function, buffer, self._device)
        return UUID(bytes=bytes(buffer))

    def _call(self, function: str, *args: Any) -> None:
        status = getattr(self._library, function)(*args)
        if status:
            raise CudaError(f"{function} failed with CUDA error {status}")


def measure(card: Card, seconds: float) -> dict[str, Any]:
    """Run each phase for `seconds`, and note its begin and end; raises CudaError.

    The phases are: context alone, ballast held, spinning.
    """
    card.open()
    open_ns = time.monotonic_ns()
    time.sleep(seconds)
    before_ns = [open_ns, time.monotonic_ns()]
    card.take()
    held_ns = time.monotonic_ns()
    time.sleep(seconds)
    spin_ns = time.monotonic_ns()
    card.spin_until(spin_ns + int(seconds * 1e9))
    spun_ns = time.monotonic_ns()
    card.give_back()
    return {
        "ballast_bytes": BALLAST_BYTES,
        "before_ns": before_ns,
        "held_ns": [held_ns, spin_ns],
        "spin_ns": [spin_ns, spun_ns],
    }


def main(truth: str, seconds: str = "", uuid: str = "") -> None:
    """Load the card `uuid`, or find the first one, and write the truth."""
    if uuid:
        os.environ["CUDA_VISIBLE_DEVICES"] = uuid
    try:
        card = Card(ctypes.CDLL(LIBRARY))
        if uuid:
            content = measure(card, float(seconds))
        else:
            content = {"uuid": card.uuid()}
    # AttributeError: the library lacks one of the functions.
    except (AttributeError, CudaError, OSError) as error:
        content = {"error": str(error)}
    Path(truth).write_text(json.dumps(content), encoding="utf-8")
    # Without the clean-up of a driver that may hang.
    os._exit(0)


if __name__ == "__main__":
    main(*sys.argv[1:])
