"""IDX files, gzip or not: images and labels, a file each.

Files have been verified before by their registered checksum. What is checked here is whether they
hold what their registry entry says.
"""

from __future__ import annotations

import gzip
import math
import struct
from pathlib import Path

import numpy as np

from evenground.datasets.formats.arrays import Arrays, Bytes, check_labels, damaged, readable
from evenground.datasets.registry import DatasetEntry

IDX_UBYTE = 0x08


def read(entry: DatasetEntry, raw: Path) -> Arrays:
    """The arrays of four IDX files; raises EvengroundError if one is not of its format."""
    paths = {file.role: raw / file.name for file in entry.files}
    train_labels = read_idx(paths["train_labels"], (entry.train_examples,))
    test_labels = read_idx(paths["test_labels"], (entry.test_examples,))
    check_labels(train_labels, len(entry.classes), paths["train_labels"])
    check_labels(test_labels, len(entry.classes), paths["test_labels"])
    return Arrays(
        train_images=_read_images(entry, paths["train_images"], entry.train_examples),
        train_labels=train_labels,
        test_images=_read_images(entry, paths["test_images"], entry.test_examples),
        test_labels=test_labels,
    )


def _read_images(entry: DatasetEntry, path: Path, count: int) -> Bytes:
    """Images (N,H,W,1); an IDX file has no axis for channels."""
    if entry.transposed:
        images = read_idx(path, (count, entry.width, entry.height)).transpose(0, 2, 1)
    else:
        images = read_idx(path, (count, entry.height, entry.width))
    return images[..., None]


def read_idx(path: Path, shape: tuple[int, ...]) -> Bytes:
    """The uint8 array of an IDX file, gzip if its name ends in .gz, which must have this `shape`.

    Format: four magic bytes (0, 0, type 8 = unsigned byte, number of dimensions), each dimension as
    a big-endian 32-bit number, then the values, last dimension fastest. Raises EvengroundError for
    anything else.
    """
    with readable(path):
        content = _content(path)
    n_dimensions = len(shape)
    magic = content[:4]
    if magic != bytes([0, 0, IDX_UBYTE, n_dimensions]):
        what = f"not an IDX file of {n_dimensions} dimensions: magic is 0x{magic.hex()}"
        raise damaged(what, path)
    header_bytes = 4 + 4 * n_dimensions
    if len(content) < header_bytes:
        raise damaged("IDX file ends inside its header", path)
    sizes = struct.unpack_from(f">{n_dimensions}I", content, offset=4)
    if sizes != shape:
        raise damaged(f"IDX file holds {sizes} instead of {shape}", path)
    values = np.frombuffer(content, np.uint8, offset=header_bytes)
    count = math.prod(shape)
    if values.size != count:
        raise damaged(f"IDX file holds {values.size} values instead of {count}", path)
    return values.reshape(shape)


def _content(path: Path) -> bytes:
    if path.suffix != ".gz":
        return path.read_bytes()
    with gzip.open(path, "rb") as stream:
        return stream.read()
