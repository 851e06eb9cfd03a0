"""Where JAX computes, and with what: GPU or CPU, threads, precision, compiled or not."""

from __future__ import annotations

import os
import sys
from argparse import Namespace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "python_protocol"))

import jax
import jaxlib
from evenground_engine import EngineError

VERSIONS = {"jax": jax.__version__, "jaxlib": jaxlib.__version__}


def configure(arguments: Namespace) -> str:
    """Apply the command line before JAX looks for its devices; returns `cpu` or `cuda:NAME`."""
    options = arguments.options
    if options["convolution"] not in ("auto", "patches", "direct"):
        raise EngineError(
            f"unknown way '{options['convolution']}'", "--option convolution", "auto, patches, direct"
        )
    # The size of XLA's thread pool on the CPU; of the two names the first one counts.
    os.environ["PJRT_NPROC"] = os.environ["NPROC"] = str(arguments.threads)
    os.environ["XLA_PYTHON_CLIENT_PREALLOCATE"] = str(options["preallocate"]).lower()
    jax.config.update("jax_disable_jit", options["disable_jit"])
    jax.config.update("jax_default_matmul_precision", None if options["tf32"] else "float32")
    if arguments.accelerator == "cpu":
        jax.config.update("jax_platforms", "cpu")
    device = jax.devices()[0]  # a GPU where there is one
    if arguments.accelerator == "cuda" and device.platform == "cpu":
        raise EngineError("JAX finds no CUDA device", "--accelerator cuda", "use cpu or auto")
    return "cpu" if device.platform == "cpu" else f"cuda:{device.device_kind}"


def convolution(arguments: Namespace) -> str:
    """How to convolve, `auto` resolved."""
    chosen: str = arguments.options["convolution"]
    if chosen == "auto":
        return "patches" if jax.default_backend() == "cpu" else "direct"
    return chosen
