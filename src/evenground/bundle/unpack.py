"""Reading a bundle that anybody may have made: nothing outside its folder, unchecked or endless."""

from __future__ import annotations

import shutil
import stat
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from warnings import catch_warnings

from evenground.analysis.index import read_index
from evenground.bundle.crate import METADATA
from evenground.bundle.names import fault
from evenground.bundle.pack import CHECKSUMS
from evenground.errors import EvengroundError, words_of
from evenground.files import read_json, sha256_bytes
from evenground.records.versions import OtherVersionError

OTHER = "take another copy of it; a bundle is made by: evenground bundle"
FIX = "make room there, or name another folder"
# Every entry's description in a zip file starts with these bytes.
MARK = b"PK\1\2"
SHOWN = 200
# What `zipfile` raises for a file that is none, or a broken one.
BROKEN = (
    *(zipfile.BadZipFile, zlib.error, EOFError),
    *(NotImplementedError, RuntimeError, ValueError, OverflowError),
    # Since 3.13 it only warns of entries that lie over each other.
    UserWarning,
)


@dataclass(frozen=True)
class Limits:
    """What a bundle may be at most, unpacked; the zip file itself is never larger than `total_bytes`."""

    files: int = 100_000
    file_bytes: int = 256 * 2**20
    total_bytes: int = 2 * 2**30


def unpack(bundle: Path, to: Path, limits: Limits | None = None) -> Path:
    """Check a bundle and unpack it into the new folder `to`; the path of its index there.

    Raises EvengroundError, and leaves nothing behind, for a file that is no bundle, for names, places and
    kinds of files that no bundle has, links, more or larger files than `limits`, a file that is not what
    its checksum says, and an index that cannot be read.
    """
    extract(bundle, to, limits)
    try:
        with blamed_on(bundle, to):
            where = find_index(to)
            read_index(where)
    except EvengroundError:
        shutil.rmtree(to)
        raise
    return where


def extract(bundle: Path, to: Path, limits: Limits | None = None) -> None:
    """Unpack a bundle of any version, checked as by `unpack` but for its index."""
    if to.exists():
        raise EvengroundError(
            "it is there already", str(to), "move it away, or name another folder"
        )
    beside = to.with_name(f".{to.name}.part")
    shutil.rmtree(beside, ignore_errors=True)
    try:
        _refuse_size(bundle, limits or Limits())
        _extract(bundle, beside, limits or Limits())
        with blamed_on(bundle, beside):
            _read_metadata(beside / METADATA)
        beside.rename(to)
    except OSError as error:
        place = str(error.filename or bundle)
        raise EvengroundError(f"it cannot be unpacked: {words_of(error)}", place, FIX) from error
    finally:
        shutil.rmtree(beside, ignore_errors=True)


@contextmanager
def blamed_on(bundle: Path, folder: Path) -> Iterator[None]:
    """Faults found in files that were unpacked into `folder` are told of the bundle and the name in it."""
    try:
        yield
    except EvengroundError as error:
        where, folder = Path(error.where).resolve(), folder.resolve()
        name = where.relative_to(folder).as_posix() if where.is_relative_to(folder) else error.where
        # Another copy would be of the same version.
        fix = error.fix if isinstance(error, OtherVersionError) else OTHER
        raise EvengroundError(_shown(error.what), f"{_shown(name)} in {bundle}", fix) from error


def _shown(text: str) -> str:
    """Text from a bundle for a message: neither long nor able to move the cursor of a terminal."""
    return "".join(sign if sign.isprintable() else "?" for sign in text[:SHOWN])


def find_index(folder: Path) -> Path:
    """The one index of an unpacked bundle: of an experiment or of one part of it."""
    places = ("results/*/index.json", "results/*/parts/*/index.json")
    found = sorted(path for place in places for path in folder.glob(place))
    if len(found) != 1:
        raise EvengroundError(
            f"{len(found)} indexes instead of one", str(folder / "results"), OTHER
        )
    return found[0]


def _refuse_size(bundle: Path, limits: Limits) -> None:
    """`zipfile` reads every entry's description before the first can be looked at."""
    if not bundle.is_file():
        raise EvengroundError("there is no such file", str(bundle), "name a bundle")
    size = bundle.stat().st_size
    with bundle.open("rb") as file:
        marks = sum(chunk.count(MARK) for chunk in iter(lambda: file.read(2**20), b""))
    _refuse_more(bundle, ("bytes", size, limits.total_bytes), ("files", marks, limits.files))


