"""Links below `results` and `data`: none may be broken, and containers must see their targets."""

# A thousand runs are ten thousand files, each a link under DVC: with `Path` that takes seconds.
# ruff: noqa: PTH114, PTH115, PTH116, PTH118, PTH120

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from evenground.errors import EvengroundError
from evenground.files import BRING_BACK, real
from evenground.runs.plan import ASIDE, RESULTS, RUNS
from evenground.surroundings.mounts import is_below

DATA = Path("data")
RAW = DATA / "raw"
# A broken link in place of such a file is no fault here: it is read, or made again, like any file.
FILES = {".json", ".jsonl", ".csv", ".html", ".npy", ".md", ".log", ".svg", ".png", ".txt", ".gz"}
# As many links in a row as Linux follows.
MAX_HOPS = 40


@dataclass(frozen=True, slots=True)
class _Folder:
    """A folder under the names that links on the way to it give it."""

    shown: str
    """As it is reached from the working copy."""
    seen: str
    """Its path in a container, to which the working copy is bound under its real path."""
    real: str
    """Where it really lies."""


@dataclass(frozen=True, slots=True)
class _Link:
    shown: str
    leads: str
    """The path that a container looks for when it follows the link."""
    real: str
    is_there: bool = False
    is_folder: bool = False
    misled: bool = False
    """Whether a container would find something else at that path, or nothing."""


def refuse_lost_links(root: Path) -> None:
    """Raises EvengroundError for a link in place of a folder that leads nowhere or back to itself.

    Trainings could not be written there, and runs that lie behind it would be trained again.
    """
    for link in _links(root):
        path = Path(link.shown)
        if not link.is_there and not _stands_for_file(path.relative_to(root)):
            what = f"it is a link to {path.readlink()}, which is not there"
            raise EvengroundError(what, str(path), BRING_BACK)


def _stands_for_file(path: Path) -> bool:
    """Whether a link at this path below the working copy is one of a file, judged by its name."""
    # Raw files have the names their publisher gave them: data/raw/DATASET/HASH/FILE.
    is_raw = path.is_relative_to(RAW) and len(path.parts) > len(RAW.parts) + 2
    return is_raw or path.suffix in FILES


def refuse_outside_of_dvc(root: Path, out: Path) -> None:
    """Raises EvengroundError if the folder `out` of tables lies outside the working copy.

    DVC accepts links as outputs, but refuses outputs behind a link, and only after all trainings.
    """
    for folder in (RESULTS, out):
        if not real(root / folder).is_relative_to(real(root)):
            what = "DVC stores nothing behind a link that leads out of the repository"
            fix = (
                f"make {RUNS} the link, or keep DVC's cache on the other disk (docs/dvc.md, links)"
            )
            raise EvengroundError(what, str(root / folder), fix)


def outside_of(root: Path, paths: Iterable[Path]) -> list[str]:
    """The real paths of those of `paths` that are not in the working copy, each once."""
    home = real(root)
    places = {real(path) for path in paths}
    return sorted(str(place) for place in places if not place.is_relative_to(home))


def folders_elsewhere(root: Path) -> list[str]:
    """Where links below `results` and `data` lead out of the working copy; of a file, its folder.

    The folders are named as the links name them: bound under these names, every link holds, even
    one that leads to another link. Raises EvengroundError for a link that would lead elsewhere in a
    container.
    """
    home = str(real(root))
    places: set[str] = set()
    for link in _links(root):
        if link.misled:
            what = f"a container looks for {link.leads} there, which is another place"
            raise EvengroundError(what, link.shown, f"make it a link to {real(Path(link.shown))}")
        if link.is_there:
            places.update(_needed(link, home))
    return _outermost(places)


