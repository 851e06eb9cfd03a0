"""The two networks of docs/specification.md as PyTorch modules."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from evenground.networks import side_left_px

Weights = dict[str, np.ndarray]
# Keras's.
EPSILON = 1e-3


class Norm(nn.Module):
    """Batch norm as in Keras: moving values of the biased variance, kept by a share of `momentum`."""

    def __init__(self, size: int, momentum: float) -> None:
        super().__init__()
        self.momentum = momentum
        self.gamma = nn.Parameter(torch.ones(size))
        self.beta = nn.Parameter(torch.zeros(size))
        self.register_buffer("moving_mean", torch.zeros(size))
        self.register_buffer("moving_variance", torch.ones(size))

    def forward(self, x: Tensor) -> Tensor:
        """The same shape (N,C,H,W)."""
        mean, variance = self.moving_mean, self.moving_variance
        if self.training:
            # On the CPU `functional.batch_norm` takes a variance off by 1.3e-4 in channels-last,
            # and this is faster.
            variance, mean = torch.var_mean(x, dim=(0, 2, 3), correction=0)
            with torch.no_grad():
                self.moving_mean.lerp_(mean, 1 - self.momentum)
                self.moving_variance.lerp_(variance, 1 - self.momentum)
        scale = self.gamma * torch.rsqrt(variance + EPSILON)
        shift = self.beta - mean * scale
        return x * scale[:, None, None] + shift[:, None, None]


class Mlp(nn.Module):
    """Two dense layers with dropout between them."""

    def __init__(self, shape: tuple[int, int, int], classes: int, dropout: float) -> None:
        super().__init__()
        self.dense_1 = nn.Linear(math.prod(shape), 128)
        self.dense_2 = nn.Linear(128, classes)
        self.dropout = dropout

    def forward(self, images: Tensor) -> Tensor:
        """Logits (N, classes) of images (N,H,W,C)."""
        x = functional.relu(self.dense_1(images.flatten(1)))
        x = functional.dropout(x, self.dropout, self.training)
        logits: Tensor = self.dense_2(x)
        return logits


class Cnn(nn.Module):
    """Two blocks of convolution, ReLU, batch norm and pooling, then two dense layers."""

    def __init__(
        self, shape: tuple[int, int, int], classes: int, dropout: float, momentum: float
    ) -> None:
        super().__init__()
        height, width, channels = shape
        rows, columns = side_left_px("cnn", height), side_left_px("cnn", width)
        self.conv_1 = nn.Conv2d(channels, 32, 3)
        self.norm_1 = Norm(32, momentum)
        self.conv_2 = nn.Conv2d(32, 64, 3)
        self.norm_2 = Norm(64, momentum)
        self.dense_1 = nn.Linear(rows * columns * 64, 64)
        self.dense_2 = nn.Linear(64, classes)
        self.dropout = dropout

    def forward(self, images: Tensor) -> Tensor:
        """Logits (N, classes) of images (N,H,W,C)."""
        # A view: the memory stays channels-last, which PyTorch's convolutions take as it is.
        x = images.permute(0, 3, 1, 2)
        x = functional.max_pool2d(self.norm_1(functional.relu(self.conv_1(x))), 2)
        x = functional.max_pool2d(self.norm_2(functional.relu(self.conv_2(x))), 2)
        # Flattened by row, column, channel, as the specification has it.
        x = x.permute(0, 2, 3, 1).flatten(1)
        x = functional.relu(self.dense_1(x))
        x = functional.dropout(x, self.dropout, self.training)
        logits: Tensor = self.dense_2(x)
        return logits


def build(
    name: str,
    shape: tuple[int, int, int],
    classes: int,
    seed: int,
    dropout: float = 0.5,
    momentum: float = 0.99,
) -> nn.Module:
    """A network with new weights: kernels Glorot uniform, biases zero; `seed` decides them."""
    model: nn.Module
    if name == "mlp":
        model = Mlp(shape, classes, dropout)
    else:
        model = Cnn(shape, classes, dropout, momentum)
    # With numpy, as in the other engines: the same numbers on every device.
    random = np.random.default_rng(seed)
    weights = named_weights(model)
    for weight, values in weights.items():
        if weight.endswith(".kernel"):
            fans = math.prod(values.shape[:-2]) * (values.shape[-2] + values.shape[-1])
            limit = math.sqrt(6 / fans)
            weights[weight] = random.uniform(-limit, limit, values.shape).astype(np.float32)
        elif weight.endswith(".bias"):
            weights[weight] = np.zeros_like(values)
    set_weights(model, weights)
    return model


def named_weights(model: nn.Module) -> Weights:
    """Weights and moving statistics as float32 arrays by canonical name and in canonical shape."""
    found = {}
    for name, values in model.state_dict().items():
        array = values.detach().cpu().numpy()
        found[_canonical(name)] = _turned(array, _canonical(name))
    return found


def set_weights(model: nn.Module, weights: Weights) -> None:
    """Give the network these weights; `weights` has every name of `named_weights`."""
    state = {}
    for name, own in model.state_dict().items():
        values = weights[_canonical(name)]
        if _canonical(name).endswith(".kernel"):
            values = _back(values)
        state[name] = torch.from_numpy(np.ascontiguousarray(values)).to(own.dtype)
    model.load_state_dict(state)


def _canonical(name: str) -> str:
    """PyTorch's `weight` of a layer is a kernel of the specification."""
    return name.replace(".weight", ".kernel")


def _turned(values: np.ndarray, name: str) -> np.ndarray:
    """A kernel (out, in) as (in, out), and (out, in, row, column) as (row, column, in, out)."""
    if not name.endswith(".kernel"):
        return values
    return values.T if values.ndim == 2 else values.transpose(2, 3, 1, 0)


def _back(kernel: np.ndarray) -> np.ndarray:
    """The other way round."""
    return kernel.T if kernel.ndim == 2 else kernel.transpose(3, 2, 0, 1)
