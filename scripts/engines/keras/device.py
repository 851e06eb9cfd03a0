"""Where Keras computes, and with what: backend, GPU or CPU, threads, precision."""

from __future__ import annotations

import os
import sys
from argparse import Namespace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "python_protocol"))
os.environ["KERAS_BACKEND"] = "tensorflow"

import keras
import tensorflow as tf
from evenground_engine import EngineError

VERSIONS = {"keras": keras.__version__, "tensorflow": tf.__version__}


def configure(arguments: Namespace) -> str:
    """Apply the command line before the first tensor exists; returns `cpu` or `cuda:NAME`."""
    # A ~/.keras/keras.json of the user must not change the work.
    keras.config.set_floatx("float32")
    keras.config.set_image_data_format("channels_last")
    tf.config.threading.set_intra_op_parallelism_threads(arguments.threads)
    tf.config.threading.set_inter_op_parallelism_threads(arguments.threads)
    tf.config.experimental.enable_tensor_float_32_execution(arguments.options["tf32"])
    keras.utils.set_random_seed(arguments.seed)

    gpus = [] if arguments.accelerator == "cpu" else tf.config.list_physical_devices("GPU")
    if arguments.accelerator == "cuda" and not gpus:
        raise EngineError("TensorFlow finds no CUDA device", "--accelerator cuda", "use cpu or auto")
    tf.config.set_visible_devices(gpus[:1], "GPU")
    if not gpus:
        return "cpu"
    tf.config.experimental.set_memory_growth(gpus[0], arguments.options["memory_growth"])
    return "cuda:" + tf.config.experimental.get_device_details(gpus[0]).get("device_name", "unknown")
