"""Unpacking a bundle, which is not trusted: its size, names and checksums are checked."""

from __future__ import annotations

import shutil
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from evenground.bundle.names import NOT_ALLOWED, is_allowed
from evenground.bundle.pack import CHECKSUMS
from evenground.errors import EvengroundError, words_of
from evenground.files import sha256_bytes
from evenground.records.index import read_index
from evenground.validation import one_line

OTHER_COPY = "take another copy of it; a bundle is made by: evenground bundle"
OTHER_FOLDER = "make room there, or name another folder"
MAX_SHOWN = 200
# What `zipfile` raises for a file that is no zip file, is broken, or is encrypted.
BROKEN = (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, ValueError, OverflowError)

# The largest bundle that is accepted. Opening a zip file, `zipfile` reads the entry of every file:
# a zip file full of entries would take 4 GiB of memory.
MAX_ZIP_BYTES = 512 * 2**20
MAX_FILES = 100_000
MAX_FILE_BYTES = 256 * 2**20
MAX_TOTAL_BYTES = 2 * 2**30


def unpack(bundle: Path, to: Path) -> Path:
    """Check a bundle, unpack it into the new folder `to`, and return the path of its index there.

    Raises EvengroundError, and leaves nothing behind, if the file is not a bundle or too
    large, a name is not allowed, a checksum does not match, or the index cannot be read.
    """
    extract(bundle, to)
    try:
        with blamed_on(bundle, to):
            where = find_index(to)
            read_index(where)
    except EvengroundError:
        shutil.rmtree(to)
        raise
    return where


def extract(bundle: Path, to: Path) -> None:
    """Unpack a bundle of any version, checked like in `unpack` except for its index.

    Raises EvengroundError.
    """
    if to.exists():
        raise EvengroundError(
            "it is there already", str(to), "move it away, or name another folder"
        )
    # Nothing unchecked ever has the name `to`.
    beside = to.with_name(f".{to.name}.part")
    shutil.rmtree(beside, ignore_errors=True)
    try:
        # The size is checked before the zip file is opened.
        _refuse_large_zip(bundle)
        _extract_files(bundle, beside)
        beside.rename(to)
    except OSError as error:
        place = str(error.filename or bundle)
        raise EvengroundError(
            f"it cannot be unpacked: {words_of(error)}", place, OTHER_FOLDER
        ) from error
    finally:
        shutil.rmtree(beside, ignore_errors=True)


@contextmanager
def blamed_on(bundle: Path, folder: Path) -> Iterator[None]:
    """Make an EvengroundError about a file unpacked into `folder` name the bundle it came from."""
    try:
        yield
    except EvengroundError as error:
        name = error.where
        place = Path(name).resolve()
        if place.is_relative_to(folder.resolve()):
            name = place.relative_to(folder.resolve()).as_posix()
        where = f"{_printable(name)} in {bundle}"
        raise EvengroundError(_printable(error.what), where, OTHER_COPY) from error


def _printable(text: str) -> str:
    """Text from a bundle made safe for a message: shortened, without control characters."""
    return one_line(text[:MAX_SHOWN])


def find_index(folder: Path) -> Path:
    """The only index of an unpacked bundle.

    Raises EvengroundError if there is none, or more than one.
    """
    found = sorted(folder.glob("results/*/index.json"))
    if len(found) != 1:
        raise EvengroundError(
            f"{len(found)} indexes instead of one", str(folder / "results"), OTHER_COPY
        )
    return found[0]


def _refuse_large_zip(bundle: Path) -> None:
    if not bundle.is_file():
        raise EvengroundError("there is no such file", str(bundle), "name a bundle")
    _refuse_more(bundle, "bytes", bundle.stat().st_size, MAX_ZIP_BYTES)


def _refuse_more(bundle: Path, what: str, found: int, limit: int) -> None:
    if found > limit:
        raise EvengroundError(f"{found} {what}, {limit} are allowed", str(bundle), OTHER_COPY)


def _extract_files(bundle: Path, to: Path) -> None:
    """Check the files of the zip file, then write all of them as regular files, even links."""
    try:
        with zipfile.ZipFile(bundle) as archive:
            _refuse_more(bundle, "files", len(archive.infolist()), MAX_FILES)
            # Other programs write entries for folders, too.
            files = [entry for entry in archive.infolist() if not entry.filename.endswith("/")]
            _refuse_large_files(bundle, files)
            for entry in files:
                _refuse_strange(bundle, entry)
            sums = _checksums(bundle, archive)
            _refuse_unlisted(bundle, files, sums)
            for entry in files:
                _write(bundle, entry.filename, _content(archive, entry), sums, to)
    except BROKEN as error:
        raise EvengroundError(
            f"it cannot be read: {_printable(str(error))}", str(bundle), OTHER_COPY
        ) from error


def _refuse_large_files(bundle: Path, files: list[zipfile.ZipInfo]) -> None:
    """Raise EvengroundError if the declared sizes are too large.

    The declared sizes are enough: `_content` never reads more.
    """
    sizes = [entry.file_size for entry in files]
    _refuse_more(bundle, "bytes in one file", max(sizes, default=0), MAX_FILE_BYTES)
    _refuse_more(bundle, "bytes unpacked", sum(sizes), MAX_TOTAL_BYTES)


def _refuse_strange(bundle: Path, entry: zipfile.ZipInfo) -> None:
    where = f"{_printable(entry.filename)!r} in {bundle}"
    if not is_allowed(entry.filename):
        raise EvengroundError(NOT_ALLOWED, where, OTHER_COPY)
    # With bzip2 and LZMA `zipfile` unpacks more at once than requested, past every limit.
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise EvengroundError("it is compressed as no file of a bundle is", where, OTHER_COPY)


def _checksums(bundle: Path, archive: zipfile.ZipFile) -> dict[str, str]:
    """Name -> sha256 of every file in the list."""
    if CHECKSUMS not in archive.namelist():
        raise EvengroundError(f"there is no {CHECKSUMS}", str(bundle), OTHER_COPY)
    text = _content(archive, archive.getinfo(CHECKSUMS)).decode("utf-8", "replace")
    sums = {}
    for line in text.splitlines():
        sha256, _, name = line.partition("  ")
        sums[name] = sha256
    return sums


def _refuse_unlisted(bundle: Path, files: list[zipfile.ZipInfo], sums: dict[str, str]) -> None:
    """Raise EvengroundError unless the list of checksums names every file but itself."""
    names = {entry.filename for entry in files} - {CHECKSUMS}
    strange = sorted(names ^ sums.keys())
    if strange:
        what = f"{_printable(strange[0])!r} is only in the list or only in the bundle"
        raise EvengroundError(what, f"{CHECKSUMS} in {bundle}", OTHER_COPY)


def _content(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bytes:
    """The content of an entry, up to its declared size.

    `archive.read` would unpack everything before it cut the content off.
    """
    with archive.open(entry) as file:
        return file.read(entry.file_size)


def _write(bundle: Path, name: str, content: bytes, sums: dict[str, str], to: Path) -> None:
    if name != CHECKSUMS and sha256_bytes(content) != sums[name]:
        raise EvengroundError("it is not what its checksum says", f"{name} in {bundle}", OTHER_COPY)
    path = to / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
