"""Brings the files of a dataset into a folder, from mirrors and then its addresses; all verified."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import requests

from evenground.datasets.download import HostFailed, Policy, download, host_of, open_session
from evenground.datasets.progress import say
from evenground.datasets.registry import DatasetEntry, RemoteFile, allowed_url
from evenground.datasets.storage import (
    make_folder,
    mismatch,
    put_in_place,
    require_space,
    store_json,
    writing,
)
from evenground.errors import EvengroundError, words_of

MIRRORS_VARIABLE = "EVENGROUND_MIRRORS"
KEPT = "kept"


def all_mirrors(given: Iterable[str], environment: Mapping[str, str] = os.environ) -> list[str]:
    """Mirrors in the order they are tried: `given`, then EVENGROUND_MIRRORS (separated by commas).

    A mirror is a folder or an https address; a comma because both ':' and ' ' occur inside of those.
    Raises EvengroundError for an address that is neither https nor on this machine.
    """
    listed = environment.get(MIRRORS_VARIABLE, "").split(",")
    mirrors = [mirror.strip() for mirror in [*given, *listed] if mirror.strip()]
    for mirror in mirrors:
        if _is_url(mirror) and not allowed_url(mirror):
            raise EvengroundError("a mirror must be a folder or an https:// address", mirror, "use https")
    return list(dict.fromkeys(mirrors))


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
    for place in [*mirrors, *file.urls]:
        is_mirror = place in mirrors
        where = "/".join([place.rstrip("/"), dataset, file.name]) if is_mirror else place
        label = f"mirror {place}" if is_mirror else host_of(place)
        try:
            if _is_url(place):
                _from_url(where, target, file, policy, session)
            else:
                _from_folder(Path(where).expanduser(), target, file)
        except HostFailed as reason:
            reasons.append(f"{label}: {reason}")
            say(f"{file.name}: {reasons[-1]}")
        else:
            return "mirror" if is_mirror else host_of(place)
    raise EvengroundError(
        f"dataset '{dataset}': no source gave {file.name}",
        "; ".join(reasons) or "it has no address and no mirror was given",
        f"check the network, or put it into MIRROR/{dataset}/ and give that folder with --mirror, 'mirrors:'"
        f" in the configuration or {MIRRORS_VARIABLE}",
    )


def _is_url(mirror: str) -> bool:
    return "://" in mirror


def _part_of(target: Path) -> Path:
    return target.with_name(target.name + ".part")


def _from_url(url: str, target: Path, file: RemoteFile, policy: Policy, session: requests.Session) -> None:
    say(f"{file.name}: from {host_of(url)}")
    download(url, _part_of(target), file, policy, session, say)
    put_in_place(_part_of(target), target)


def _from_folder(path: Path, target: Path, file: RemoteFile) -> None:
    """Copy and verify a mirror's file; a name of its own keeps it from spoiling a half finished download."""
    if not path.is_file():
        raise HostFailed("not there")
    part = target.with_name(target.name + ".copy.part")
    try:
        original = path.open("rb")
    except OSError as error:
        raise HostFailed(f"cannot be read: {words_of(error)}") from error
    try:
        with original, writing(part), part.open("wb") as copy:
            require_space(target.parent, path.stat().st_size)
            shutil.copyfileobj(original, copy)
        problem = mismatch(part, file)
        if problem is not None:
            raise HostFailed(problem)
        put_in_place(part, target)
    finally:
        part.unlink(missing_ok=True)
    _part_of(target).unlink(missing_ok=True)
