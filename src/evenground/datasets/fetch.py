"""Brings the files of a dataset into a folder, from mirrors and then its addresses; all verified."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import requests

from evenground.addresses import fault_of, host_of, inside, is_address, shown
from evenground.datasets.download import Policy, download, open_session
from evenground.datasets.faults import HostFailed
from evenground.datasets.progress import say
from evenground.datasets.registry import DatasetEntry, RemoteFile
from evenground.datasets.storage import (
    MEBIBYTE,
    make_folder,
    mismatch,
    put_in_place,
    require_space,
    store_json,
)
from evenground.errors import EvengroundError
from evenground.files import writing

MIRRORS_VARIABLE = "EVENGROUND_MIRRORS"
KEPT = "kept"
COPIED_BYTES = MEBIBYTE


def all_mirrors(given: Iterable[str], environment: Mapping[str, str] = os.environ) -> list[str]:
    """Mirrors in the order they are tried: `given`, then EVENGROUND_MIRRORS (separated by commas).

    A mirror is a folder or an https address; a comma because both ':' and ' ' occur inside of those.
    """
    listed = environment.get(MIRRORS_VARIABLE, "").split(",")
    return list(dict.fromkeys(mirror.strip() for mirror in [*given, *listed] if mirror.strip()))


def fetch_dataset(
    entry: DatasetEntry, folder: Path, mirrors: Sequence[str], policy: Policy
) -> dict[str, Any]:
    """Make `folder` hold every file of `entry`, verified by size and SHA-256; `fetched.json` comes last.

    Returns what `fetched.json` holds: per file its bytes, sha256 and source ("mirror", a host name, or "kept"
    for a file that an earlier, interrupted call left). EvengroundError if a file cannot be had or stored.
    """
    make_folder(folder)
    before = _sources(folder)
    files: dict[str, dict[str, Any]] = {}
    with open_session() as session:
        for file in entry.files:
            source = _fetch_file(entry.name, file, folder, mirrors, policy, session)
            if source == KEPT:
                source = before.get(file.name, KEPT)
            size_bytes = (folder / file.name).stat().st_size
            files[file.name] = {"bytes": size_bytes, "sha256": file.sha256, "source": source}
    fetched = {"schema": 1, "dataset": entry.name, "files": files}
    store_json(folder / "fetched.json", fetched)
    return fetched


def _sources(folder: Path) -> dict[str, str]:
    """Where the files of an earlier call came from; empty if there is no such record."""
    try:
        files = json.loads((folder / "fetched.json").read_text(encoding="utf-8"))["files"]
        return {str(name): str(file["source"]) for name, file in files.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}  # provenance only: the files themselves are verified again in any case


def _fetch_file(
    dataset: str,
    file: RemoteFile,
    folder: Path,
    mirrors: Sequence[str],
    policy: Policy,
    session: requests.Session,
) -> str:
    """Make `folder/file.name` hold the verified file and return its source; EvengroundError if none."""
    target = folder / file.name
    if target.is_file():
        problem = mismatch(target, file)
        if problem is None:
            return KEPT
        say(f"{file.name}: {problem}; it is fetched again")
        with writing(target):
            target.unlink()
    reasons: list[str] = []
    for source in _sources_of(dataset, file, mirrors):
        try:
            _from(source, target, file, policy, session)
        except HostFailed as reason:
            reasons.append(f"{source.label}: {reason}")
            say(f"{file.name}: {reasons[-1]}")
        else:
            return source.recorded
    raise EvengroundError(
        f"dataset '{dataset}': no source gave {file.name}",
        "; ".join(reasons) or "it has no address and no mirror was given",
        f"check the network, or put it into MIRROR/{dataset}/ and give that folder with --mirror, 'mirrors:'"
        f" in the configuration or {MIRRORS_VARIABLE}",
    )


@dataclass(frozen=True)
class Source:
    """One place that may have a file. Only `place` may hold a password."""

    place: str
    """Address or path of the file itself."""
    label: str
    recorded: str
    """What `fetched.json` says of a file from here."""


def _sources_of(dataset: str, file: RemoteFile, mirrors: Sequence[str]) -> Iterator[Source]:
    """The places in the order in which they are tried."""
    for mirror in mirrors:
        join = inside if is_address(mirror) else os.path.join
        yield Source(join(mirror, dataset, file.name), f"mirror {shown(mirror)}", "mirror")
    for url in file.urls:
        yield Source(url, host_of(url), host_of(url))


def _from(
    source: Source, target: Path, file: RemoteFile, policy: Policy, session: requests.Session
) -> None:
    """Store the verified file of one source in `target`; HostFailed for every fault of that source."""
    if not is_address(source.place):
        _from_folder(source.place, target, file)
        return
    if fault := fault_of(source.place):
        raise HostFailed(fault)
    say(f"{file.name}: from {host_of(source.place)}")
    download(source.place, _part_of(target), file, policy, session, say)
    put_in_place(_part_of(target), target)


def _part_of(target: Path) -> Path:
    return target.with_name(target.name + ".part")


def _from_folder(place: str, target: Path, file: RemoteFile) -> None:
    """Copy and verify a mirror's file; a name of its own keeps it from spoiling a half finished download."""
    part = target.with_name(target.name + ".copy.part")
    try:
        with _opened(place) as original:
            size_bytes = os.fstat(original.fileno()).st_size
            if file.bytes is not None and size_bytes != file.bytes:
                raise HostFailed(f"{size_bytes} bytes instead of {file.bytes}")
            require_space(target.parent, size_bytes)
            _copy(original, part)
        problem = mismatch(part, file)
        if problem is not None:
            raise HostFailed(problem)
        put_in_place(part, target)
    finally:
        part.unlink(missing_ok=True)
    with writing(target):
        _part_of(target).unlink(missing_ok=True)


def _opened(place: str) -> IO[bytes]:
    """The file, to be read; HostFailed where there is none or it may not be read."""
    try:
        path = Path(place).expanduser()
        if path.is_file():
            return path.open("rb")
    except OSError as error:
        raise HostFailed(f"cannot be read: {error.strerror}") from error
    except (RuntimeError, ValueError) as error:
        raise HostFailed(f"no path of a folder: {error}") from error
    first = Path(place).parts[0]
    looks_like_a_host = "." in first.strip(".") and not Path(first).exists()
    raise HostFailed(
        f"not there{' (an address begins with https://)' if looks_like_a_host else ''}"
    )


def _copy(original: IO[bytes], part: Path) -> None:
    """Copy to the disk; a mirror that breaks off is the mirror's fault, a full disk is not."""
    with writing(part):
        copy = part.open("wb")
    with copy:
        while chunk := _next_chunk(original):
            with writing(part):
                copy.write(chunk)
                copy.flush()


def _next_chunk(original: IO[bytes]) -> bytes:
    try:
        return original.read(COPIED_BYTES)
    except OSError as error:
        raise HostFailed(f"cannot be read: {error.strerror}") from error
