"""The steps of a GPU check: what each asks, how long it may take, what it needs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from gpu_steps import engines, facts, latency, mps, on_tensorflow, sampler
from gpu_steps.bench import Bench

FACTS = "facts"
Work = Callable[..., None]


@dataclass(frozen=True)
class Step:
    """One step, which runs in a process of its own."""

    name: str
    asks: str
    limit_s: float
    work: Callable[[Bench], None]
    needs: str = ""
    """A framework of which an interpreter must be there."""
    card: bool = True
    """Whether there must be a card."""
    on_request: bool = False
    """Whether it changes the machine's state, and so is done only where it is named."""


def with_jax(
    name: str, asks: str, limit_s: float, work: Work, card: bool = True, **named: str
) -> Step:
    """A step that needs JAX."""
    return Step(name, asks, limit_s, partial(work, **named), needs="jax", card=card)


def with_keras(
    name: str, asks: str, limit_s: float, work: Work, card: bool = True, **named: str
) -> Step:
    """A step that needs TensorFlow."""
    return Step(name, asks, limit_s, partial(work, **named), needs="tensorflow", card=card)


OF_THE_MACHINE = (
    Step(FACTS, "driver, cards, settings of the chosen card", 20, facts.facts, card=False),
    Step(
        "core",
        "the machine's class, as this user and as nobody",
        40,
        facts.core,
        "core",
        card=False,
    ),
    Step("uuid", "CUDA sees the card that CUDA_VISIBLE_DEVICES names", 40, facts.uuid),
    Step("opening", "time of nvmlInit, alone and beside another client", 60, latency.opening),
    Step("calls", "time of each call of the sidecar's, idle and busy", 60, latency.calls),
)
OF_THE_SIDECAR = (
    Step("calibrate", "the sidecar's own calibration on the card", 90, sampler.calibrate),
    Step("columns", "its columns beside nvidia-smi", 60, partial(sampler.columns, kind="cuda")),
    Step("columns-jax", "the same beside JAX", 60, partial(sampler.columns, kind="jax"), "jax"),
    Step(
        "columns-torch",
        "the same beside PyTorch",
        60,
        partial(sampler.columns, kind="torch"),
        "torch",
    ),
    Step("energy", "energy by counter and by powers, baseline", 40, sampler.energy),
    Step("foreign", "another process on the card is seen", 60, sampler.foreign),
)
OF_JAX = (
    with_jax(
        "jax", "obeys `cuda`, same seed twice", 90, engines.obedience, card=False, engine="jax"
    ),
    with_jax("jax-parity", "numbers on card and processor", 150, engines.parity, engine="jax"),
    with_jax(
        "jax-memory", "memory, libraries", 90, engines.memory, engine="jax", option="preallocate"
    ),
    with_jax("jax-libraries", "another cuDNN beside it", 90, engines.other_libraries, engine="jax"),
    with_jax("libdevice", "XLA without libdevice and with it", 90, engines.libdevice),
)
OF_KERAS = (
    with_keras("keras-finds", "whether TensorFlow finds the card", 90, on_tensorflow.finds),
    with_keras(
        "keras", "obeys `cuda`, same seed twice", 150, engines.obedience, card=False, engine="keras"
    ),
    with_keras(
        "keras-kernels", "first batch, kernels kept or not", 200, on_tensorflow.compiled_anew
    ),
    with_keras("keras-feeds", "memory by feed", 120, on_tensorflow.feeds),
    with_keras(
        "keras-memory", "memory", 120, engines.memory, engine="keras", option="memory_growth"
    ),
    with_keras(
        "keras-parity", "numbers on card and processor", 200, engines.parity, engine="keras"
    ),
)
ON_REQUEST = (
    Step(
        "mps", "what is seen under MPS, which it starts and ends", 60, mps.columns, on_request=True
    ),
)
STEPS = (*OF_THE_MACHINE, *OF_THE_SIDECAR, *OF_JAX, *OF_KERAS, *ON_REQUEST)
BY_NAME = {step.name: step for step in STEPS}
