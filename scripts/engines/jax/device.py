"""Where JAX computes, and with what: GPU or CPU, threads, precision, compiled or not."""

from __future__ import annotations

import logging
import os
import sys
from argparse import Namespace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "python_protocol"))

import evenground_engine as protocol
import jax
import jaxlib

VERSIONS = {"jax": jax.__version__, "jaxlib": jaxlib.__version__}
# Where JAX says why a plugin does not start; it raises nothing.
LOGGER = logging.getLogger("jax._src.xla_bridge")
NOTHING_SAID = (
    "it gives no reason; it does not look where there is no /dev/nvidia0 and no /dev/nvidiactl"
)


def configure(arguments: Namespace) -> str:
    """Apply the command line before JAX looks for its devices; returns `cpu` or `cuda:NAME`."""
    options = arguments.options
    if options["convolution"] not in ("auto", "patches", "direct"):
        raise protocol.EngineError(
            f"unknown way '{options['convolution']}'",
            "--option convolution",
            "auto, patches, direct",
        )
    # The size of XLA's thread pool on the CPU; of the two names the first one counts.
    os.environ["PJRT_NPROC"] = os.environ["NPROC"] = str(arguments.threads)
    os.environ["XLA_PYTHON_CLIENT_PREALLOCATE"] = str(options["preallocate"]).lower()
    jax.config.update("jax_disable_jit", options["disable_jit"])
    jax.config.update("jax_default_matmul_precision", None if options["tf32"] else "float32")
    if arguments.accelerator == "cuda":
        return f"cuda:{only_gpu().device_kind}"
    protocol.hide_gpus()
    jax.config.update("jax_platforms", "cpu")
    jax.devices()
    return "cpu"


def only_gpu() -> jax.Device:
    """The one GPU; EngineError with JAX's reason where it would compute on the processor instead."""
    # With `cuda` alone JAX ends in a bare assertion where there is no device file.
    jax.config.update("jax_platforms", "cuda,cpu")
    complaints = Complaints()
    LOGGER.addHandler(complaints)
    try:
        found = [device for device in jax.devices() if device.platform != "cpu"]
    except RuntimeError as error:
        found = []
        complaints.said.append(str(error).partition(" (set JAX_PLATFORMS")[0])
    finally:
        LOGGER.removeHandler(complaints)
    gpu = protocol.one_gpu("JAX", found, lambda: "; ".join(complaints.said) or NOTHING_SAID)
    for line in complaints.said:
        print(line, file=sys.stderr)
    return gpu


class Complaints(logging.Handler):
    """Keeps what JAX logs, with the errors behind it."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.said: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.said.append(record.getMessage())
        error = record.exc_info[1] if record.exc_info else None
        while error is not None:
            self.said.append(str(error))
            error = error.__cause__


def convolution(arguments: Namespace) -> str:
    """How to convolve, `auto` resolved."""
    chosen: str = arguments.options["convolution"]
    if chosen == "auto":
        return "patches" if jax.default_backend() == "cpu" else "direct"
    return chosen
