"""Storing on a disk that may be full: verify, check space, and let only complete files take a name."""

from __future__ import annotations

import math
import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from evenground.datasets.registry import RemoteFile
from evenground.errors import MAKE_ROOM, EvengroundError, set_aside
from evenground.files import json_text, read_json, sha256_file, unreadable, writing

MEBIBYTE = 2**20
SHOW = (
    "let what trains see it: mount its disk there; in a container, bind its folder (APPTAINER_BIND)"
)
# How an array's file begins, as `prepare` writes it: its header's length and the array's shape, in bytes.
HEADER = re.compile(rb"\x93NUMPY\x01\x00(..)[^(]*'shape': \(([\d, ]+)\)", re.DOTALL)


def mismatch(path: Path, file: RemoteFile) -> str | None:
    """Why `path` is not the registered file (size, then SHA-256), or None when it is."""
    size = path.stat().st_size
    if file.bytes is not None and size != file.bytes:
        return f"{size} bytes instead of {file.bytes}"
    digest = sha256_file(path)
    return (
        None
        if digest == file.sha256
        else f"wrong checksum: sha256 {digest} instead of {file.sha256}"
    )


def require_space(folder: Path, need_bytes: int) -> None:
    """EvengroundError if the disk of `folder` has less than `need_bytes` bytes free."""
    free = free_bytes(folder)
    if free < need_bytes:
        raise EvengroundError(
            f"disk is full: {need_bytes / MEBIBYTE:.1f} MiB needed, {free / MEBIBYTE:.1f} MiB free",
            str(folder),
            MAKE_ROOM,
        )


def free_bytes(folder: Path) -> int:
    """Bytes that the disk of `folder` has free."""
    return shutil.disk_usage(folder).free


def make_folder(folder: Path) -> None:
    """Create `folder` and its parents; EvengroundError if that cannot be done."""
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)


def put_in_place(part: Path, target: Path) -> None:
    """Flush `part` to the disk and give it the name `target` in one step."""
    with writing(target):
        descriptor = os.open(part, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        part.replace(target)


def store_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write `content` as JSON, whole or not at all; EvengroundError if the disk is full."""
    part = path.with_name(path.name + ".part")
    try:
        with writing(path):
            part.write_text(json_text(content), encoding="utf-8")
        put_in_place(part, path)
    finally:
        part.unlink(missing_ok=True)


def check_arrays(folder: Path) -> None:
    """Compare a prepared dataset's arrays with its record; EvengroundError for a changed or missing one."""
    for name, sha256 in read_json(folder / "dataset.json")["arrays"].items():
        path = folder / name
        if not path.is_file() or sha256_file(path) != sha256:
            raise EvengroundError(
                f"a prepared array is {'changed' if path.is_file() else 'missing'}: {name}",
                str(folder),
                set_aside(folder, then="run again to have it prepared anew"),
            )


def require_seen(folder: Path) -> None:
    """EvengroundError where a prepared dataset cannot be read from where this process is; it names the file.

    Read are its record and both ends of each array: a container may see the folder, but not what a link in it
    leads to, and a node less of a file than there is.
    """
    record = folder / "dataset.json"
    try:
        for name in read_json(record)["arrays"]:
            _require_whole(folder / name)
    except EvengroundError as error:
        raise EvengroundError(error.what, error.where, SHOW) from None


def _require_whole(path: Path) -> None:
    try:
        seen, whole = _lengths(path)
    except OSError as error:
        raise EvengroundError(unreadable(path, error), str(path), SHOW) from None
    if seen != whole:
        raise EvengroundError(
            f"{seen} bytes are seen of an array of {whole or 'unknown size'}", str(path), SHOW
        )


def _lengths(path: Path) -> tuple[int, int | None]:
    """Bytes of an array's file up to its last one, which is read, and by its header; None without one."""
    with path.open("rb") as file:
        found = HEADER.match(file.read(256))
        end = file.seek(0, os.SEEK_END)
        file.seek(max(end - 1, 0))
        file.read(1)
    if not found:
        return end, None
    values = math.prod(int(size) for size in found[2].replace(b",", b" ").split())
    return end, 10 + int.from_bytes(found[1], "little") + values
