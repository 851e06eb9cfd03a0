"""CIFAR's binary archives (tar.gz); nothing is unpickled.

Files have been verified before by their registered checksum. What is checked here is whether they
hold what their registry entry says.
"""

from __future__ import annotations

import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import IO, cast

import numpy as np

from evenground.datasets.formats.arrays import Arrays, Bytes, check_labels, damaged, readable
from evenground.datasets.registry import DatasetEntry, plain_member

CIFAR_SIDE, CIFAR_CHANNELS = 32, 3
CIFAR_PIXEL_BYTES = CIFAR_CHANNELS * CIFAR_SIDE**2


def read(entry: DatasetEntry, raw: Path) -> Arrays:
    """The arrays of an archive; raises EvengroundError if it is not of its format."""
    (file,) = entry.files
    path, classes, coarse = raw / file.name, len(entry.classes), entry.format == "cifar100-binary"
    train = read_cifar(path, file.train_members, entry.train_examples, classes, coarse)
    test = read_cifar(path, file.test_members, entry.test_examples, classes, coarse)
    return Arrays(
        train_images=train[0], train_labels=train[1], test_images=test[0], test_labels=test[1]
    )


def read_cifar(
    path: Path, members: Sequence[str], count: int, classes: int, coarse: bool
) -> tuple[Bytes, Bytes]:
    """Images (N,32,32,3) and labels (N,) from the named members of a CIFAR binary archive (tar.gz).

    Record: with `coarse` one byte 0..19 for the superclass, then one byte label, then 3,072 bytes:
    1,024 red, 1,024 green, 1,024 blue, row by row. `count`: the required number of records. Raises
    EvengroundError if a member is missing, the number differs, or a label is out of range.
    """
    label_bytes = 2 if coarse else 1
    record_bytes = label_bytes + CIFAR_PIXEL_BYTES
    content = _members(path, members)
    if len(content) != count * record_bytes:
        what = f"{', '.join(members)} hold {len(content)} bytes"
        raise damaged(f"{what} instead of {count} records of {record_bytes} bytes", path)
    records = np.frombuffer(content, np.uint8).reshape(count, record_bytes)
    # The label proper comes after the superclass, which is not used.
    labels = records[:, label_bytes - 1].copy()
    check_labels(labels, classes, path)
    planes = records[:, label_bytes:].reshape(-1, CIFAR_CHANNELS, CIFAR_SIDE, CIFAR_SIDE)
    # From one plane per colour to channels last.
    images = np.ascontiguousarray(planes.transpose(0, 2, 3, 1))
    return images, labels


def _members(path: Path, names: Sequence[str]) -> bytes:
    """Contents of the named regular members of an archive, one after the other."""
    contents: dict[str, bytes] = {}
    with readable(path), tarfile.open(path, "r:gz") as archive:
        for info in archive:
            name = plain_member(info.name)
            if name in names and info.isreg():
                # `extractfile` returns None only for members that are not regular.
                contents[name] = cast(IO[bytes], archive.extractfile(info)).read()
    for name in names:
        if name not in contents:
            raise damaged(f"archive has no member {name}", path)
    return b"".join(contents[name] for name in names)