def _refuse_more(bundle: Path, *counts: tuple[str, int, int]) -> None:
    for what, found, limit in counts:
        if found > limit:
            raise EvengroundError(f"{found} {what}, {limit} are allowed", str(bundle), OTHER)


def _extract(bundle: Path, to: Path, limits: Limits) -> None:
    try:
        with (
            catch_warnings(action="error", category=UserWarning),
            zipfile.ZipFile(bundle) as archive,
        ):
            entries = [entry for entry in archive.infolist() if not entry.filename.endswith("/")]
            sizes = [entry.file_size for entry in entries]
            largest, total = max(sizes, default=0), sum(sizes)
            _refuse_more(bundle, ("bytes in one file", largest, limits.file_bytes))
            _refuse_more(bundle, ("bytes unpacked", total, limits.total_bytes))
            for entry in entries:
                _refuse_entry(entry, bundle)
            _write(archive, entries, _checksums(archive, entries, bundle), to)
    except BROKEN as error:
        raise EvengroundError(
            f"it cannot be read: {_shown(str(error))}", str(bundle), OTHER
        ) from error


def _write(
    archive: zipfile.ZipFile, entries: list[zipfile.ZipInfo], sums: dict[str, str], to: Path
) -> None:
    for entry in entries:
        content, path = _content(archive, entry), to / entry.filename
        if entry.filename != CHECKSUMS and sha256_bytes(content) != sums[entry.filename]:
            where = f"{entry.filename} in {archive.filename}"
            raise EvengroundError("it is not what its checksum says", where, OTHER)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def _content(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bytes:
    """As many bytes as it declares; `archive.read` would unpack all there are before it cuts them off."""
    with archive.open(entry) as file:
        content = file.read(entry.file_size)
    if len(content) < entry.file_size:
        raise EOFError(f"{entry.filename} is shorter than it says")
    return content


def _refuse_entry(entry: zipfile.ZipInfo, bundle: Path) -> None:
    # `filename` ends before a NUL, `orig_filename` is what stands in the file.
    name, kind = entry.orig_filename, stat.S_IFMT(entry.external_attr >> 16)
    found = fault(name)
    if kind not in {0, stat.S_IFREG}:
        found = "a link or another special file"
    elif entry.flag_bits & 1:
        found = "an encrypted file"
    elif entry.compress_type not in {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}:
        found = "a file packed as in no bundle"
    if found:
        raise EvengroundError(found, f"{_shown(name)!r} in {bundle}", OTHER)


def _checksums(
    archive: zipfile.ZipFile, entries: list[zipfile.ZipInfo], bundle: Path
) -> dict[str, str]:
    """Name -> sha256 of every file but the list itself; each stands there once."""
    found = {entry.filename: entry for entry in entries}
    folders = {name[:end] for name in found for end, sign in enumerate(name) if sign == "/"}
    if len(found) < len(entries) or folders & found.keys():
        raise EvengroundError("a name twice, or of a file and a folder", str(bundle), OTHER)
    if CHECKSUMS not in found:
        raise EvengroundError(f"there is no {CHECKSUMS}", str(bundle), OTHER)
    lines = _content(archive, found[CHECKSUMS]).decode("utf-8", "replace").splitlines()
    listed = {name: sha256 for sha256, _, name in (line.partition("  ") for line in lines)}
    strange = sorted((found.keys() - {CHECKSUMS}) ^ listed.keys())
    where = f"{CHECKSUMS} in {bundle}"
    if strange:
        what = f"{_shown(strange[0])!r} is only in the list or only in the bundle"
        raise EvengroundError(what, where, OTHER)
    if len(listed) < len(lines):
        raise EvengroundError("a name twice", where, OTHER)
    return listed


def _read_metadata(path: Path) -> None:
    """Raise EvengroundError where the metadata are not those of an RO-Crate."""
    content = read_json(path) if path.is_file() else None
    graph = content.get("@graph") if isinstance(content, dict) else None
    if not isinstance(graph, list) or not any(
        isinstance(e, dict) and e.get("@id") == METADATA for e in graph
    ):
        raise EvengroundError(f"no usable {METADATA}", str(path), OTHER)
