"""Reading, hashing and replacing files: nothing half-written ever has its final name."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from evenground.errors import DISK_FULL, MAKE_ROOM, EvengroundError, set_aside, words_of

BRING_BACK = (
    "bring back what the link leads to (mount its disk, or dvc checkout), or make the link anew"
)
# Lists of the files put in place while somebody asks for them, by `replaced`.
_ASKED: list[list[Path]] = []
_LEFT_OUT = {"__pycache__", ".pytest_cache", ".mypy_cache", "_build", "deps"}


def read_json(path: Path) -> Any:
    """The content of a JSON file; EvengroundError where it is missing or broken."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        fix = BRING_BACK if broken_link(path) else "run the pipeline again to make it"
        raise EvengroundError(unreadable(path, error), str(path), fix) from None
    # Beside broken text: a number of thousands of digits, and lists in lists in lists.
    except (ValueError, RecursionError) as error:
        raise EvengroundError(f"not valid JSON: {error}", str(path), set_aside(path)) from None


def write_json(path: Path, content: Any) -> None:
    """Replace `path` by `content` as indented JSON, whole or not at all; EvengroundError on a full disk."""
    write_text(path, json_text(content))


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A file beside `path` to write to; it takes its place whole or not at all. Errors as by `writing`.

    A link at `path` is replaced, never followed: it may lead into a cache whose files are not to be changed.
    """
    beside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            yield beside
            beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
    for files in _ASKED:
        files.append(path)


@contextmanager
def replaced() -> Iterator[list[Path]]:
    """The files that `replacing` puts in place in the meantime, in order."""
    files: list[Path] = []
    _ASKED.append(files)
    try:
        yield files
    finally:
        _ASKED.remove(files)


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


def write_text(path: Path, text: str) -> None:
    """Replace `path` by `text`, whole or not at all; errors as by `writing`."""
    with replacing(path) as beside:
        beside.write_text(text, encoding="utf-8")


def free(folder: Path) -> None:
    """Let every read-only file below `folder` be a writable copy of its own, with its time.

    A cache keeps files so that are hard links to its own; Snakemake would refuse to replace them.
    """
    for path in _walked(folder):
        if path.is_file() and not path.is_symlink() and not os.access(path, os.W_OK):
            beside = path.with_name(f".{path.name}.{os.getpid()}.part")
            with writing(path):
                shutil.copy2(path, beside)
                beside.chmod(beside.stat().st_mode | stat.S_IWUSR)
                beside.replace(path)


def drop_lost_links(folder: Path) -> None:
    """Remove links below `folder` in place of files that lead nowhere: what is made again has their names."""
    for path in _walked(folder):
        if path.is_symlink() and not path.exists():
            with writing(path):
                path.unlink()


def _walked(folder: Path) -> Iterator[Path]:
    """Every file below a folder, also behind links; of a folder that several lead to, once."""
    seen: set[Path] = set()
    for above, inner, names in os.walk(folder, followlinks=True):
        place = real(Path(above))
        if place in seen:
            inner.clear()
            continue
        seen.add(place)
        yield from (Path(above, name) for name in names)


def empty_folder(folder: Path) -> None:
    """Make `folder` an empty one; where it is a link to a folder, that one."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in folder.iterdir():
        _remove(path)


def move(path: Path, to: Path) -> None:
    """Give a file or folder the new name `to`, whole or not at all, also on another disk.

    Errors as by `writing`; what could not be moved is still where it was.
    """
    with writing(to):
        to.parent.mkdir(parents=True, exist_ok=True)
        try:
            path.rename(to)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            _copy_then_remove(path, to)


def _copy_then_remove(path: Path, to: Path) -> None:
    """What a rename is between two disks; of a copy that is cut off nothing has the final name."""
    beside = to.with_name(f".{to.name}.moved")
    _remove(beside)
    try:
        if _is_folder(path):
            shutil.copytree(path, beside, symlinks=True)
        else:
            shutil.copy2(path, beside, follow_symlinks=False)
        beside.rename(to)
    finally:
        _remove(beside)
    _remove(path)


def _is_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()


def _remove(path: Path) -> None:
    """Remove a file, a link or a folder, if it is there."""
    if _is_folder(path):
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def unreadable(path: Path, error: OSError) -> str:
    """Why a file cannot be read, in words; of a link also where it leads."""
    if error.errno == errno.ELOOP:
        return "it is a link that leads back to itself"
    if link := broken_link(path):
        return f"{link} is a link to {link.readlink()}, which is not there"
    if isinstance(error, FileNotFoundError):
        return "the file is missing"
    return f"cannot read it: {words_of(error)}"


def broken_link(path: Path) -> Path | None:
    """The first link on the way to `path`, itself included, that leads nowhere; None where there is none."""
    ways = [*reversed(path.parents), path]
    return next((way for way in ways if way.is_symlink() and not way.exists()), None)


def real(path: Path) -> Path:
    """Where a path really lies; a link that leads back to itself stays as it is, and is no error."""
    return Path(os.path.realpath(path))


def absolute(path: Path) -> Path:
    """The path from the top on, without `..`; unlike by `resolve` a link on it keeps its name."""
    return Path(os.path.abspath(path))  # noqa: PTH100


def name_below(path: Path, root: Path) -> str | None:
    """The name of `path` as it is reached from the folder `root`, through links or not; None where it is not.

    Links on the way keep their names: `results` may lead to a folder of another name.
    """
    for way in (absolute, real):
        file, folder = way(path), way(root)
        if file.is_relative_to(folder):
            return file.relative_to(folder).as_posix()
    return None


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
        raise EvengroundError(
            "a source that decides results is missing", str(path), "fix engine.yaml"
        )
    return [
        file
        for file in path.rglob("*")
        if file.is_file()
        and file.suffix != ".pyc"
        and not _LEFT_OUT.intersection(file.relative_to(path).parts)
    ]
