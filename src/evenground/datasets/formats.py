"""Readers for the published layouts, IDX (gzip) and CIFAR binary (tar.gz); nothing is unpickled.

Files have been verified before by their registered checksum. What is checked here is whether they
hold what their registry entry says.
"""

from __future__ import annotations

import gzip
import math
import struct
import tarfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from evenground.datasets.registry import plain_member
from evenground.errors import EvengroundError, set_aside

Bytes = NDArray[np.uint8]

IDX_UBYTE = 0x08
CIFAR_SIDE, CIFAR_CHANNELS = 32, 3
CIFAR_PIXEL_BYTES = CIFAR_CHANNELS * CIFAR_SIDE**2


class Arrays(NamedTuple):
    """A prepared dataset: images uint8 (N,H,W,C), labels uint8 (N,)."""

    train_images: Bytes
    train_labels: Bytes
    test_images: Bytes
    test_labels: Bytes


def damaged(what: str, path: Path) -> EvengroundError:
    """The error for a raw file whose content is not what its format requires."""
    again = set_aside(path.with_name("fetched.json"))
    fix = f"correct the registry entry, or, to have it fetched again, {again}"
    return EvengroundError(what, str(path), fix)


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Turn the errors of gzip, zlib, tarfile and the disk into one line that names the file."""
    try:
        yield
    except EOFError as error:
        raise damaged("compressed file is truncated", path) from error
    except (gzip.BadGzipFile, zlib.error, tarfile.TarError) as error:
        raise damaged(f"compressed file is corrupt: {error}", path) from error
    except OSError as error:
        raise damaged(f"cannot read it: {error.strerror or error}", path) from error


def read_idx(path: Path, shape: tuple[int, ...]) -> Bytes:
    """The uint8 array of an IDX file, gzip if its name ends in .gz, which must have this `shape`.

    Format: four magic bytes (0, 0, type 8 = unsigned byte, number of dimensions), each dimension as
    a big-endian 32-bit number, then the values, last dimension fastest. Raises EvengroundError for
    anything else.
    """
    with _readable(path):
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


def check_labels(labels: Bytes, classes: int, path: Path) -> None:
    """Check that labels (N,) are below `classes`. Raises EvengroundError for the first other."""
    wrong = np.flatnonzero(labels >= classes)
    if wrong.size:
        first = wrong[0]
        what = f"label {labels[first]} of record {first} is not in 0..{classes - 1}"
        raise damaged(what, path)


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
    with _readable(path), tarfile.open(path, "r:gz") as archive:
        for info in archive:
            name = plain_member(info.name)
            if name in names and info.isreg():
                # `extractfile` returns None only for members that are not regular.
                contents[name] = cast(IO[bytes], archive.extractfile(info)).read()
    for name in names:
        if name not in contents:
            raise damaged(f"archive has no member {name}", path)
    return b"".join(contents[name] for name in names)
