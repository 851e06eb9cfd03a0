"""A known load on an NVIDIA GPU, through the CUDA driver alone: memory ballast, then spinning.

Started by file name, `python -I -S gpu_load.py load TRUTH_FILE SECONDS UUID`, standing alone as `loads.py`
does, it loads that card or MIG instance. The truth is one JSON object: the ballast's bytes and the monotonic
moments of each phase, or `error`. `gpu_load.py first TRUTH_FILE` writes the `uuid` of what CUDA counts first.
"""

from __future__ import annotations

import ctypes
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final
from uuid import UUID

LIBRARY: Final = "libcuda.so.1"
BALLAST_BYTES: Final = 256 * 2**20


class CudaError(RuntimeError):
    """A call of the CUDA driver failed; the text names it."""


def no_cuda() -> str | None:
    """Why the CUDA driver cannot be loaded here; None when it can."""
    try:
        ctypes.CDLL(LIBRARY)
    except OSError:
        return f"no CUDA driver library on this machine ({LIBRARY})"
    return None


class Card:
    """The first card that is seen. In a context, memory of BALLAST_BYTES can be taken and written."""

    def __init__(self, library: Any) -> None:
        """`library` is the CUDA driver, or something with the same functions."""
        self._library = library
        self._memory, self._context, self._device = (
            ctypes.c_uint64(),
            ctypes.c_void_p(),
            ctypes.c_int(),
        )
        self._call("cuInit", ctypes.c_uint(0))
        self._call("cuDeviceGet", ctypes.byref(self._device), ctypes.c_int(0))

    def uuid(self) -> str:
        """As in CUDA_VISIBLE_DEVICES. Of a MIG instance the older call tells the UUID of its card."""
        own, whole = self._uuid("cuDeviceGetUuid_v2"), self._uuid("cuDeviceGetUuid")
        return f"{'GPU' if own == whole else 'MIG'}-{own}"

    def open(self) -> None:
        """Make the context."""
        self._call("cuCtxCreate_v2", ctypes.byref(self._context), ctypes.c_uint(0), self._device)

    def take(self) -> None:
        """Take the ballast."""
        self._call("cuMemAlloc_v2", ctypes.byref(self._memory), ctypes.c_size_t(BALLAST_BYTES))

    def spin_until(self, moment_ns: int) -> None:
        """Write the ballast over and over, with little time between, until a monotonic moment."""
        while time.monotonic_ns() < moment_ns:
            for _ in range(32):
                self._call(
                    "cuMemsetD8_v2", self._memory, ctypes.c_ubyte(1), ctypes.c_size_t(BALLAST_BYTES)
                )
            self._call("cuCtxSynchronize")

    def give_back(self) -> None:
        """Free the ballast and the context."""
        self._call("cuMemFree_v2", self._memory)
        self._call("cuCtxDestroy_v2", self._context)

    def _uuid(self, name: str) -> UUID:
        found = (ctypes.c_ubyte * 16)()
        self._call(name, found, self._device)
        return UUID(bytes=bytes(found))

    def _call(self, name: str, *arguments: Any) -> None:
        status = getattr(self._library, name)(*arguments)
        if status:
            raise CudaError(f"{name} failed with CUDA error {status}")


def measure(card: Card, seconds: float) -> dict[str, Any]:
    """The phases' moments: context alone, ballast held, spinning; each lasts `seconds`."""
    card.open()
    moments = [time.monotonic_ns()]
    time.sleep(seconds)
    moments.append(time.monotonic_ns())
    card.take()
    held_ns = time.monotonic_ns()
    time.sleep(seconds)
    spin_ns = time.monotonic_ns()
    card.spin_until(spin_ns + int(seconds * 1e9))
    spun_ns = time.monotonic_ns()
    card.give_back()
    return {
        "ballast_bytes": BALLAST_BYTES,
        "before_ns": moments,
        "held_ns": [held_ns, spin_ns],
        "spin_ns": [spin_ns, spun_ns],
    }


def first() -> dict[str, Any]:
    """The UUID of the card or MIG instance that CUDA counts first."""
    return {"uuid": Card(ctypes.CDLL(LIBRARY)).uuid()}


def load(seconds: str, uuid: str) -> dict[str, Any]:
    """The phases on that card or MIG instance."""
    os.environ["CUDA_VISIBLE_DEVICES"] = uuid
    return measure(Card(ctypes.CDLL(LIBRARY)), float(seconds))


DOES: Final[dict[str, Callable[..., dict[str, Any]]]] = {"first": first, "load": load}


def main(what: str, truth: str, *given: str) -> None:
    """Do it and write its truth."""
    try:
        content = DOES[what](*given)
    except (AttributeError, CudaError, OSError) as error:
        content = {"error": str(error)}
    Path(truth).write_text(json.dumps(content), encoding="utf-8")
    os._exit(0)


if __name__ == "__main__":
    main(*sys.argv[1:])
