"""Started by JAX's interpreter: which devices the engine takes and refuses, as JSON on standard output."""

import json
import os
import sys
from argparse import Namespace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts" / "engines" / "jax"))

import device
import jax

OPTIONS = {"convolution": "auto", "preallocate": False, "disable_jit": False, "tf32": False}
GPU = Namespace(platform="gpu", device_kind="Some Card")
ask_jax = jax.devices


def configure(accelerator: str) -> str:
    """What `configure` returns, or its error."""
    try:
        return device.configure(Namespace(options=OPTIONS, threads=1, accelerator=accelerator))
    except device.protocol.EngineError as error:
        return str(error)


def gpus(number: int) -> list[Namespace]:
    jax.devices = lambda: [GPU] * number
    return configure("cuda")


def hidden() -> str | None:
    """What CUDA_VISIBLE_DEVICES is when JAX first looks for devices of a training on the processor."""
    seen = []
    jax.devices = lambda: seen.append(os.environ.get("CUDA_VISIBLE_DEVICES"))
    configure("cpu")
    return seen[0]


found = {"none": configure("cuda"), "one": gpus(1), "two": gpus(2), "hidden": hidden()}
print(json.dumps(found))
