"""The arrays of a dataset, whatever its format: their form, their labels, their files."""

from __future__ import annotations

import gzip
import io
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from evenground.errors import EvengroundError, set_aside
from evenground.files import sha256_bytes, writing

Bytes = NDArray[np.uint8]


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
def readable(path: Path) -> Iterator[None]:
    """Turn the errors of gzip, zlib, tarfile and the disk into an EvengroundError with the file."""
    try:
        yield
    except EOFError as error:
        raise damaged("compressed file is truncated", path) from error
    except (gzip.BadGzipFile, zlib.error, tarfile.TarError) as error:
        raise damaged(f"compressed file is corrupt: {error}", path) from error
    except OSError as error:
        raise damaged(f"cannot read it: {error.strerror or error}", path) from error


def check_labels(labels: Bytes, classes: int, path: Path) -> None:
    """Check that labels (N,) are below `classes`. Raises EvengroundError for the first other."""
    wrong = np.flatnonzero(labels >= classes)
    if wrong.size:
        first = wrong[0]
        what = f"label {labels[first]} of record {first} is not in 0..{classes - 1}"
        raise damaged(what, path)


def save(path: Path, array: Bytes) -> str:
    """Write one .npy file (format version 1.0, C order); returns its SHA-256.

    Raises EvengroundError if it cannot be written.
    """
    # NumPy's own writing to a file does not tell a full disk from other errors.
    buffer = io.BytesIO()
    np.save(buffer, np.ascontiguousarray(array))
    content = buffer.getvalue()
    with writing(path):
        path.write_bytes(content)
    return sha256_bytes(content)