def _needed(link: _Link, home: str) -> Iterator[str]:
    """The folders that a container needs to follow a link; several if it leads to another link."""
    place = link.leads
    if link.is_folder:
        if not is_below(place, home):
            yield place
        return
    while not is_below(place, home):
        yield os.path.dirname(place)
        if not os.path.islink(place):
            return
        place = _expanded(_next(place), home)


def _outermost(places: Iterable[str]) -> list[str]:
    """Those that lie in no other one, and where a link in another one leads out of it."""
    kept: set[str] = set()
    above = ""
    # By path components: a folder comes right before all that lies in it.
    for place in sorted(places, key=lambda path: path.split("/")):
        if not above or not is_below(place, above):
            above = place
            kept.add(place)
            continue
        inner = _expanded(place, above)
        if not is_below(inner, above):
            kept.add(inner)
    return sorted(kept)


def _links(root: Path) -> Iterator[_Link]:
    """Every link below `data` and `results`, also behind links; each folder is read once."""
    home = str(real(root))
    known: set[str] = set()
    # What was set aside is used by nothing, and a relative link may lead nowhere from there.
    left_out = str(root / ASIDE)
    folders = [_Folder(shown=str(root), seen=home, real=home)]
    while folders:
        folder = folders.pop()
        for entry in _entries(folder, home):
            inner = None
            if entry.is_symlink():
                link = _link(folder, entry.name, home)
                yield link
                if link.is_folder:
                    inner = _Folder(shown=link.shown, seen=link.leads, real=link.real)
            elif entry.is_dir():
                inner = _Folder(
                    shown=f"{folder.shown}/{entry.name}",
                    seen=f"{folder.seen}/{entry.name}",
                    real=f"{folder.real}/{entry.name}",
                )
            if inner is None or inner.real in known or inner.shown == left_out:
                continue
            # A folder that holds the working copy is a ring, and may be a whole disk.
            if not is_below(home, inner.real):
                known.add(inner.real)
                folders.append(inner)


def _entries(folder: _Folder, home: str) -> list[os.DirEntry[str]]:
    """What is in a folder, in order; of the working copy `data` and `results` only."""
    try:
        with os.scandir(folder.real) as scanned:
            entries = sorted(scanned, key=lambda entry: entry.name)
    except OSError:
        # Nothing of ours is in a folder that we cannot read, such as a disk's lost+found.
        return []
    if folder.real != home:
        return entries
    return [entry for entry in entries if Path(entry.name) in {DATA, RESULTS}]


def _link(folder: _Folder, name: str, home: str) -> _Link:
    path = f"{folder.real}/{name}"
    shown = f"{folder.shown}/{name}"
    leads = _expanded(_next(path, folder.seen), home)
    try:
        there = os.stat(path)
    except OSError:
        return _Link(shown=shown, leads=leads, real=path)
    is_folder = stat.S_ISDIR(there.st_mode)
    if is_folder:
        path = os.path.realpath(path)
    misled = not _is(leads, there)
    return _Link(
        shown=shown, leads=leads, real=path, is_there=True, is_folder=is_folder, misled=misled
    )


def _is(path: str, there: os.stat_result) -> bool:
    try:
        return os.path.samestat(os.stat(path), there)
    except OSError:
        return False


def _next(link: str, folder: str = "") -> str:
    """Where a link leads by its text, from `folder` or from the folder that it lies in."""
    return os.path.normpath(os.path.join(folder or os.path.dirname(link), os.readlink(link)))


def _expanded(path: str, area: str) -> str:
    """The path without links on its way below the folder `area`; a path outside stays as it is."""
    for _ in range(MAX_HOPS):
        link = _first_link(path, area)
        if link is None:
            break
        path = os.path.normpath(os.path.join(_next(link), path[len(link) + 1 :]))
    return path


def _first_link(path: str, area: str) -> str | None:
    if not is_below(path, area):
        return None
    way = area.rstrip("/")
    for name in path[len(way) + 1 :].split("/"):
        way = f"{way}/{name}"
        if os.path.islink(way):
            return way
    return None
