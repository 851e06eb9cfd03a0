"""The parity test (docs/protocol.md): the same weights and batches must give the same numbers.

It makes the data and compares the results; the caller starts the engines.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from evenground.files import sha256_file
from evenground.records.dataset import PREPARED, EmptyClasses, Prepared

CLASSES = 10


@dataclass(frozen=True)
class Tolerance:
    """Absolute differences; losses in nats."""

    loss: float
    statistics: float
    logits: float


@dataclass(frozen=True)
class Case:
    """One comparison: a network on images of `shape` (H,W,C), `steps` of `batch_size` examples."""

    name: str
    network: str
    shape: tuple[int, int, int]
    batch_size: int
    steps: int
    learning_rate: float = 1e-3
    seed: int = 5

    def arguments(self) -> list[str]:
        """The options of a parity command that the case decides."""
        args = ["--network", self.network, "--batch-size", str(self.batch_size)]
        args += ["--steps", str(self.steps), "--learning-rate", str(self.learning_rate)]
        return args + ["--seed", str(self.seed)]


# `odd` has few numbers per channel and sides that do not halve: one step of it shows a biased from
# an unbiased variance, and a padded from a valid pooling, far above rounding. In `cnn` rounding
# grows with every step, because Adam's first steps go by the sign of a gradient however small it
# is; with its seed no gradient is that small, on processors with and without wide vectors.
CASES = (
    Case(name="mlp", network="mlp", shape=(28, 28, 1), batch_size=32, steps=40),
    Case(name="cnn", network="cnn", shape=(32, 32, 3), batch_size=32, steps=10, seed=7),
    Case(name="odd", network="cnn", shape=(13, 17, 3), batch_size=4, steps=1),
)

# No card has been measured yet. The tolerances of `cuda` are above the effect of noise of 3e-7 on
# every product of matrices, wider than those between two engines on a processor, and far below the
# effect of TF32's ten bits (docs/protocol.md).
TOLERANCES: Mapping[str, Mapping[str, Tolerance]] = {
    "cpu": {
        "mlp": Tolerance(loss=1e-6, statistics=0.0, logits=2e-5),
        "cnn": Tolerance(loss=1e-4, statistics=5e-5, logits=5e-4),
        "odd": Tolerance(loss=5e-6, statistics=5e-7, logits=2e-5),
    },
    "cuda": {
        "mlp": Tolerance(loss=2e-5, statistics=0.0, logits=3e-3),
        "cnn": Tolerance(loss=1e-4, statistics=5e-5, logits=2e-3),
        "odd": Tolerance(loss=3e-5, statistics=5e-7, logits=1e-4),
    },
}


def write_dataset(case: Case, folder: Path) -> None:
    """Write a prepared dataset for `case`: blurred patterns, one per class, under noise.

    The first steps * batch_size examples are trained on, 64 tested; all from `case.seed`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(case.seed)
    height, width, channels = case.shape
    # One value for each square of four by four pixels, rounded up at the edges.
    coarse = random.integers(0, 256, (CLASSES, -(-height // 4), -(-width // 4), channels))
    patterns = np.kron(coarse, np.ones((1, 4, 4, 1)))[:, :height, :width]
    sizes = {"train": case.steps * case.batch_size, "test": 64}
    for split, size in sizes.items():
        labels = random.integers(0, CLASSES, size).astype(np.uint8)
        images = patterns[labels] + random.normal(0, 40, (size, height, width, channels))
        np.save(folder / f"{split}_images.npy", np.clip(images, 0, 255).astype(np.uint8))
        np.save(folder / f"{split}_labels.npy", labels)
    record = Prepared(
        name=case.name,
        title=f"parity: {case.name}",
        licence="made here",
        classes=tuple(str(number) for number in range(CLASSES)),
        height=height,
        width=width,
        channels=channels,
        train_examples=sizes["train"],
        test_examples=sizes["test"],
        arrays={path.name: sha256_file(path) for path in sorted(folder.glob("*.npy"))},
        empty_classes=EmptyClasses(training=(), test=()),
    )
    record.write(folder / PREPARED)


def differences(reference: Mapping[str, Any], other: Mapping[str, Any]) -> Tolerance:
    """Largest absolute differences of losses, moving statistics and logits.

    Infinite if shapes differ.
    """
    expected, actual = reference["statistics"], other["statistics"]
    statistics = 0.0
    for name in expected.keys() | actual.keys():
        difference = _largest(expected.get(name, []), actual.get(name, []))
        statistics = max(statistics, difference)
    return Tolerance(
        loss=_largest(reference["losses"], other["losses"]),
        statistics=statistics,
        logits=_largest(reference["logits"], other["logits"]),
    )


def _largest(left: Any, right: Any) -> float:
    """Largest absolute difference of two nested lists of numbers; infinite if shapes differ."""
    a, b = np.asarray(left, np.float64), np.asarray(right, np.float64)
    if a.shape != b.shape or a.size == 0:
        return math.inf
    largest = float(np.abs(a - b).max())
    # NaN compares as smaller than every tolerance.
    return largest if math.isfinite(largest) else math.inf


def disagreements(found: Tolerance, allowed: Tolerance) -> list[str]:
    """Which of the differences `found` are above `allowed`, as text; empty for parity."""
    texts = []
    for name in ("loss", "statistics", "logits"):
        difference, tolerance = getattr(found, name), getattr(allowed, name)
        if difference > tolerance:
            texts.append(f"{name} differ by {difference:.3g}, allowed are {tolerance:.3g}")
    return texts
