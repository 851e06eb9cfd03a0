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
    Step(
        name=FACTS,
        asks="driver, cards, settings of the chosen card",
        limit_s=20,
        work=facts.facts,
        card=False,
    ),
    Step(
        name="core",
        asks="the machine's class, as this user and as nobody",
        limit_s=40,
        work=facts.core,
        needs="core",
        card=False,
    ),
    Step(
        name="uuid",
        asks="CUDA sees the card that CUDA_VISIBLE_DEVICES names",
        limit_s=40,
        work=facts.uuid,
    ),
    Step(
        name="opening",
        asks="time of nvmlInit, alone and beside another client",
        limit_s=60,
        work=latency.opening,
    ),
    Step(
        name="calls",
        asks="time of each call of the sidecar's, idle and busy",
        limit_s=60,
        work=latency.calls,
    ),
    Step(
        name="calibrate",
        asks="the sidecar's own calibration on the card",
        limit_s=90,
        work=sampler.calibrate,
    ),
    Step(
        name="columns",
        asks="its columns beside nvidia-smi",
        limit_s=60,
        work=partial(sampler.columns, kind="cuda"),
    ),
    Step(
        name="columns-jax",
        asks="the same beside JAX",
        limit_s=60,
        work=partial(sampler.columns, kind="jax"),
        needs="jax",
    ),
    Step(
        name="columns-torch",
        asks="the same beside PyTorch",
        limit_s=60,
        work=partial(sampler.columns, kind="torch"),
        needs="torch",
    ),
    Step(
        name="energy",
        asks="energy by counter and by powers, baseline",
        limit_s=40,
        work=sampler.energy,
    ),
    Step(
        name="foreign",
        asks="another process on the card is seen",
        limit_s=60,
        work=sampler.foreign,
    ),
    Step(
        name="jax",
        asks="obeys `cuda`, same seed twice",
        limit_s=90,
        work=partial(engines.obedience, engine="jax"),
        needs="jax",
        card=False,
    ),
    Step(
        name="jax-parity",
        asks="numbers on card and processor",
        limit_s=150,
        work=partial(engines.parity, engine="jax"),
        needs="jax",
    ),
    Step(
        name="jax-memory",
        asks="memory, libraries",
        limit_s=90,
        work=partial(engines.memory, engine="jax", option="preallocate"),
        needs="jax",
    ),
    Step(
        name="jax-libraries",
        asks="another cuDNN beside it",
        limit_s=90,
        work=partial(engines.other_libraries, engine="jax"),
        needs="jax",
    ),
    Step(
        name="libdevice",
        asks="XLA without libdevice and with it",
        limit_s=90,
        work=engines.libdevice,
        needs="jax",
    ),
    Step(
        name="keras-finds",
        asks="whether TensorFlow finds the card",
        limit_s=90,
        work=on_tensorflow.finds,
        needs="tensorflow",
    ),
    Step(
        name="keras",
        asks="obeys `cuda`, same seed twice",
        limit_s=150,
        work=partial(engines.obedience, engine="keras"),
        needs="tensorflow",
        card=False,
    ),
    Step(
        name="keras-kernels",
        asks="first batch, kernels kept or not",
        limit_s=200,
        work=on_tensorflow.kernels,
        needs="tensorflow",
    ),
    Step(
        name="keras-feeds",
        asks="memory by feed",
        limit_s=120,
        work=on_tensorflow.feeds,
        needs="tensorflow",
    ),
    Step(
        name="keras-memory",
        asks="memory",
        limit_s=120,
        work=partial(engines.memory, engine="keras", option="memory_growth"),
        needs="tensorflow",
    ),
    Step(
        name="keras-parity",
        asks="numbers on card and processor",
        limit_s=200,
        work=partial(engines.parity, engine="keras"),
        needs="tensorflow",
    ),
    Step(
        name="mps",
        asks="what is seen under MPS, which it starts and ends",
        limit_s=60,
        work=mps.columns,
        on_request=True,
    ),
]
BY_NAME = {step.name: step for step in STEPS}
