"""Reading, hashing and replacing files: nothing half-written ever has its final name."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from evenground.errors import DISK_FULL, MAKE_ROOM, EvengroundError, words_of

_LEFT_OUT = {"__pycache__", ".pytest_cache", ".mypy_cache", "_build", "deps"}


def read_json(path: Path) -> Any:
    """The content of a JSON file; EvengroundError where it is missing or broken."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise EvengroundError("a file is missing", str(path), "call the pipeline again to make it") from None
    # Beside broken text: a number of thousands of digits, and lists in lists in lists.
    except (ValueError, RecursionError) as error:
        raise EvengroundError(
            f"not valid JSON: {error}", str(path), "delete it and call the pipeline again"
        ) from None


def write_json(path: Path, content: Any) -> None:
    """Replace `path` by `content` as indented JSON, whole or not at all; EvengroundError on a full disk."""
    text = json_text(content)
    with replacing(path) as beside:
        beside.write_text(text, encoding="utf-8")


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A file beside `path` to write to; it takes its place whole or not at all. Errors as by `writing`."""
    beside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            yield beside
            beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn a write's OSError (disk full, quota, no permission) into an EvengroundError that names `path`."""
    try:
        yield
    except OSError as error:
        if error.errno in DISK_FULL:
            raise EvengroundError("disk is full", str(path), MAKE_ROOM) from error
        what = f"cannot write: {words_of(error)}"
        raise EvengroundError(what, str(path), "check the folder and its permissions") from error


def json_text(content: Any) -> str:
    """The text `write_json` writes."""
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


def sha256_file(path: Path) -> str:
    """Hexadecimal sha256 of one file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sha256_bytes(content: bytes) -> str:
    """Hexadecimal sha256 of bytes."""
    return hashlib.sha256(content).hexdigest()


def sha256_json(content: Any) -> str:
    """Hexadecimal sha256 of `content` as JSON with sorted keys, the same on every machine."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return sha256_bytes(text.encode())


def sha256_tree(paths: Iterable[Path], root: Path) -> str:
    """Hexadecimal sha256 over names (below `root`) and contents of files and folders, caches left out."""
    files = sorted({file for path in paths for file in files_below(path)})
    return sha256_json([[_name(file, root), sha256_file(file)] for file in files])


def _name(file: Path, root: Path) -> str:
    return file.relative_to(root).as_posix() if file.is_relative_to(root) else file.name


def files_below(path: Path) -> list[Path]:
    """The file, or every file below the folder, caches left out; EvengroundError when it is missing."""
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise EvengroundError("a source that decides results is missing", str(path), "mend engine.yaml")
    return [
        file
        for file in path.rglob("*")
        if file.is_file()
        and file.suffix != ".pyc"
        and not _LEFT_OUT.intersection(file.relative_to(path).parts)
    ]
