"""One optimiser step of docs/specification.md, its state, and inference."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from network import Arrays, HostArrays, Network, apply

Step = Callable[["State", np.ndarray, np.ndarray], "State"]


class State(NamedTuple):
    """All that a step changes; weights by canonical name.

    It is on the device and donated to each step, which reuses its memory.
    """

    parameters: Arrays
    statistics: Arrays
    momentum: Arrays
    velocity: Arrays
    step: jax.Array  # int32, steps done
    dropout_key: jax.Array
    loss_sum: jax.Array  # of the epoch so far
    correct: jax.Array  # int32, of the epoch so far


def new_state(parameters: HostArrays, statistics: HostArrays, seed: int) -> State:
    """Put weights on the device, with an optimiser at rest; `seed` decides what dropout drops."""
    state = State(
        parameters=parameters,
        statistics=statistics,
        momentum={name: np.zeros_like(values) for name, values in parameters.items()},
        velocity={name: np.zeros_like(values) for name, values in parameters.items()},
        step=np.int32(0),
        dropout_key=jax.random.key(seed),
        loss_sum=np.float32(0),
        correct=np.int32(0),
    )
    return jax.block_until_ready(jax.device_put(state))


def new_epoch(state: State) -> State:
    """The state with the sums of an epoch set to zero."""
    return state._replace(loss_sum=np.float32(0), correct=np.int32(0))


def adam(
    state: State, gradients: Arrays, learning_rate: float, epsilon: float
) -> tuple[Arrays, Arrays, Arrays]:
    """Parameters, momentum and velocity after one step of Adam; all dicts by canonical name."""
    beta_1, beta_2 = 0.9, 0.999
    t = (state.step + 1).astype(jnp.float32)
    # As in Keras, epsilon is outside the bias correction.
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
    """Return the compiled step: (state, images (N,H,W,C), labels (N,)) -> state.

    The state that it takes must not be used again.
    """

    def mean_loss(
        parameters: Arrays, state: State, images: jax.Array, labels: jax.Array
    ) -> tuple[jax.Array, tuple[Arrays, jax.Array]]:
        key = jax.random.fold_in(state.dropout_key, state.step)
        logits, statistics = apply(network, parameters, state.statistics, images, key)
        log_probabilities = jax.nn.log_softmax(logits)
        loss = -jnp.take_along_axis(log_probabilities, labels[:, None], axis=1).mean()
        correct = (logits.argmax(1) == labels).sum(dtype=jnp.int32)
        return loss, (statistics, correct)

    gradient = jax.value_and_grad(mean_loss, has_aux=True)

    @partial(jax.jit, donate_argnums=0)
    def step(state: State, images: jax.Array, labels: jax.Array) -> State:
        (loss, (statistics, correct)), gradients = gradient(state.parameters, state, images, labels)
        parameters, momentum, velocity = adam(state, gradients, learning_rate, adam_epsilon)
        return State(
            parameters=parameters,
            statistics=statistics,
            momentum=momentum,
            velocity=velocity,
            step=state.step + 1,
            dropout_key=state.dropout_key,
            loss_sum=state.loss_sum + loss,
            correct=state.correct + correct,
        )

    return step


def predict(network: Network, state: State, images: np.ndarray, batch_size: int) -> np.ndarray:
    """Logits (N, classes) of images (N,H,W,C) in inference mode, the short last batch too."""
    logits = jax.jit(lambda parameters, statistics, x: apply(network, parameters, statistics, x)[0])
    batches = []
    for first in range(0, len(images), batch_size):
        batch = images[first : first + batch_size]
        batches.append(logits(state.parameters, state.statistics, batch))
    return np.concatenate(batches)
