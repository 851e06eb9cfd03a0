"""Keras's device and settings: backend, GPU or CPU, threads, precision.

Run as a program, it only looks for GPUs, so that TensorFlow's log says what it finds.
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
# The folder of NVIDIA's wheels in site-packages.
WHEELS = Path(tf.__file__).parents[1] / "nvidia"
# TensorFlow logs which libraries are missing only at this level; the engine runs at a quieter one.
LOUD = {"TF_CPP_MIN_LOG_LEVEL": "0", "TF_CPP_VMODULE": "dso_loader=1"}
REASONS = (
    "Could not load",
    "Could not find",
    "Cannot dlopen",
    "failed call",
    "Ignoring visible gpu",
)
MAX_LOOK_S = 120


def configure(args: Namespace) -> str:
    """Apply the command line before the first tensor exists; returns `cpu` or `cuda:NAME`.

    Raises EngineError if TensorFlow is to use a GPU and does not see exactly one.
    """
    # A user's ~/.keras/keras.json must not change the work.
    keras.config.set_floatx("float32")
    keras.config.set_image_data_format("channels_last")
    tf.config.threading.set_intra_op_parallelism_threads(args.threads)
    tf.config.threading.set_inter_op_parallelism_threads(args.threads)
    tf.config.experimental.enable_tensor_float_32_execution(args.options["tf32"])
    keras.utils.set_random_seed(args.seed)
    if args.accelerator == "cuda":
        gpu = protocol.one_gpu("TensorFlow", visible_gpus(), why_no_gpu)
        tf.config.experimental.set_memory_growth(gpu, args.options["memory_growth"])
        details = tf.config.experimental.get_device_details(gpu)
        return f"cuda:{details.get('device_name', 'unknown')}"
    protocol.hide_gpus()
    tf.config.set_visible_devices([], "GPU")
    return "cpu"


def visible_gpus() -> list[PhysicalDevice]:
    """The GPUs that TensorFlow can use, with the libraries of NVIDIA's wheels."""
    # TensorFlow 2.21 looks for this library in a wrong folder, and uses no GPU without it
    # (docs/specification.md).
    for library in WHEELS.glob("cusolver/lib/libcusolver.so.*"):
        ctypes.CDLL(str(library))
    return tf.config.list_physical_devices("GPU")


def why_no_gpu() -> str:
    """TensorFlow's reason for not using a GPU, from the log of a second process."""
    if not tf.test.is_built_with_cuda():
        return "this TensorFlow is built without CUDA"
    try:
        done = subprocess.run(
            [sys.executable, __file__],
            env=os.environ | LOUD,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=MAX_LOOK_S,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"it could not be asked why: {error}"
    return reason(done.stderr)


def reason(log: str) -> str:
    """The lines of TensorFlow's log that say why it uses no GPU, without their time stamps."""
    # A dict keeps each line once, in order.
    lines: dict[str, None] = {}
    for line in log.splitlines():
        if any(start in line for start in REASONS):
            lines[re.sub(r"^[IWEF]\d{4} .*?\] ", "", line)] = None
    return "; ".join(lines) or "it gives no reason"


if __name__ == "__main__":
    visible_gpus()
