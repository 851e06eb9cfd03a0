"""The parity test (docs/protocol.md): the same weights and batches must give the same numbers.

Pure: it makes the data and compares the results; starting the engines is the caller's part.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

CLASSES = 10


@dataclass(frozen=True)
class Tolerance:
    """Largest absolute difference allowed; losses in nats."""

    loss: float
    statistics: float
    logits: float


@dataclass(frozen=True)
class Case:
    """One comparison: a network on images of `shape` (H,W,C), some steps of `batch_size` examples."""

    name: str
    network: str
    shape: tuple[int, int, int]
    batch_size: int
    steps: int
    learning_rate: float = 1e-3
    seed: int = 5

    def arguments(self) -> list[str]:
        """The part of a parity command line that the case decides."""
        given = {
            "network": self.network,
            "batch-size": self.batch_size,
            "steps": self.steps,
            "learning-rate": self.learning_rate,
            "seed": self.seed,
        }
        return [word for key, value in given.items() for word in (f"--{key}", str(value))]


# `odd` has few numbers per channel and sides that do not halve: one step of it shows a biased from an
# unbiased variance, and a padded from a valid pooling, far above rounding. In `cnn` rounding grows with
# every step, for Adam's first steps go by the sign of a gradient however small it is; with its seed no
# gradient is that small, on processors with and without wide vectors.
CASES = (
    Case("mlp", "mlp", (28, 28, 1), batch_size=32, steps=40),
    Case("cnn", "cnn", (32, 32, 3), batch_size=32, steps=10, seed=7),
    Case("odd", "cnn", (13, 17, 3), batch_size=4, steps=1),
)

# No card was measured yet. Those of `cuda` are above what noise of 3e-7 on every product of matrices makes,
# more than two engines on a processor differ by, and far below the ten bits of TF32 (docs/protocol.md).
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

    Random numbers of the seed `case.seed`; the first steps * batch_size examples are trained on, 64 tested.
    """
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(case.seed)
    height, width, channels = case.shape
    coarse = random.integers(0, 256, (CLASSES, -(-height // 4), -(-width // 4), channels))
    patterns = np.kron(coarse, np.ones((1, 4, 4, 1)))[:, :height, :width]
    sizes = {"train": case.steps * case.batch_size, "test": 64}
    arrays: dict[str, npt.NDArray[np.uint8]] = {}
    for split, size in sizes.items():
        labels = random.integers(0, CLASSES, size).astype(np.uint8)
        noisy = patterns[labels] + random.normal(0, 40, (size, *case.shape))
        arrays[f"{split}_images.npy"] = np.clip(noisy, 0, 255).astype(np.uint8)
        arrays[f"{split}_labels.npy"] = labels
    for name, array in arrays.items():
        np.save(folder / name, array)
    (folder / "dataset.json").write_text(
        json.dumps(_description(case, sizes, folder, list(arrays)), indent=1)
    )


def _description(
    case: Case, sizes: Mapping[str, int], folder: Path, arrays: list[str]
) -> dict[str, Any]:
    height, width, channels = case.shape
    return {
        "schema": 2,
        "name": f"parity-{case.name}",
        "title": f"Parity test ({case.name})",
        "classes": [str(number) for number in range(CLASSES)],
        "height": height,
        "width": width,
        "channels": channels,
        "train_examples": sizes["train"],
        "test_examples": sizes["test"],
        "licence": "CC0-1.0",
        "arrays": {
            name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in arrays
        },
    }


def differences(reference: Mapping[str, Any], other: Mapping[str, Any]) -> Tolerance:
    """Largest absolute difference of losses, moving statistics and logits; infinite where shapes differ."""
    names = sorted({*reference["statistics"], *other["statistics"]})
    statistics = [
        _largest(reference["statistics"].get(name, []), other["statistics"].get(name, []))
        for name in names
    ]
    return Tolerance(
        loss=_largest(reference["losses"], other["losses"]),
        statistics=max(statistics, default=0.0),
        logits=_largest(reference["logits"], other["logits"]),
    )


def _largest(left: Any, right: Any) -> float:
    a, b = (np.asarray(values, np.float64) for values in (left, right))
    if a.shape != b.shape or a.size == 0:
        return float("inf")
    largest = np.abs(a - b).max()
    return float(largest) if np.isfinite(largest) else float("inf")


def disagreements(found: Tolerance, allowed: Tolerance) -> list[str]:
    """What of `found` is above `allowed`, in words; empty for parity."""
    return [
        f"{name} differ by {getattr(found, name):.3g}, allowed are {getattr(allowed, name):.3g}"
        for name in ("loss", "statistics", "logits")
        if getattr(found, name) > getattr(allowed, name)
    ]
