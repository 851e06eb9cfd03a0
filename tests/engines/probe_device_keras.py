"""Started by Keras's interpreter: which devices the engine takes and refuses, as JSON on standard output.

Its argument is a folder with `nvidia`, which has the wheels' libraries, and `log`, which a program there
writes to standard error if it is told to say all.
"""

import json
import os
import sys
from argparse import Namespace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts" / "engines" / "keras"))

import device
import tensorflow as tf

FOLDER = Path(sys.argv[1])
OPTIONS = {"tf32": False, "memory_growth": True}


def configure(accelerator: str) -> str:
    """What `configure` returns, or its error."""
    try:
        return device.configure(
            Namespace(options=OPTIONS, threads=1, accelerator=accelerator, seed=1)
        )
    except device.protocol.EngineError as error:
        return str(error)


def gpus(number: int) -> str:
    tf.config.list_physical_devices = lambda kind: [kind] * number
    return configure("cuda")


def mapped() -> bool:
    """Whether the library of the wheels is loaded."""
    return str(FOLDER / "nvidia") in Path("/proc/self/maps").read_text()


def why_none() -> str:
    """What stands in the error where the second process writes `log`."""
    tf.test.is_built_with_cuda = lambda: True
    device.sys.executable = str(FOLDER / "log")
    return gpus(0)


tf.config.experimental.set_memory_growth = lambda gpu, growth: None
tf.config.experimental.get_device_details = lambda gpu: {"device_name": "Some Card"}
device.WHEELS = FOLDER / "nvidia"
found = {
    "cpu": configure("cpu"),
    "hidden": os.environ["CUDA_VISIBLE_DEVICES"],
    "mapped on cpu": mapped(),
}
found |= {
    "without cuda": gpus(0),
    "mapped": mapped(),
    "why": why_none(),
    "one": gpus(1),
    "two": gpus(2),
}
print(json.dumps(found))
