"""The digits that scikit-learn ships, in whole numbers: the same bytes on every machine."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from evenground.datasets.formats.arrays import Arrays, Bytes
from evenground.datasets.formats.draws import Draws, Ints, shuffled
from evenground.datasets.registry import DatasetEntry
from evenground.errors import EvengroundError

DIGITS_SIDE, PREPARED_SIDE, DIGITS_TOP = 8, 28, 16


def read(entry: DatasetEntry, raw: Path) -> Arrays:
    """The 1,797 handwritten digits of scikit-learn as 28x28 pictures, shuffled and split by class.

    Raises EvengroundError if scikit-learn ships other digits, or the entry wants another number.
    """
    from sklearn.datasets import load_digits  # slow to import, and only used here

    parameters = entry.digits
    # The registry has them for this format.
    assert parameters is not None
    bunch = load_digits()
    images, labels = bunch.images.astype(np.uint8), bunch.target.astype(np.uint8)
    sha256 = hashlib.sha256(images.tobytes() + labels.tobytes()).hexdigest()
    if sha256 != parameters.source_sha256:
        raise EvengroundError(
            "scikit-learn ships other digits than the registry names",
            f"dataset '{entry.name}', sha256 {sha256}",
            "use the locked environment of the workflow",
        )
    if entry.train_examples + entry.test_examples != len(labels):
        raise EvengroundError(
            f"train_examples + test_examples is not {len(labels)}",
            f"dataset '{entry.name}'",
            "correct the registry entry",
        )
    train, test = stratified(labels, entry.test_examples, Draws(parameters.seed))
    large = enlarge(images)
    return Arrays(
        train_images=large[train],
        train_labels=labels[train],
        test_images=large[test],
        test_labels=labels[test],
    )


def enlarge(images: Bytes) -> Bytes:
    """(N,8,8) levels 0..16 to (N,28,28,1) levels 0..255: bilinear between pixel centres.

    Output pixel i lies at (i + 1/2) * 8/28 - 1/2 = (4 i - 5) / 14 input pixels, so all weights are
    whole fourteenths and the arithmetic is exact; the result is rounded to the nearest level.
    """
    place = np.clip(4 * np.arange(PREPARED_SIDE) - 5, 0, 14 * (DIGITS_SIDE - 1))
    low, weight = place // 14, place % 14
    high = np.minimum(low + 1, DIGITS_SIDE - 1)
    pixels = images.astype(np.int64)
    rows = pixels[:, low] * (14 - weight)[:, None] + pixels[:, high] * weight[:, None]
    both = rows[:, :, low] * (14 - weight) + rows[:, :, high] * weight
    scale = DIGITS_TOP * 14 * 14
    # Adding half of the divisor rounds to the nearest level.
    levels = (2 * 255 * both + scale) // (2 * scale)
    return np.ascontiguousarray(levels.astype(np.uint8)[..., None])


def stratified(labels: Bytes, test_examples: int, draws: Draws) -> tuple[Ints, Ints]:
    """Shuffled positions of training and test examples, by `labels` (N,).

    Each class gives its share of `test_examples` (largest remainders first, ties to the lower
    class).
    """
    order = shuffled(len(labels), draws)
    counts = np.bincount(labels)
    shares = counts * test_examples // len(labels)
    remainders = counts * test_examples % len(labels)
    shares[np.argsort(-remainders, kind="stable")[: test_examples - int(shares.sum())]] += 1
    is_test = np.zeros(len(labels), np.bool_)
    for label, share in enumerate(shares):
        is_test[order[labels[order] == label][:share]] = True
    return order[~is_test[order]], order[is_test[order]]
