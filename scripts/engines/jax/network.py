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
    """A network's settings. `convolution` is `patches` or `direct`: two ways to the same sums."""

    name: str
    # Height, width, channels of an image.
    shape: tuple[int, int, int]
    classes: int
    dropout: float = 0.5
    batch_norm_momentum: float = 0.99
    convolution: str = "direct"


def initialise(network: Network, seed: int) -> tuple[HostArrays, HostArrays]:
    """Return new parameters and moving statistics as float32 arrays by canonical name.

    Kernels are Glorot uniform, scales and variances are ones, all else is zeros.
    """
    height, width, channels = network.shape
    if network.name == "mlp":
        kernels = {"dense_1": (height * width * channels, 128), "dense_2": (128, network.classes)}
        norms = {}
    else:
        rows, columns = side_left_px(network.name, height), side_left_px(network.name, width)
        kernels = {
            "conv_1": (3, 3, channels, 32),
            "conv_2": (3, 3, 32, 64),
            "dense_1": (rows * columns * 64, 64),
            "dense_2": (64, network.classes),
        }
        norms = {"norm_1": 32, "norm_2": 64}

    # With numpy: XLA takes seconds to compile a random number generator for every shape.
    random = np.random.default_rng(seed)
    parameters: HostArrays = {}
    for layer, shape in kernels.items():
        # A convolution's fans are its channels times the window's size.
        limit = math.sqrt(6 / (math.prod(shape[:-2]) * (shape[-2] + shape[-1])))
        parameters[f"{layer}.kernel"] = random.uniform(-limit, limit, shape).astype(np.float32)
        parameters[f"{layer}.bias"] = np.zeros(shape[-1], np.float32)
    statistics: HostArrays = {}
    for layer, size in norms.items():
        parameters[f"{layer}.gamma"] = np.ones(size, np.float32)
        parameters[f"{layer}.beta"] = np.zeros(size, np.float32)
        statistics[f"{layer}.moving_mean"] = np.zeros(size, np.float32)
        statistics[f"{layer}.moving_variance"] = np.ones(size, np.float32)
    return parameters, statistics


def apply(
    network: Network,
    parameters: Arrays,
    statistics: Arrays,
    images: jax.Array,
    key: jax.Array | None = None,
) -> tuple[jax.Array, Arrays]:
    """Return logits (N, classes) of images (N,H,W,C), and the new moving statistics.

    With `key`, which decides what dropout drops, in training mode; without it in inference mode.
    """
    training = key is not None
    new_statistics = dict(statistics)

    def dense(layer: str, x: jax.Array) -> jax.Array:
        return x @ parameters[f"{layer}.kernel"] + parameters[f"{layer}.bias"]

    def conv(layer: str, x: jax.Array) -> jax.Array:
        convolve = CONVOLUTIONS[network.convolution]
        return convolve(x, parameters[f"{layer}.kernel"]) + parameters[f"{layer}.bias"]

    def norm(layer: str, x: jax.Array) -> jax.Array:
        mean = statistics[f"{layer}.moving_mean"]
        variance = statistics[f"{layer}.moving_variance"]
        if training:
            kept = network.batch_norm_momentum
            batch_mean, batch_variance = x.mean((0, 1, 2)), x.var((0, 1, 2))
            new_statistics[f"{layer}.moving_mean"] = mean * kept + batch_mean * (1 - kept)
            new_statistics[f"{layer}.moving_variance"] = variance * kept + batch_variance * (
                1 - kept
            )
            mean, variance = batch_mean, batch_variance
        # 1e-3 is Keras's epsilon.
        scale = parameters[f"{layer}.gamma"] * jax.lax.rsqrt(variance + 1e-3)
        return (x - mean) * scale + parameters[f"{layer}.beta"]

    def dropout(x: jax.Array) -> jax.Array:
        if not training or network.dropout == 0:
            return x
        keep = 1 - network.dropout
        return jnp.where(jax.random.bernoulli(key, keep, x.shape), x / keep, 0)

    x = images
    if network.name == "cnn":
        x = max_pool(norm("norm_1", jax.nn.relu(conv("conv_1", x))))
        x = max_pool(norm("norm_2", jax.nn.relu(conv("conv_2", x))))
    x = x.reshape(len(x), -1)
    x = dropout(jax.nn.relu(dense("dense_1", x)))
    return dense("dense_2", x), new_statistics


def max_pool(x: jax.Array) -> jax.Array:
    """The largest values of 2x2 windows of x (N,H,W,C); an odd last row or column is left out.

    On the CPU this is two to three times as fast as `reduce_window`.
    """

    # The gradient follows the choices made here. The gradient of `max` would look for the numbers
    # equal to the result, and XLA may have rounded those differently when it computed them a second
    # time: such windows would lose their gradient.
    def larger(left: jax.Array, right: jax.Array) -> jax.Array:
        return jnp.where(left >= right, left, right)

    n, height, width, channels = x.shape
    rows, columns = height // 2, width // 2
    windows = x[:, : rows * 2, : columns * 2].reshape(n, rows, 2, columns, 2, channels)
    upper = larger(windows[:, :, 0, :, 0], windows[:, :, 0, :, 1])
    lower = larger(windows[:, :, 1, :, 0], windows[:, :, 1, :, 1])
    return larger(upper, lower)


def convolve_direct(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """Convolve x (N,H,W,C) with kernel (R,S,C,F), without padding."""
    return jax.lax.conv_general_dilated(
        x, kernel, (1, 1), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )


def convolve_patches(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """The same as one product over image patches; on the CPU its gradient is the faster one."""
    rows, columns, channels, filters = kernel.shape
    n, height, width = x.shape[0], x.shape[1] - rows + 1, x.shape[2] - columns + 1
    shifted = []
    for i in range(rows):
        for j in range(columns):
            shifted.append(x[:, i : i + height, j : j + width])
    patches = jnp.concatenate(shifted, axis=3)
    patches = patches.reshape(n * height * width, rows * columns * channels)
    return (patches @ kernel.reshape(-1, filters)).reshape(n, height, width, filters)


CONVOLUTIONS: dict[str, Callable[[jax.Array, jax.Array], jax.Array]] = {
    "direct": convolve_direct,
    "patches": convolve_patches,
}
