"""Whether the CUDA driver gives a process one card: a context and some memory, given back at once.

Started by file name, `python -I -S card.py DIGITS`, standing alone, so that any Python of any image runs it.
DIGITS are those of the UUID that the card must have; empty where nothing is compared. Each call is printed
before it is made, so that one that never comes back is known; the last line is one JSON object, the fields of
`Trial` in `trial.py`.
"""

from __future__ import annotations

import ctypes
import json
import os
import sys
from pathlib import Path
from typing import Any, Final

LIBRARY: Final = "libcuda.so.1"
# Without the first CUDA does not start; a machine that has the second needs none of NVIDIA's devices.
DEVICES: Final = ("/dev/nvidia-uvm", "/dev/dxg")
SIZE_BYTES: Final = 2**20


class CallError(RuntimeError):
    """A call failed: which, and CUDA's name of why."""

    def __init__(self, called: str, error: str) -> None:
        super().__init__(f"{called}: {error}")
        self.called, self.error = called, error


class Cuda:
    """The CUDA driver's library, or something with the same functions."""

    def __init__(self, library: Any) -> None:
        self._library = library

    def call(self, name: str, *arguments: Any) -> None:
        """Make one call; CallError where it fails, or there is no such function."""
        print(name, flush=True)
        function = getattr(self._library, name, None)
        if function is None:
            raise CallError(name, "this driver has no such function")
        status = function(*arguments)
        if status:
            raise CallError(name, self._name_of(status))

    def _name_of(self, status: int) -> str:
        name = ctypes.c_char_p()
        known = self._library.cuGetErrorName(status, ctypes.byref(name)) == 0
        return name.value.decode() if known and name.value else f"CUDA error {status}"


def see(cuda: Cuda, seen: dict[str, Any]) -> ctypes.c_int | None:
    """The one card that is seen; None where there are several. What it is goes into `seen`."""
    count, device, digits = ctypes.c_int(), ctypes.c_int(), (ctypes.c_ubyte * 16)()
    cuda.call("cuInit", ctypes.c_uint(0))
    cuda.call("cuDeviceGetCount", ctypes.byref(count))
    seen["devices"] = count.value
    if count.value != 1:
        return None
    cuda.call("cuDeviceGet", ctypes.byref(device), ctypes.c_int(0))
    cuda.call("cuDeviceGetUuid_v2", digits, device)
    seen["digits"] = bytes(digits).hex()
    return device


def use(cuda: Cuda, device: ctypes.c_int) -> None:
    """Make a context, write and read a MiB, give all back."""
    context, memory = ctypes.c_void_p(), ctypes.c_uint64()
    size = ctypes.c_size_t(SIZE_BYTES)
    written = bytes(range(256)) * (SIZE_BYTES // 256)
    read = ctypes.create_string_buffer(SIZE_BYTES)
    cuda.call("cuCtxCreate_v2", ctypes.byref(context), ctypes.c_uint(0), device)
    cuda.call("cuMemAlloc_v2", ctypes.byref(memory), size)
    cuda.call("cuMemcpyHtoD_v2", memory, written, size)
    cuda.call("cuMemcpyDtoH_v2", read, memory, size)
    cuda.call("cuMemFree_v2", memory)
    cuda.call("cuCtxDestroy_v2", context)
    if read.raw != written:
        raise CallError("cuMemcpyDtoH_v2", "what was read is not what was written")


def tried(wanted: str, library: str = LIBRARY) -> dict[str, Any]:
    """What came of it; no context is made on another card than the one that is wanted."""
    seen: dict[str, Any] = {}
    try:
        cuda = Cuda(ctypes.CDLL(library))
        device = see(cuda, seen)
        if device is not None and wanted in ("", seen["digits"]):
            use(cuda, device)
    except OSError as error:
        seen |= {"called": "", "error": str(error)}
    except CallError as error:
        seen |= {"called": error.called, "error": error.error}
    return seen | {"has_devices": any(Path(device).exists() for device in DEVICES)}


if __name__ == "__main__":
    print(json.dumps(tried(sys.argv[1])), flush=True)
    # Nothing that the driver does at a process's end is waited for.
    os._exit(0)
