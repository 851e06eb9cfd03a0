"""The two networks of docs/specification.md in plain JAX.

Weights are a dict by canonical name (`dense_1.kernel`): `Arrays`. Trained parameters and the moving
statistics of batch norm are two such dicts, for only the former have gradients.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

from evenground.networks import side_left_px

Arrays = dict[str, jax.Array]
HostArrays = dict[str, np.ndarray]


@dataclass(frozen=True)
class Network:
    """What is trained. `convolution` is `patches` or `direct`: the same sums, computed in two ways."""

    name: str
    shape: tuple[int, int, int]
    classes: int
    dropout: float = 0.5
    batch_norm_momentum: float = 0.99
    convolution: str = "direct"


def initialise(network: Network, seed: int) -> tuple[HostArrays, HostArrays]:
    """New parameters and moving statistics: Glorot uniform kernels, ones for scales, else zeros.

    With numpy, for XLA takes seconds to compile a random number generator for every shape.
    """
    height, width, channels = network.shape
    if network.name == "mlp":
        kernels = {"dense_1": (height * width * channels, 128), "dense_2": (128, network.classes)}
        norms = {}
    else:
        rows, columns = (side_left_px(network.name, size_px) for size_px in (height, width))
        kernels = {
            "conv_1": (3, 3, channels, 32),
            "conv_2": (3, 3, 32, 64),
            "dense_1": (rows * columns * 64, 64),
            "dense_2": (64, network.classes),
        }
        norms = {"norm_1": 32, "norm_2": 64}

    random = np.random.default_rng(seed)
    parameters: HostArrays = {}
    for layer, shape in kernels.items():
        limit = math.sqrt(6 / (math.prod(shape[:-2]) * (shape[-2] + shape[-1])))
        parameters[f"{layer}.kernel"] = random.uniform(-limit, limit, shape).astype(np.float32)
        parameters[f"{layer}.bias"] = np.zeros(shape[-1], np.float32)
    statistics: HostArrays = {}
    for layer, size in norms.items():
        zeros, ones = np.zeros(size, np.float32), np.ones(size, np.float32)
        parameters |= {f"{layer}.gamma": ones, f"{layer}.beta": zeros}
        statistics |= {f"{layer}.moving_mean": zeros, f"{layer}.moving_variance": ones}
    return parameters, statistics


def apply(
    network: Network,
    parameters: Arrays,
    statistics: Arrays,
    images: jax.Array,
    key: jax.Array | None = None,
) -> tuple[jax.Array, Arrays]:
    """Logits (N, classes) and new moving statistics. With `key` in training mode, else in inference mode."""
    new = dict(statistics)

    def dense(layer: str, x: jax.Array) -> jax.Array:
        return x @ parameters[f"{layer}.kernel"] + parameters[f"{layer}.bias"]

    def conv(layer: str, x: jax.Array) -> jax.Array:
        convolve = CONVOLUTIONS[network.convolution]
        return convolve(x, parameters[f"{layer}.kernel"]) + parameters[f"{layer}.bias"]

    def norm(layer: str, x: jax.Array) -> jax.Array:
        names = f"{layer}.moving_mean", f"{layer}.moving_variance"
        mean, variance = (statistics[name] for name in names)
        if key is not None:
            mean, variance = x.mean((0, 1, 2)), x.var((0, 1, 2))
            kept = network.batch_norm_momentum
            for name, moment in zip(names, (mean, variance), strict=True):
                new[name] = statistics[name] * kept + moment * (1 - kept)
        scale = parameters[f"{layer}.gamma"] * jax.lax.rsqrt(variance + 1e-3)
        return (x - mean) * scale + parameters[f"{layer}.beta"]

    def dropout(x: jax.Array) -> jax.Array:
        if key is None or network.dropout == 0:
            return x
        keep = 1 - network.dropout
        return jnp.where(jax.random.bernoulli(key, keep, x.shape), x / keep, 0)

    x = images
    if network.name == "cnn":
        x = max_pool(norm("norm_1", jax.nn.relu(conv("conv_1", x))))
        x = max_pool(norm("norm_2", jax.nn.relu(conv("conv_2", x))))
    x = x.reshape(len(x), -1)
    x = dropout(jax.nn.relu(dense("dense_1", x)))
    return dense("dense_2", x), new


def max_pool(x: jax.Array) -> jax.Array:
    """2x2 windows side by side; an odd last row or column is left out.

    On the CPU twice to three times as fast as `reduce_window`. The gradient follows the choices made
    here. That of `max` instead looks for the numbers equal to the result, and XLA may have rounded
    those differently when it computed them a second time: windows then lose their gradient.
    """

    def larger(left: jax.Array, right: jax.Array) -> jax.Array:
        return jnp.where(left >= right, left, right)

    n, height, width, channels = x.shape
    x = x[:, : height // 2 * 2, : width // 2 * 2].reshape(
        n, height // 2, 2, width // 2, 2, channels
    )
    upper, lower = (
        larger(x[:, :, 0, :, 0], x[:, :, 0, :, 1]),
        larger(x[:, :, 1, :, 0], x[:, :, 1, :, 1]),
    )
    return larger(upper, lower)


def convolve_direct(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """Valid convolution of x (N,H,W,C) with kernel (R,S,C,F)."""
    return jax.lax.conv_general_dilated(
        x, kernel, (1, 1), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )


def convolve_patches(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """The same as one matrix product over image patches: on the CPU its gradient is the faster one."""
    rows, columns, channels, filters = kernel.shape
    n, height, width = x.shape[0], x.shape[1] - rows + 1, x.shape[2] - columns + 1
    shifted = [x[:, i : i + height, j : j + width] for i in range(rows) for j in range(columns)]
    patches = jnp.concatenate(shifted, axis=3).reshape(
        n * height * width, rows * columns * channels
    )
    return (patches @ kernel.reshape(-1, filters)).reshape(n, height, width, filters)


CONVOLUTIONS: dict[str, Callable[[jax.Array, jax.Array], jax.Array]] = {
    "direct": convolve_direct,
    "patches": convolve_patches,
}
