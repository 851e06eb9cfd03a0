"""One optimiser step of docs/specification.md, and the loop around it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from network import Arrays, HostArrays, Network, apply

Step = Callable[["State", np.ndarray, np.ndarray], "State"]
NO_TOTALS = (np.float32(0), np.int32(0))


class State(NamedTuple):
    """All that a step changes. It lives on the device and is donated: each step reuses its memory."""

    parameters: Arrays
    statistics: Arrays
    momentum: Arrays
    velocity: Arrays
    step: jax.Array  # int32, steps done
    dropout_key: jax.Array
    loss_sum: jax.Array  # of the epoch so far
    correct: jax.Array  # int32, of the epoch so far


def new_state(parameters: HostArrays, statistics: HostArrays, seed: int) -> State:
    """These weights on the device, an optimiser at rest; `seed` decides what dropout drops."""
    momentum, velocity = (
        {name: np.zeros_like(p) for name, p in parameters.items()} for _ in range(2)
    )
    state = State(
        parameters, statistics, momentum, velocity, np.int32(0), jax.random.key(seed), *NO_TOTALS
    )
    return jax.block_until_ready(jax.device_put(state))


def new_epoch(state: State) -> State:
    """`state` with nothing summed yet."""
    loss_sum, correct = NO_TOTALS
    return state._replace(loss_sum=loss_sum, correct=correct)


def adam(
    state: State, gradients: Arrays, learning_rate: float, epsilon: float
) -> tuple[Arrays, ...]:
    """Parameters, momentum and velocity after Keras's Adam: epsilon stands outside the bias correction."""
    beta_1, beta_2 = 0.9, 0.999
    t = (state.step + 1).astype(jnp.float32)
    alpha = learning_rate * jnp.sqrt(1 - beta_2**t) / (1 - beta_1**t)
    momentum = jax.tree.map(lambda m, g: m + (g - m) * (1 - beta_1), state.momentum, gradients)
    velocity = jax.tree.map(lambda v, g: v + (g * g - v) * (1 - beta_2), state.velocity, gradients)
    parameters = jax.tree.map(
        lambda p, m, v: p - m * alpha / (jnp.sqrt(v) + epsilon),
        state.parameters,
        momentum,
        velocity,
    )
    return parameters, momentum, velocity


def make_step(network: Network, learning_rate: float, adam_epsilon: float = 1e-7) -> Step:
    """The compiled step: (state, images, labels) -> state. The state given to it must not be used again."""

    def mean_loss(
        parameters: Arrays, state: State, images: jax.Array, labels: jax.Array
    ) -> tuple[jax.Array, tuple[Arrays, jax.Array]]:
        key = jax.random.fold_in(state.dropout_key, state.step)
        logits, statistics = apply(network, parameters, state.statistics, images, key)
        log_probabilities = jax.nn.log_softmax(logits)
        loss = -jnp.take_along_axis(log_probabilities, labels[:, None], axis=1).mean()
        return loss, (statistics, (logits.argmax(1) == labels).sum(dtype=jnp.int32))

    @partial(jax.jit, donate_argnums=0)
    def step(state: State, images: jax.Array, labels: jax.Array) -> State:
        (loss, (statistics, correct)), gradients = jax.value_and_grad(mean_loss, has_aux=True)(
            state.parameters, state, images, labels
        )
        parameters, momentum, velocity = adam(state, gradients, learning_rate, adam_epsilon)
        return State(
            parameters,
            statistics,
            momentum,
            velocity,
            state.step + 1,
            state.dropout_key,
            state.loss_sum + loss,
            state.correct + correct,
        )

    return step


def predict(network: Network, state: State, images: np.ndarray, batch_size: int) -> np.ndarray:
    """Logits (N, classes) of all images in inference mode, the short last batch too."""
    logits = jax.jit(lambda parameters, statistics, x: apply(network, parameters, statistics, x)[0])
    batches = (images[first : first + batch_size] for first in range(0, len(images), batch_size))
    return np.concatenate([logits(state.parameters, state.statistics, batch) for batch in batches])
