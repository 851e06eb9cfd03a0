"""Reading a bundle that anybody may have made: nothing outside its folder, unchecked or endless."""

from __future__ import annotations

import shutil
import stat
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from evenground.analysis.index import read_index
from evenground.bundle.crate import METADATA
from evenground.bundle.pack import CHECKSUMS
from evenground.errors import EvengroundError
from evenground.files import read_json, sha256_bytes

SUFFIXES = {".json", ".jsonl", ".csv", ".md", ".svg", ".png", ".txt", ".yaml", ".def", ".log", ".sha256"}
OTHER = "take another copy of it; a bundle is made by: evenground bundle"
LONGEST_NAME, DEEPEST = 400, 12


@dataclass(frozen=True)
class Limits:
    """What a bundle may be at most, unpacked."""

    files: int = 100_000
    file_bytes: int = 256 * 2**20
    total_bytes: int = 2 * 2**30


def unpack(bundle: Path, to: Path, limits: Limits | None = None) -> Path:
    """Check a bundle and unpack it into the new folder `to`; the path of its index there.

    Raises EvengroundError, and leaves nothing behind, for a file that is no bundle, for names that lead out
    of the folder, links, kinds of files that no bundle holds, more or larger files than `limits`, a file that
    is not what its checksum says, and an index that cannot be read.
    """
    if to.exists():
        raise EvengroundError("it is there already", str(to), "delete it, or name another folder")
    beside = to.with_name(f".{to.name}.part")
    shutil.rmtree(beside, ignore_errors=True)
    try:
        _extract(bundle, beside, limits or Limits())
        _read_metadata(beside / METADATA)
        find_index(beside)
        beside.rename(to)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise EvengroundError(f"it cannot be read: {error}", str(bundle), OTHER) from error
    except OSError as error:
        raise EvengroundError(f"it cannot be unpacked: {error.strerror}", str(bundle), "mend that") from error
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return find_index(to)


def find_index(folder: Path) -> Path:
    """The one index of an unpacked bundle, which can be read."""
    found = sorted(folder.glob("results/*/index.json"))
    if len(found) != 1:
        raise EvengroundError(f"{len(found)} indexes instead of one", str(folder), OTHER)
    read_index(found[0])
    return found[0]


def _extract(bundle: Path, to: Path, limits: Limits) -> None:
    with zipfile.ZipFile(bundle) as archive:
        entries = [entry for entry in archive.infolist() if not entry.is_dir()]
        _refuse_sizes(entries, bundle, limits)
        for entry in entries:
            _refuse_entry(entry, bundle)
        sums = _checksums(archive, entries, bundle)
        for entry in entries:
            content = archive.read(entry)
            if entry.filename != CHECKSUMS and sha256_bytes(content) != sums[entry.filename]:
                raise EvengroundError(f"{entry.filename} is not what its checksum says", str(bundle), OTHER)
            path = to / entry.filename
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)


def _refuse_sizes(entries: list[zipfile.ZipInfo], bundle: Path, limits: Limits) -> None:
    """An archive never gives more bytes of a file than it declares, so what is declared is what counts."""
    total, largest = sum(entry.file_size for entry in entries), max((e.file_size for e in entries), default=0)
    for what, found, limit in (
        ("files", len(entries), limits.files),
        ("bytes in one file", largest, limits.file_bytes),
        ("bytes unpacked", total, limits.total_bytes),
    ):
        if found > limit:
            raise EvengroundError(f"{found} {what}, {limit} are allowed", str(bundle), OTHER)


def _refuse_entry(entry: zipfile.ZipInfo, bundle: Path) -> None:
    name, kind = entry.filename, stat.S_IFMT(entry.external_attr >> 16)
    parts = name.split("/")
    outside = name.startswith("/") or {"", ".", ".."} & set(parts) or "\\" in name or ":" in parts[0]
    fault = None
    if outside or not name.isprintable() or len(name) > LONGEST_NAME or len(parts) > DEEPEST:
        fault = "a name that leads out of its folder"
    elif kind not in {0, stat.S_IFREG}:
        fault = "a link or another special file"
    elif entry.flag_bits & 1:
        fault = "an encrypted file"
    elif PurePosixPath(name).suffix not in SUFFIXES:
        fault = "a kind of file that no bundle holds"
    if fault:
        raise EvengroundError(f"{fault}: {name!r}", str(bundle), OTHER)


def _checksums(archive: zipfile.ZipFile, entries: list[zipfile.ZipInfo], bundle: Path) -> dict[str, str]:
    """Name -> sha256 of every file but the list itself; each stands there once."""
    names = [entry.filename for entry in entries]
    if CHECKSUMS not in names or len(set(names)) < len(names):
        raise EvengroundError("no list of checksums, or a name twice", str(bundle), OTHER)
    lines = archive.read(CHECKSUMS).decode("utf-8", "replace").splitlines()
    listed = {name: sha256 for sha256, _, name in (line.partition("  ") for line in lines)}
    strange = sorted((set(names) - {CHECKSUMS}) ^ listed.keys())
    if strange:
        raise EvengroundError(f"{strange[0]!r} is only in the list or only in the bundle", str(bundle), OTHER)
    return listed


def _read_metadata(path: Path) -> None:
    """Raise EvengroundError where the metadata are not those of an RO-Crate."""
    content = read_json(path) if path.is_file() else None
    graph = content.get("@graph") if isinstance(content, dict) else None
    if not isinstance(graph, list) or not any(
        isinstance(e, dict) and e.get("@id") == METADATA for e in graph
    ):
        raise EvengroundError(f"no usable {METADATA}", str(path.parent), OTHER)
