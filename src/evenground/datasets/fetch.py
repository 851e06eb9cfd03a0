"""Fetches the files of a dataset, from mirrors and then its addresses, all verified."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import requests

from evenground.addresses import fault_of, host_of, inside, is_address, shown
from evenground.datasets.download import download, open_session, report
from evenground.datasets.faults import HostFailed
from evenground.datasets.registry import DatasetEntry, RemoteFile
from evenground.datasets.storage import make_folder, mismatch
from evenground.errors import EvengroundError
from evenground.files import move, replacing, require_space, writing
from evenground.records.dataset import FETCHED, Fetched, FetchedFile

MIRRORS_VARIABLE = "EVENGROUND_MIRRORS"
# The source of a file that was there already.
KEPT = "kept"


def all_mirrors(first: Iterable[str], environment: Mapping[str, str] = os.environ) -> list[str]:
    """Mirrors in the order they are tried: `first`, then EVENGROUND_MIRRORS (comma-separated).

    A mirror is a folder or an https address, in which both ':' and ' ' may occur.
    """
    mirrors = list(first)
    mirrors += environment.get(MIRRORS_VARIABLE, "").split(",")
    stripped = [mirror.strip() for mirror in mirrors]
    # Without empty places and repetitions, in order.
    return list(dict.fromkeys(filter(None, stripped)))


def fetch_dataset(entry: DatasetEntry, folder: Path, mirrors: Sequence[str]) -> Fetched:
    """Make `folder` hold every file of `entry`, verified by size and SHA-256.

    `fetched.json` is written last, and returned. Raises EvengroundError if a file cannot be fetched
    or stored.
    """
    make_folder(folder)
    files = {}
    with open_session() as session:
        for file in entry.files:
            source = _fetch_file(entry.name, file, folder, mirrors, session)
            files[file.name] = FetchedFile(bytes=file.bytes, sha256=file.sha256, source=source)
    fetched = Fetched(dataset=entry.name, files=files)
    fetched.write(folder / FETCHED)
    return fetched


def _fetch_file(
    dataset: str,
    file: RemoteFile,
    folder: Path,
    mirrors: Sequence[str],
    session: requests.Session,
) -> str:
    """Store the verified file in `folder` and return its source; EvengroundError without one."""
    target = folder / file.name
    if target.is_file():
        problem = mismatch(target, file)
        if not problem:
            return KEPT
        report(f"{file.name}: {problem}; it is fetched again")
        with writing(target):
            target.unlink()
    reasons: list[str] = []
    for source in sources(dataset, file, mirrors):
        try:
            _fetch_from(source, target, file, session)
        except HostFailed as reason:
            reasons.append(f"{source.label}: {reason}")
            report(f"{file.name}: {reasons[-1]}")
        else:
            return source.recorded
    raise EvengroundError(
        f"dataset '{dataset}': no source gave {file.name}",
        "; ".join(reasons) or "it has no address and no mirror was given",
        f"check the network, or put it into MIRROR/{dataset}/ and give that folder with --mirror,"
        f" 'mirrors:' in the configuration or {MIRRORS_VARIABLE}",
    )


@dataclass(frozen=True)
class Source:
    """One place that may have a file. Only `place` may hold a password."""

    place: str
    """Address or path of the file itself."""
    label: str
    """Its name in messages."""
    recorded: str
    """Its name in `fetched.json`."""


def sources(dataset: str, file: RemoteFile, mirrors: Sequence[str]) -> Iterator[Source]:
    """The places in the order in which they are tried."""
    for mirror in mirrors:
        place = str(Path(mirror, dataset, file.name))
        if is_address(mirror):
            place = inside(mirror, dataset, file.name)
        yield Source(place=place, label=f"mirror {shown(mirror)}", recorded="mirror")
    for url in file.urls:
        yield Source(place=url, label=host_of(url), recorded=host_of(url))


def _fetch_from(source: Source, target: Path, file: RemoteFile, session: requests.Session) -> None:
    """Store the verified file of one source in `target`. Raises HostFailed for its faults."""
    part = target.with_name(target.name + ".part")
    if not is_address(source.place):
        _copy_verified(source.place, target, file)
        # A download that an earlier invocation began is not needed any more.
        with writing(part):
            part.unlink(missing_ok=True)
        return
    fault = fault_of(source.place)
    if fault:
        raise HostFailed(fault)
    report(f"{file.name}: from {host_of(source.place)}")
    download(source.place, part, file, session)
    move(part, target)


def _copy_verified(place: str, target: Path, file: RemoteFile) -> None:
    """Copy and verify a mirror's file. Raises HostFailed for faults of the mirror."""
    path = file_in_mirror(place)
    if path is None:
        raise HostFailed("not there")
    size_bytes = path.stat().st_size
    if size_bytes != file.bytes:
        raise HostFailed(f"{size_bytes} bytes instead of {file.bytes}")
    require_space(target.parent, size_bytes)
    # Read first: a read error is a fault of the mirror, a full disk is not.
    try:
        content = path.read_bytes()
    except OSError as error:
        raise HostFailed(f"cannot be read: {error.strerror}") from error
    with replacing(target) as temporary:
        temporary.write_bytes(content)
        problem = mismatch(temporary, file)
        if problem:
            raise HostFailed(problem)


def file_in_mirror(place: str) -> Path | None:
    """The path of a mirror's file; None if this user sees no such file."""
    # Unlike pathlib, os.path takes what cannot be looked at, or is no path, for missing.
    path = os.path.expanduser(place)  # noqa: PTH111
    if os.path.isfile(path):  # noqa: PTH113
        return Path(path)
    return None
