"""Storing on a disk that may be full: verify, check space, and let only complete files take a name."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from evenground.datasets.registry import RemoteFile
from evenground.errors import MAKE_ROOM, EvengroundError, set_aside
from evenground.files import json_text, read_json, sha256_file
from evenground.files import writing as writing

MEBIBYTE = 2**20


def mismatch(path: Path, file: RemoteFile) -> str | None:
    """Why `path` is not the registered file (size, then SHA-256), or None when it is."""
    size = path.stat().st_size
    if file.bytes is not None and size != file.bytes:
        return f"{size} bytes instead of {file.bytes}"
    digest = sha256_file(path)
    return None if digest == file.sha256 else f"wrong checksum: sha256 {digest} instead of {file.sha256}"


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
                set_aside(folder, then="call again to have it prepared anew"),
            )
