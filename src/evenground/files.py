"""Reading, hashing and replacing files: nothing half-written ever has its final name."""

from __future__ import annotations

import csv
import errno
import hashlib
import json
import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from evenground.errors import DISK_FULL, MAKE_ROOM, EvengroundError, set_aside, words_of

BRING_BACK = (
    "bring back what the link leads to (mount its disk, or dvc checkout), or make the link anew"
)
MEBIBYTE = 2**20
# One list per active `replaced`, of the files put in place meanwhile.
_RECORDS: list[list[Path]] = []


def read_json(path: Path) -> Any:
    """The content of a JSON file; raises EvengroundError if it is missing or broken."""
    try:
        return json.loads(read_bytes(path).decode("utf-8"))
    # A number of thousands of digits is a ValueError, too; very deep nesting is a RecursionError.
    except (ValueError, RecursionError) as error:
        raise EvengroundError(f"not valid JSON: {error}", str(path), set_aside(path)) from None


def csv_rows(path: Path, what: str) -> list[dict[str, str]]:
    """The rows of a CSV file by the names of its columns; `what`: how a message names them.

    Raises EvengroundError if it cannot be read.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file, strict=True))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        what = f"{what} cannot be read: {error}"
        raise EvengroundError(what, str(path), "restore it") from None


def read_bytes(path: Path) -> bytes:
    """The bytes of a file; raises EvengroundError if it is missing."""
    try:
        return path.read_bytes()
    except OSError as error:
        fix = "run the pipeline again to make it"
        if broken_link(path):
            fix = BRING_BACK
        raise EvengroundError(unreadable(path, error), str(path), fix) from None


def write_json(path: Path, content: Any) -> None:
    """Replace `path` by `content` as indented JSON, whole or not at all; raises as `writing`."""
    write_text(path, json_text(content))


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary file to write to, which then replaces `path` whole; raises as `writing`.

    A link at `path` is replaced, never followed: it may lead into a cache that must not change.
    """
    temporary = _temporary(path)
    try:
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            yield temporary
            temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    for files in _RECORDS:
        files.append(path)


def _temporary(path: Path) -> Path:
    """A name in the same folder, as a rename is atomic only within one file system."""
    return path.with_name(f".{path.name}.{os.getpid()}.part")


@contextmanager
def replaced() -> Iterator[list[Path]]:
    """The files that `replacing` puts in place in the meantime, in order."""
    files: list[Path] = []
    _RECORDS.append(files)
    try:
        yield files
    finally:
        _RECORDS.remove(files)


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn an OSError of writing `path` (disk full, no permission) into an EvengroundError."""
    try:
        yield
    except OSError as error:
        if error.errno in DISK_FULL:
            raise EvengroundError("disk is full", str(path), MAKE_ROOM) from error
        what = f"cannot write: {words_of(error)}"
        raise EvengroundError(what, str(path), "check the folder and its permissions") from error


def require_space(folder: Path, need_bytes: int) -> None:
    """Raises EvengroundError if the disk of `folder` has less than `need_bytes` bytes free."""
    free_bytes = shutil.disk_usage(folder).free
    if free_bytes < need_bytes:
        need, free = need_bytes / MEBIBYTE, free_bytes / MEBIBYTE
        what = f"disk is full: {need:.1f} MiB needed, {free:.1f} MiB free"
        raise EvengroundError(what, str(folder), MAKE_ROOM)


def write_text(path: Path, text: str) -> None:
    """Replace `path` by `text`, whole or not at all; raises as `writing`."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def free(folder: Path) -> None:
    """Replace every read-only file below `folder` by a writable copy with the same time.

    DVC protects files that are hard links into its cache; Snakemake would refuse to replace them.
    """
    for path in _walked(folder):
        if path.is_file() and not path.is_symlink() and not os.access(path, os.W_OK):
            temporary = _temporary(path)
            with writing(path):
                shutil.copy2(path, temporary)
                temporary.chmod(temporary.stat().st_mode | stat.S_IWUSR)
                temporary.replace(path)


def drop_lost_links(folder: Path) -> None:
    """Remove broken links below `folder`, so that files made again can have their names."""
    for path in _walked(folder):
        if path.is_symlink() and not path.exists():
            with writing(path):
                path.unlink()


def _walked(folder: Path) -> Iterator[Path]:
    """Every file below a folder, also behind links; a folder with several links to it only once."""
    seen: set[Path] = set()
    for parent, folders, names in os.walk(folder, followlinks=True):
        where = real(Path(parent))
        if where in seen:
            # Not further down: a link may lead to a folder above itself.
            folders.clear()
            continue
        seen.add(where)
        for name in names:
            yield Path(parent, name)


def empty_folder(folder: Path) -> None:
    """Create `folder` or remove its content; a link to a folder stays one."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in folder.iterdir():
        _remove(path)


def move(path: Path, to: Path) -> None:
    """Move a file or folder to `to`, whole or not at all, also to another disk.

    Raises as `writing`; everything is then still where it was.
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
    """A rename between two disks; a copy that is cut off never has the final name."""
    temporary = to.with_name(f".{to.name}.moved")
    _remove(temporary)
    try:
        if _is_folder(path):
            shutil.copytree(path, temporary, symlinks=True)
        else:
            shutil.copy2(path, temporary, follow_symlinks=False)
        temporary.rename(to)
    finally:
        _remove(temporary)
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
    """Why a file cannot be read, as text; for a broken link also where it leads."""
    if error.errno == errno.ELOOP:
        return "it is a link that leads back to itself"
    if link := broken_link(path):
        return f"{link} is a link to {link.readlink()}, which is not there"
    if isinstance(error, FileNotFoundError):
        return "the file is missing"
    return f"cannot read it: {words_of(error)}"


def broken_link(path: Path) -> Path | None:
    """The first broken link on the way to `path`, itself included; None if there is no such link."""
    # From the top: a broken link makes everything below it unreachable.
    for way in list(reversed(path.parents)) + [path]:
        if way.is_symlink() and not way.exists():
            return way
    return None


def real(path: Path) -> Path:
    """The path without links; a link that leads back to itself stays, and raises nothing."""
    # `Path.resolve` raises RuntimeError for such a loop before Python 3.13.
    return Path(os.path.realpath(path))


def absolute(path: Path) -> Path:
    """The absolute path without `..`; unlike with `Path.resolve`, links on it keep their names."""
    # `Path.absolute` keeps `..`.
    return Path(os.path.abspath(path))  # noqa: PTH100


def name_below(path: Path, root: Path) -> str | None:
    """The name of `path` below the folder `root`, through links or not; None if not below it.

    Links on the way keep their names: `results` may be a link to a folder of another name.
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
