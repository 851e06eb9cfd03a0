"""Where Keras computes, and with what: backend, GPU or CPU, threads, precision.

Started as a program it only looks for GPUs, and TensorFlow says on standard error what it finds.
"""

from __future__ import annotations

import ctypes
import os
import re
import subprocess
import sys
from argparse import Namespace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "python_protocol"))
os.environ["KERAS_BACKEND"] = "tensorflow"

import evenground_engine as protocol
import keras
import tensorflow as tf
from tensorflow.config import PhysicalDevice

VERSIONS = {"keras": keras.__version__, "tensorflow": tf.__version__}
# The folder of NVIDIA's wheels, beside TensorFlow's.
WHEELS = Path(tf.__file__).parents[1] / "nvidia"
# TensorFlow says which libraries it lacks only where it is told to say all; the engine is told to be quiet.
LOUD = {"TF_CPP_MIN_LOG_LEVEL": "0", "TF_CPP_VMODULE": "dso_loader=1"}
TELLING = (
    "Could not load",
    "Could not find",
    "Cannot dlopen",
    "failed call",
    "Ignoring visible gpu",
)
LOOK_S = 120


def configure(arguments: Namespace) -> str:
    """Apply the command line before the first tensor exists; returns `cpu` or `cuda:NAME`."""
    # A ~/.keras/keras.json of the user must not change the work.
    keras.config.set_floatx("float32")
    keras.config.set_image_data_format("channels_last")
    tf.config.threading.set_intra_op_parallelism_threads(arguments.threads)
    tf.config.threading.set_inter_op_parallelism_threads(arguments.threads)
    tf.config.experimental.enable_tensor_float_32_execution(arguments.options["tf32"])
    keras.utils.set_random_seed(arguments.seed)
    if arguments.accelerator == "cuda":
        gpu = protocol.one_gpu("TensorFlow", visible_gpus(), why_no_gpu)
        tf.config.experimental.set_memory_growth(gpu, arguments.options["memory_growth"])
        return "cuda:" + tf.config.experimental.get_device_details(gpu).get(
            "device_name", "unknown"
        )
    protocol.hide_gpus()
    tf.config.set_visible_devices([], "GPU")
    return "cpu"


def visible_gpus() -> list[PhysicalDevice]:
    """The GPUs that TensorFlow can use, with the libraries of NVIDIA's wheels."""
    # TensorFlow 2.21 looks for this one where it is not, and uses no GPU without it (docs/specification.md).
    for library in WHEELS.glob("cusolver/lib/libcusolver.so.*"):
        ctypes.CDLL(str(library))
    return tf.config.list_physical_devices("GPU")


def why_no_gpu() -> str:
    """TensorFlow's own words, from a second process that is told to say all."""
    if not tf.test.is_built_with_cuda():
        return "this TensorFlow is built without CUDA"
    how = {"capture_output": True, "text": True, "errors": "replace", "timeout": LOOK_S}
    try:
        done = subprocess.run([sys.executable, __file__], env={**os.environ, **LOUD}, **how)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"it could not be asked why: {error}"
    return reason(done.stderr)


def reason(log: str) -> str:
    """The lines of TensorFlow's log that tell why it uses no GPU, without their time stamps."""
    lines = [re.sub(r"^[IWEF]\d{4} .*?\] ", "", line) for line in log.splitlines()]
    telling = [line for line in lines if any(words in line for words in TELLING)]
    return "; ".join(dict.fromkeys(telling)) or "it gives no reason"


if __name__ == "__main__":
    visible_gpus()
