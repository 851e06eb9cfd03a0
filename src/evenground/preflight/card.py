"""Tries whether the CUDA driver gives a process one card: a context and some memory.

A program of its own, `python -I -S card.py DIGITS`, that needs the standard library only, so that
the Python of any image runs it. DIGITS: the hexadecimal digits of the UUID that the card must have.
The last line of its output is a JSON object with fields of `Trial` in `trial.py`.
"""

from __future__ import annotations

import ctypes
import json
import os
import sys
from pathlib import Path
from typing import Any, Final

LIBRARY: Final = "libcuda.so.1"
# Without the first CUDA does not start. With the second (WSL) it needs none of NVIDIA's devices.
DEVICES: Final = ("/dev/nvidia-uvm", "/dev/dxg")
SIZE_BYTES: Final = 2**20


class CallError(RuntimeError):
    """A call failed; the arguments are its name and CUDA's name of the error."""


def call(cuda: Any, name: str, *arguments: Any) -> None:
    """Call a function of the CUDA driver's library; raises CallError if it fails."""
    # The parent process reads which call never returned.
    print(name, flush=True)
    status = getattr(cuda, name)(*arguments)
    if status:
        error = ctypes.c_char_p()
        cuda.cuGetErrorName(status, ctypes.byref(error))
        known = error.value or b"CUDA error %d" % status
        raise CallError(name, known.decode())


def see(cuda: Any, seen: dict[str, Any]) -> ctypes.c_int | None:
    """Return the only card, None if there are several; writes its properties to `seen`.

    Raises CallError.
    """
    count, device, digits = ctypes.c_int(), ctypes.c_int(), (ctypes.c_ubyte * 16)()
    call(cuda, "cuInit", ctypes.c_uint(0))
    call(cuda, "cuDeviceGetCount", ctypes.byref(count))
    seen["devices"] = count.value
    if count.value != 1:
        return None
    call(cuda, "cuDeviceGet", ctypes.byref(device), ctypes.c_int(0))
    call(cuda, "cuDeviceGetUuid_v2", digits, device)
    seen["digits"] = bytes(digits).hex()
    return device


def use(cuda: Any, device: ctypes.c_int) -> None:
    """Make a context, write and read a MiB, and free both; raises CallError."""
    context, memory = ctypes.c_void_p(), ctypes.c_uint64()
    size = ctypes.c_size_t(SIZE_BYTES)
    written = bytes(range(256)) * (SIZE_BYTES // 256)
    read = ctypes.create_string_buffer(SIZE_BYTES)
    call(cuda, "cuCtxCreate_v2", ctypes.byref(context), ctypes.c_uint(0), device)
    call(cuda, "cuMemAlloc_v2", ctypes.byref(memory), size)
    call(cuda, "cuMemcpyHtoD_v2", memory, written, size)
    call(cuda, "cuMemcpyDtoH_v2", read, memory, size)
    call(cuda, "cuMemFree_v2", memory)
    call(cuda, "cuCtxDestroy_v2", context)
    if read.raw != written:
        raise CallError("cuMemcpyDtoH_v2", "what was read is not what was written")


def try_cuda(wanted: str, library: str = LIBRARY) -> dict[str, Any]:
    """Return fields of a `Trial`; a context is made only on the card with the `wanted` digits."""
    seen: dict[str, Any] = {}
    try:
        cuda = ctypes.CDLL(library)
        device = see(cuda, seen)
        if device is not None and seen["digits"] == wanted:
            use(cuda, device)
    except OSError as error:
        seen["error"] = str(error)
    except CallError as error:
        seen["called"], seen["error"] = error.args
    seen["has_devices"] = any(Path(device).exists() for device in DEVICES)
    return seen


if __name__ == "__main__":
    print(json.dumps(try_cuda(sys.argv[1])), flush=True)
    # Without waiting for what the driver does when a process ends.
    os._exit(0)
