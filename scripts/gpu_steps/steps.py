"""The steps of a GPU check: their questions, time limits and requirements."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from gpu_steps import engines, facts, latency, mps, on_tensorflow, sampler
from gpu_steps.bench import Bench

FACTS = "facts"


@dataclass(frozen=True)
class Step:
    """One step, which runs in a process of its own."""

    name: str
    asks: str
    limit_s: float
    work: Callable[[Bench], None]
    needs: str = ""
    """A framework of which an interpreter must be there; empty if none is needed."""
    card: bool = True
    """Whether there must be a card."""
    on_request: bool = False
    """Whether it changes the machine's state, and so is done only if it is named."""


STEPS = [
    Step(FACTS, "driver, cards, settings of the chosen card", 20, facts.facts, card=False),
    Step(
        "core",
        "the machine's class, as this user and as nobody",
        40,
        facts.core,
        needs="core",
        card=False,
    ),
    Step("uuid", "CUDA sees the card that CUDA_VISIBLE_DEVICES names", 40, facts.uuid),
    Step("opening", "time of nvmlInit, alone and beside another client", 60, latency.opening),
    Step("calls", "time of each call of the sidecar's, idle and busy", 60, latency.calls),
    Step("calibrate", "the sidecar's own calibration on the card", 90, sampler.calibrate),
    Step("columns", "its columns beside nvidia-smi", 60, partial(sampler.columns, kind="cuda")),
    Step("columns-jax", "the same beside JAX", 60, partial(sampler.columns, kind="jax"), "jax"),
    Step(
        "columns-torch",
        "the same beside PyTorch",
        60,
        partial(sampler.columns, kind="torch"),
        needs="torch",
    ),
    Step("energy", "energy by counter and by powers, baseline", 40, sampler.energy),
    Step("foreign", "another process on the card is seen", 60, sampler.foreign),
    Step(
        "jax",
        "obeys `cuda`, same seed twice",
        90,
        partial(engines.obedience, engine="jax"),
        needs="jax",
        card=False,
    ),
    Step(
        "jax-parity",
        "numbers on card and processor",
        150,
        partial(engines.parity, engine="jax"),
        needs="jax",
    ),
    Step(
        "jax-memory",
        "memory, libraries",
        90,
        partial(engines.memory, engine="jax", option="preallocate"),
        needs="jax",
    ),
    Step(
        "jax-libraries",
        "another cuDNN beside it",
        90,
        partial(engines.other_libraries, engine="jax"),
        needs="jax",
    ),
    Step("libdevice", "XLA without libdevice and with it", 90, engines.libdevice, needs="jax"),
    Step(
        "keras-finds",
        "whether TensorFlow finds the card",
        90,
        on_tensorflow.finds,
        needs="tensorflow",
    ),
    Step(
        "keras",
        "obeys `cuda`, same seed twice",
        150,
        partial(engines.obedience, engine="keras"),
        needs="tensorflow",
        card=False,
    ),
    Step(
        "keras-kernels",
        "first batch, kernels kept or not",
        200,
        on_tensorflow.kernels,
        needs="tensorflow",
    ),
    Step("keras-feeds", "memory by feed", 120, on_tensorflow.feeds, needs="tensorflow"),
    Step(
        "keras-memory",
        "memory",
        120,
        partial(engines.memory, engine="keras", option="memory_growth"),
        needs="tensorflow",
    ),
    Step(
        "keras-parity",
        "numbers on card and processor",
        200,
        partial(engines.parity, engine="keras"),
        needs="tensorflow",
    ),
    Step(
        "mps",
        "what is seen under MPS, which it starts and ends",
        60,
        mps.columns,
        on_request=True,
    ),
]
BY_NAME = {step.name: step for step in STEPS}
