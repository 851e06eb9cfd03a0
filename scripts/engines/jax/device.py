"""JAX's device and settings: GPU or CPU, threads, precision, compiled or not."""

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
NO_REASON = (
    "it gives no reason; it does not look where there is no /dev/nvidia0 and no /dev/nvidiactl"
)


def configure(args: Namespace) -> str:
    """Apply the command line before JAX looks for its devices; returns `cpu` or `cuda:NAME`.

    Raises EngineError for an unknown way to convolve, or if there is not one GPU to use.
    """
    options = args.options
    if options["convolution"] not in ("auto", "patches", "direct"):
        raise protocol.EngineError(
            f"unknown way '{options['convolution']}'",
            "--option convolution",
            "auto, patches, direct",
        )
    # The size of XLA's thread pool on the CPU; if both are set, PJRT_NPROC counts.
    os.environ["PJRT_NPROC"] = os.environ["NPROC"] = str(args.threads)
    os.environ["XLA_PYTHON_CLIENT_PREALLOCATE"] = str(options["preallocate"]).lower()
    jax.config.update("jax_disable_jit", options["disable_jit"])
    precision = None if options["tf32"] else "float32"
    jax.config.update("jax_default_matmul_precision", precision)
    if args.accelerator == "cuda":
        return f"cuda:{only_gpu().device_kind}"
    protocol.hide_gpus()
    jax.config.update("jax_platforms", "cpu")
    # JAX looks for its devices here, before the training's first event.
    jax.devices()
    return "cpu"


def only_gpu() -> jax.Device:
    """The one GPU; raises EngineError with JAX's reason if JAX would compute on the processor."""
    # With `cuda` alone, JAX ends in a bare assertion if there is no device file.
    jax.config.update("jax_platforms", "cuda,cpu")
    log = Messages()
    LOGGER.addHandler(log)
    gpus = []
    try:
        gpus = [device for device in jax.devices() if device.platform != "cpu"]
    except RuntimeError as error:
        log.messages.append(str(error).partition(" (set JAX_PLATFORMS")[0])
    finally:
        LOGGER.removeHandler(log)
    gpu = protocol.one_gpu("JAX", gpus, lambda: "; ".join(log.messages) or NO_REASON)
    for message in log.messages:
        print(message, file=sys.stderr)
    return gpu


class Messages(logging.Handler):
    """Keeps the warnings that JAX logs, and the errors behind them."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append(record.getMessage())
        if record.exc_info is None:
            return
        error = record.exc_info[1]
        while error is not None:
            self.messages.append(str(error))
            error = error.__cause__


def convolution(args: Namespace) -> str:
    """The way to convolve, `patches` or `direct`; call it after `configure`."""
    chosen: str = args.options["convolution"]
    if chosen == "auto":
        # On the CPU the gradient of `patches` is the faster one.
        chosen = "patches" if jax.default_backend() == "cpu" else "direct"
    return chosen
