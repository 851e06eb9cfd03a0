"""Which examples of a prepared dataset are on its contact sheet."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import numpy.typing as npt

from evenground.datasets.storage import check_arrays
from evenground.records.contact_sheet import MAX_EXAMPLES, MAX_SIDE_PX, ContactSheet, Example
from evenground.records.dataset import PREPARED, Prepared

# Of up to ten classes the first four examples each are shown, of more classes the first one each.
FEW_CLASSES, OF_FEW, OF_MANY = 10, 4, 1


def contact_sheet(folder: Path) -> ContactSheet:
    """The contact sheet of a prepared folder.

    Raises EvengroundError if the folder is not complete or an array was changed.
    """
    record = Prepared.read(folder / PREPARED)
    check_arrays(folder)
    # Mapped: only the few examples that are shown are read.
    images = np.load(folder / "train_images.npy", mmap_mode="r")
    labels = np.load(folder / "train_labels.npy")
    count, height, width, channels = images.shape
    step = math.ceil(max(height, width) / MAX_SIDE_PX)
    colours = 3 if channels >= 3 else 1
    shown = images[:, ::step, ::step, :colours]
    examples = []
    for number in chosen(labels, len(record.classes)):
        pixels = shown[number].tobytes().hex()
        examples.append(Example(number=number, label=int(labels[number]), pixels=pixels))
    return ContactSheet(
        train_examples=count,
        height=height,
        width=width,
        classes=record.classes,
        shape=shown.shape[1:],
        examples=tuple(examples),
    )


def chosen(labels: npt.NDArray[np.uint8], classes: int) -> list[int]:
    """Numbers of the examples shown, class by class.

    `labels` is (N,); always the first ones in the order of the file, so that nothing is picked.
    """
    each = OF_FEW if classes <= FEW_CLASSES else OF_MANY
    numbers: list[int] = []
    for label in range(classes):
        numbers += np.flatnonzero(labels == label)[:each].tolist()
    return numbers[:MAX_EXAMPLES]
