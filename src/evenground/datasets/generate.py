"""Datasets that need no network: the digits that scikit-learn ships, and drawn shapes.

Only integer arithmetic on raw 64-bit words of PCG64: NumPy keeps that stream fixed (NEP 19), while
`Generator`'s methods and floating point functions may differ between versions and machines.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from evenground.datasets.formats import Arrays, Bytes
from evenground.datasets.registry import DatasetEntry, DigitsParameters, ShapesParameters
from evenground.errors import EvengroundError

Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]

DIGITS_SIDE, PREPARED_SIDE, DIGITS_TOP = 8, 28, 16
SHAPES_SIDE = 32
GROUND_LEVELS, CONTRAST_LEVELS = 96, 64


class Draws:
    """Uniform integers from PCG64, the same on every machine and for every version of NumPy."""

    def __init__(self, *seed: int) -> None:
        self._words = np.random.PCG64(list(seed))

    def keys(self, count: int) -> NDArray[np.uint64]:
        """`count` raw 64-bit words (count,); sorting by them is a shuffle."""
        return self._words.random_raw(count)

    def below(self, limit: int | Ints, count: int) -> Ints:
        """Integers (count,) in 0..limit-1; `limit`, a number or (count,), is below 2**31."""
        # Multiply and shift: no division, and no rejection that would change the number of words.
        high = (self.keys(count) >> np.uint64(32)).astype(np.int64)
        return (high * limit) >> 32

    def octets(self, count: int) -> Bytes:
        """`count` bytes (count,)."""
        # The words in little-endian order, so that every machine cuts them into the same bytes.
        return self.keys(-(-count // 8)).astype("<u8").view(np.uint8)[:count]


def shuffled(count: int, draws: Draws) -> Ints:
    """A permutation (count,) of 0..count-1."""
    return np.argsort(draws.keys(count), kind="stable").astype(np.int64)


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


def digits(entry: DatasetEntry, parameters: DigitsParameters) -> Arrays:
    """The 1,797 handwritten digits of scikit-learn as 28x28 pictures, shuffled and split by class.

    Raises EvengroundError if scikit-learn ships other digits, or the entry wants another number.
    """
    from sklearn.datasets import load_digits  # slow to import, and only used here

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


def _circle(x: Ints, y: Ints, r: Ints) -> Mask:
    return x * x + y * y <= r * r


def _square(x: Ints, y: Ints, r: Ints) -> Mask:
    return (np.abs(x) * 8 <= r * 7) & (np.abs(y) * 8 <= r * 7)


def _plus(x: Ints, y: Ints, r: Ints) -> Mask:
    ax, ay = np.abs(x), np.abs(y)
    return (np.minimum(ax, ay) * 3 <= r) & (np.maximum(ax, ay) <= r)


def _cross(x: Ints, y: Ints, r: Ints) -> Mask:
    ax, ay = np.abs(x), np.abs(y)
    on_diagonals: Mask = np.abs(ax - ay) * 5 <= r * 2
    return on_diagonals & (np.maximum(ax, ay) <= r)


# One per class, in the order of the registry's class names; x, y and r in half pixels, x and y from
# the centre, y downwards.
SHAPES: tuple[Callable[[Ints, Ints, Ints], Mask], ...] = (
    _circle,
    lambda x, y, r: _circle(x, y, r) & ~_circle(x, y, r * 5 // 8),  # ring
    _square,
    lambda x, y, r: _square(x, y, r) & ~_square(x, y, r * 5 // 8),  # frame
    lambda x, y, r: (np.abs(x) * 2 <= y + r) & (y <= r),  # triangle
    lambda x, y, r: np.abs(x) + np.abs(y) <= r,  # diamond
    _plus,
    _cross,
    lambda x, y, r: _circle(x, y, r) & (y <= 0),  # half disc
    lambda x, y, r: (np.abs(y) * 5 >= r * 2) & (np.abs(y) <= r) & (np.abs(x) <= r),  # two bars
)


def _shape_masks(labels: Bytes, parameters: ShapesParameters, draws: Draws) -> Mask:
    """Pixels (N,32,32) of the shape of each label (N,), of random size and place inside."""
    count, last = len(labels), 2 * (SHAPES_SIDE - 1)
    span = 2 * (parameters.radius_max_px - parameters.radius_min_px) + 1
    radius = 2 * parameters.radius_min_px + draws.below(span, count)
    centre_x = radius + draws.below(last - 2 * radius + 1, count)
    centre_y = radius + draws.below(last - 2 * radius + 1, count)
    grid = 2 * np.arange(SHAPES_SIDE, dtype=np.int64)
    x = grid[None, None, :] - centre_x[:, None, None]
    y = grid[None, :, None] - centre_y[:, None, None]
    x, y = np.broadcast_arrays(x, y)
    masks = np.zeros((count, SHAPES_SIDE, SHAPES_SIDE), np.bool_)
    for label, inside in enumerate(SHAPES):
        chosen = labels == label
        masks[chosen] = inside(x[chosen], y[chosen], radius[chosen][:, None, None])
    return masks


def draw_shapes(count: int, parameters: ShapesParameters, split: int) -> tuple[Bytes, Bytes]:
    """Pictures uint8 (count,32,32,3) with balanced, shuffled labels 0..9 (count,).

    `split` selects the random numbers of a seed. The background is dark (below 96 levels in each
    channel), the shape at least 64 levels lighter; noise is added last.
    """
    draws = Draws(parameters.seed, split)
    labels = (shuffled(count, draws) % len(SHAPES)).astype(np.uint8)
    masks = _shape_masks(labels, parameters, draws)
    ground = draws.below(GROUND_LEVELS, 3 * count).reshape(count, 1, 1, 3)
    step = draws.below(256 - GROUND_LEVELS - CONTRAST_LEVELS, 3 * count).reshape(count, 1, 1, 3)
    colour = ground + CONTRAST_LEVELS + step
    levels = 2 * parameters.noise_levels + 1
    pictures = np.where(masks[..., None], colour, ground)
    octets = draws.octets(pictures.size).astype(np.int16)
    noise = (octets * levels >> 8) - parameters.noise_levels
    pictures = pictures + noise.reshape(pictures.shape)
    return np.clip(pictures, 0, 255).astype(np.uint8), labels


def shapes(entry: DatasetEntry, parameters: ShapesParameters) -> Arrays:
    """Drawn shapes; each split has its own random numbers, so neither size changes the other."""
    train_images, train_labels = draw_shapes(entry.train_examples, parameters, split=0)
    test_images, test_labels = draw_shapes(entry.test_examples, parameters, split=1)
    return Arrays(
        train_images=train_images,
        train_labels=train_labels,
        test_images=test_images,
        test_labels=test_labels,
    )
