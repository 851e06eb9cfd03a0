"""Storing on a disk that may be full, and checking stored files."""

from __future__ import annotations

import math
import os
import re
from pathlib import Path

from evenground.datasets.registry import RemoteFile
from evenground.errors import EvengroundError, set_aside
from evenground.files import sha256_file, unreadable, writing
from evenground.records.dataset import PREPARED, Prepared

SHOW = (
    "make it visible to the training: mount its disk there; in a container, bind its folder"
    " (APPTAINER_BIND)"
)
# The beginning of an array's file as `prepare` writes it: its header's length, and its shape.
HEADER = re.compile(rb"\x93NUMPY\x01\x00(..)[^(]*'shape': \(([\d, ]+)\)", re.DOTALL)
# Magic number, version and length of the header precede it.
HEADER_OFFSET = 10


def mismatch(path: Path, file: RemoteFile) -> str:
    """How `path` differs from the registered file (size, then SHA-256); empty if it does not."""
    size = path.stat().st_size
    if size != file.bytes:
        return f"{size} bytes instead of {file.bytes}"
    digest = sha256_file(path)
    if digest != file.sha256:
        return f"wrong checksum: sha256 {digest} instead of {file.sha256}"
    return ""


def make_folder(folder: Path) -> None:
    """Create `folder` and its parents. Raises EvengroundError if that fails."""
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)


def check_arrays(folder: Path) -> None:
    """Compare a prepared dataset's arrays with its record.

    Raises EvengroundError for a changed or missing array.
    """
    for name, sha256 in Prepared.read(folder / PREPARED).arrays.items():
        path = folder / name
        fault = ""
        if not path.is_file():
            fault = "missing"
        elif sha256_file(path) != sha256:
            fault = "changed"
        if fault:
            what = f"a prepared array is {fault}: {name}"
            fix = set_aside(folder, then="run again to have it prepared anew")
            raise EvengroundError(what, str(folder), fix)


def require_seen(folder: Path) -> None:
    """Raises EvengroundError, naming the file, if this process cannot read a prepared dataset.

    It reads the record and both ends of each array: a container may see the folder, but not what a
    link in it leads to, and a node may see only part of a file.
    """
    try:
        for name in Prepared.read(folder / PREPARED).arrays:
            _require_complete(folder / name)
    except EvengroundError as error:
        raise EvengroundError(error.what, error.where, SHOW) from None


def _require_complete(path: Path) -> None:
    try:
        seen_bytes, expected_bytes = _lengths(path)
    except OSError as error:
        raise EvengroundError(unreadable(path, error), str(path), SHOW) from None
    if seen_bytes != expected_bytes:
        what = f"{seen_bytes} bytes are seen of an array of {expected_bytes or 'unknown size'}"
        raise EvengroundError(what, str(path), SHOW)


def _lengths(path: Path) -> tuple[int, int | None]:
    """Length of an array's file in bytes, and by its header; None without one."""
    with path.open("rb") as file:
        header = HEADER.match(file.read(256))
        end = file.seek(0, os.SEEK_END)
        # Reading the last byte shows that the content is there, not only the length.
        file.seek(max(end - 1, 0))
        file.read(1)
    if not header:
        return end, None
    header_bytes = int.from_bytes(header[1], "little")
    shape = [int(size) for size in header[2].replace(b",", b" ").split()]
    return end, HEADER_OFFSET + header_bytes + math.prod(shape)
