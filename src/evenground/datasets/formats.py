"""Readers for the published layouts, IDX (gzip) and CIFAR binary (tar.gz); nothing is unpickled."""

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
CIFAR100_COARSE_CLASSES = 20


class Arrays(NamedTuple):
    """A prepared dataset: images uint8 (N,H,W,C), labels uint8 (N,)."""

    train_images: Bytes
    train_labels: Bytes
    test_images: Bytes
    test_labels: Bytes


def damaged(what: str, path: Path) -> EvengroundError:
    """The error for a raw file whose content is not what its format says."""
    again = set_aside(path.with_name("fetched.json"))
    fix = f"correct the registry entry, or, to have it fetched again, {again}"
    return EvengroundError(what, str(path), fix)


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Turn what gzip, zlib, tarfile and the disk raise into one line that names the file."""
    try:
        yield
    except EOFError as error:
        raise damaged("compressed file is truncated", path) from error
    except (gzip.BadGzipFile, zlib.error, tarfile.TarError) as error:
        raise damaged(f"compressed file is corrupt: {error}", path) from error
    except OSError as error:
        raise damaged(f"cannot read it: {error.strerror or error}", path) from error


def read_idx(path: Path, shape: Sequence[int]) -> Bytes:
    """The uint8 array of an IDX file (gzip if its name ends in .gz), which must have exactly `shape`.

    Format: four magic bytes (0, 0, type 8 = unsigned byte, number of dimensions), each dimension as a
    big-endian 32-bit number, then the values, last dimension fastest. EvengroundError for anything else.
    """
    count = math.prod(shape)
    with _readable(path), _open(path) as stream:
        header = stream.read(4)
        if header != bytes([0, 0, IDX_UBYTE, len(shape)]):
            raise damaged(
                f"no IDX file of {len(shape)} dimensions: magic is 0x{header.hex()}", path
            )
        sizes = stream.read(4 * len(shape))
        if len(sizes) < 4 * len(shape):
            raise damaged("IDX file ends inside its header", path)
        found = struct.unpack(f">{len(shape)}I", sizes)
        if found != tuple(shape):
            raise damaged(f"IDX file holds {found} instead of {tuple(shape)}", path)
        values = stream.read(count)
        if len(values) < count:
            raise damaged(f"IDX file ends after {len(values)} of {count} values", path)
        if stream.read(1):
            raise damaged(f"IDX file goes on after its {count} values", path)
    return np.frombuffer(values, np.uint8).reshape(shape)


def _open(path: Path) -> IO[bytes]:
    return cast(IO[bytes], gzip.open(path, "rb")) if path.suffix == ".gz" else path.open("rb")


def check_labels(labels: Bytes, classes: int, path: Path, what: str = "label") -> None:
    """EvengroundError if a label is not below `classes`; says which and where."""
    wrong = np.flatnonzero(labels >= classes)
    if wrong.size:
        raise damaged(
            f"{what} {labels[wrong[0]]} of record {wrong[0]} is not in 0..{classes - 1}", path
        )


def read_cifar(
    path: Path,
    members: tuple[Sequence[str], Sequence[str]],
    counts: tuple[int, int],
    classes: int,
    coarse: bool,
) -> Arrays:
    """Training and test arrays out of a CIFAR binary archive (tar.gz), reading only the named `members`.

    Record: with `coarse` one byte 0..19 of the superclass, then one byte label, then 3,072 bytes: 1,024 red,
    1,024 green, 1,024 blue, row by row. `counts` are the wanted numbers of training and test examples. Raises
    EvengroundError if a member is missing, doubled or of another size, or a label is out of range.
    """
    record_bytes = 1 + coarse + CIFAR_CHANNELS * CIFAR_SIDE**2
    found = _members(path, [*members[0], *members[1]], sum(counts) * record_bytes)
    halves = [
        _records(b"".join(found[name] for name in names), count, record_bytes, split, path)
        for names, count, split in zip(members, counts, ("training", "test"), strict=True)
    ]
    for records in halves:
        if coarse:
            check_labels(records[:, 0], CIFAR100_COARSE_CLASSES, path, "superclass")
        check_labels(records[:, int(coarse)], classes, path)
    (train, test), first = halves, 1 + coarse
    return Arrays(
        _pictures(train[:, first:]),
        train[:, first - 1].copy(),
        _pictures(test[:, first:]),
        test[:, first - 1].copy(),
    )


def _members(path: Path, names: Sequence[str], limit_bytes: int) -> dict[str, bytes]:
    """Contents of the named regular members, at most `limit_bytes` in all; each must be there once."""
    found: dict[str, bytes] = {}
    with _readable(path), tarfile.open(path, "r:gz") as archive:
        for info in archive:
            # Archives made with `tar -C folder .` call their members `./a/b`.
            name = plain_member(info.name)
            if name not in names:
                continue
            # A sparse file may claim any size; tarfile calls it regular, too.
            if name in found or not info.isreg() or info.issparse():
                raise damaged(f"archive member {name} is doubled or no regular file", path)
            if info.size + sum(map(len, found.values())) > limit_bytes:
                raise damaged(f"archive member {name} is too long: {info.size} bytes", path)
            found[name] = _whole(archive, info, path)
    missing = [name for name in names if name not in found]
    if missing:
        raise damaged(f"archive has no member {missing[0]}", path)
    return found


def _whole(archive: tarfile.TarFile, info: tarfile.TarInfo, path: Path) -> bytes:
    stream = archive.extractfile(info)
    content = b"" if stream is None else stream.read()
    if len(content) != info.size:
        raise damaged(
            f"archive member {info.name} ends after {len(content)} of {info.size} bytes", path
        )
    return content


def _records(content: bytes, count: int, record_bytes: int, split: str, path: Path) -> Bytes:
    if len(content) != count * record_bytes:
        raise damaged(
            f"{split} members hold {len(content)} bytes instead of {count} records of {record_bytes} bytes",
            path,
        )
    return np.frombuffer(content, np.uint8).reshape(count, record_bytes)


def _pictures(planes: Bytes) -> Bytes:
    """(N, 3*32*32) colour planes to (N,32,32,3), channels last."""
    stacked = planes.reshape(-1, CIFAR_CHANNELS, CIFAR_SIDE, CIFAR_SIDE)
    return np.ascontiguousarray(stacked.transpose(0, 2, 3, 1))
