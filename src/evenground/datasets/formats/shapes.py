"""Drawn shapes, in whole numbers: the same bytes on every machine."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from evenground.datasets.formats.arrays import Arrays, Bytes
from evenground.datasets.formats.draws import Draws, Ints, shuffled
from evenground.datasets.registry import DatasetEntry, ShapesParameters

Mask = NDArray[np.bool_]

SHAPES_SIDE = 32
GROUND_LEVELS, CONTRAST_LEVELS = 96, 64


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


def read(entry: DatasetEntry, raw: Path) -> Arrays:
    """Drawn shapes; each split has its own random numbers, so neither size changes the other."""
    parameters = entry.shapes
    # The registry has them for this format.
    assert parameters is not None
    train_images, train_labels = draw_shapes(entry.train_examples, parameters, split=0)
    test_images, test_labels = draw_shapes(entry.test_examples, parameters, split=1)
    return Arrays(
        train_images=train_images,
        train_labels=train_labels,
        test_images=test_images,
        test_labels=test_labels,
    )
