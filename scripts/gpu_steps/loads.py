"""A load for the card in CUDA_VISIBLE_DEVICES: `python loads.py cuda|jax|torch|context SECONDS`.

It prints `ready` once it computes or holds a context, and at the end the monotonic moments between
which it did so.
"""

from __future__ import annotations

import ctypes
import json
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

# Replaces this folder, in which a framework's imports would find files of ours.
sys.path[0] = str(Path(__file__).resolve().parents[2] / "src")

from evenground.sidecar.calibration import gpu_load  # noqa: E402
from evenground.sidecar.calibration.loads import sleep_until  # noqa: E402

SIZE = 4096
Work = Callable[[int], None]
at_the_end: list[Callable[[], None]] = []
"""Calls that give the card back."""


def cuda() -> Work:
    """Memory of 256 MiB, written over and over, through the driver alone."""
    card = gpu_load.Card(ctypes.CDLL(gpu_load.LIBRARY))
    card.open()
    card.take()
    at_the_end.append(card.give_back)
    return card.spin_until


def context() -> Work:
    """A context that does nothing."""
    card = gpu_load.Card(ctypes.CDLL(gpu_load.LIBRARY))
    card.open()
    # Only what was taken can be given back.
    at_the_end.extend([card.take, card.give_back])
    return sleep_until


def jax() -> Work:
    """Products of matrices in float32."""
    import jax
    import jax.numpy as jnp

    if jax.default_backend() == "cpu":
        sys.exit("JAX finds no GPU")
    step = jax.jit(lambda x: x @ x / SIZE)
    x = step(jnp.ones((SIZE, SIZE))).block_until_ready()

    def until(moment_ns: int) -> None:
        while time.monotonic_ns() < moment_ns:
            step(x).block_until_ready()

    return until


def torch() -> Work:
    """Products of matrices in float32."""
    import torch

    if not torch.cuda.is_available():
        sys.exit("PyTorch finds no GPU")
    x = torch.ones((SIZE, SIZE), device="cuda")

    def until(moment_ns: int) -> None:
        while time.monotonic_ns() < moment_ns:
            torch.mm(x, x)
            torch.cuda.synchronize()

    return until


def main(kind: str, seconds: str) -> None:
    """Prepare the load, print `ready`, and compute for so many seconds."""
    try:
        work = {"cuda": cuda, "context": context, "jax": jax, "torch": torch}[kind]()
    except Exception as error:
        sys.exit(f"{type(error).__name__}: {error}")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    print("ready", flush=True)
    begin_ns = time.monotonic_ns()
    try:
        work(begin_ns + int(float(seconds) * 1e9))
        end_ns = time.monotonic_ns()
    finally:
        for step in at_the_end:
            step()
    print(json.dumps({"begin_ns": begin_ns, "end_ns": end_ns}), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
