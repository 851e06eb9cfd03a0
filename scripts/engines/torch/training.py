"""One optimiser step of docs/specification.md, and inference."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

BETA_1, BETA_2 = 0.9, 0.999


class Adam:
    """Adam with Keras's formula: epsilon outside of the bias correction, its step in float32."""

    def __init__(self, parameters: Iterable[nn.Parameter], learning_rate: float, epsilon: float):
        self.parameters = list(parameters)
        self.learning_rate = np.float32(learning_rate)
        self.epsilon = epsilon
        self.steps = 0
        self.momentum = [torch.zeros_like(values) for values in self.parameters]
        self.velocity = [torch.zeros_like(values) for values in self.parameters]

    @torch.no_grad()
    def step(self) -> None:
        """Change the parameters by their gradients, and forget these."""
        self.steps += 1
        gradients = [values.grad for values in self.parameters]
        torch._foreach_lerp_(self.momentum, gradients, 1 - BETA_1)
        squares = torch._foreach_mul(gradients, gradients)
        torch._foreach_lerp_(self.velocity, squares, 1 - BETA_2)
        divisors = torch._foreach_sqrt(self.velocity)
        torch._foreach_add_(divisors, self.epsilon)
        torch._foreach_addcdiv_(self.parameters, self.momentum, divisors, value=-self._alpha())
        for values in self.parameters:
            values.grad = None

    def _alpha(self) -> float:
        """The step size with both bias corrections; in double it is off by 6e-6 from Keras's."""
        t, one = np.float32(self.steps), np.float32(1)
        power_1, power_2 = np.float32(BETA_1) ** t, np.float32(BETA_2) ** t
        return float(self.learning_rate * np.sqrt(one - power_2) / (one - power_1))


class Step:
    """A training step; sums loss and correct answers of an epoch on the device."""

    def __init__(self, model: nn.Module, optimiser: Adam, device: torch.device) -> None:
        self.model = model
        self.optimiser = optimiser
        self.device = device
        self.new_epoch()

    def new_epoch(self) -> None:
        """Set both sums to zero."""
        self.loss_sum = torch.zeros((), device=self.device)
        self.correct = torch.zeros((), dtype=torch.int64, device=self.device)

    def __call__(self, images: Tensor, labels: Tensor) -> None:
        """Train on images (N,H,W,C) and labels (N,)."""
        images, labels = images.to(self.device), labels.to(self.device)
        logits = self.model(images)
        loss = functional.cross_entropy(logits, labels)
        loss.backward()
        self.optimiser.step()
        self.loss_sum += loss.detach()
        self.correct += (logits.detach().argmax(1) == labels).sum()


@torch.inference_mode()
def predict(
    model: nn.Module, images: np.ndarray, batch_size: int, device: torch.device
) -> np.ndarray:
    """Logits (N, classes) of images (N,H,W,C) in inference mode, the short last batch too."""
    model.eval()
    batches = []
    for batch in torch.from_numpy(images).split(batch_size):
        batches.append(model(batch.to(device)).cpu())
    return torch.cat(batches).numpy()
