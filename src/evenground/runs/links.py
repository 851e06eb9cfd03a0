"""Links below `results` and `data`: none may lead nowhere, and what lies elsewhere a container has to see."""

# A thousand runs are ten thousand files, each a link where DVC keeps them: with `Path` that takes seconds.
# ruff: noqa: PTH114, PTH115, PTH116, PTH118, PTH120

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from evenground.errors import EvengroundError
from evenground.files import BRING_BACK, real
from evenground.runs.plan import RESULTS, RUNS
from evenground.surroundings.mounts import is_below

DATA = Path("data")
RAW = DATA / "raw"
# A link in place of such a file is no fault here: it is looked at, or made again, like any file.
FILES = {".json", ".jsonl", ".csv", ".html", ".npy", ".md", ".log", ".svg", ".png", ".txt", ".gz"}
# As many links in a row as Linux follows.
MAX_HOPS = 40


@dataclass(frozen=True, slots=True)
class _Folder:
    """A folder under the names that links on the way to it give it."""

    shown: str
    """As it is reached from the working copy."""
    seen: str
    """Where a container sees it, to which the working copy lies where it really does."""
    real: str
    """Where it really lies."""


@dataclass(frozen=True, slots=True)
class _Link:
    shown: str
    leads: str
    """What a container looks for when it follows the link."""
    real: str
    is_there: bool = False
    is_folder: bool = False
    misled: bool = False
    """Whether what a container looks for is another place, or none."""


def refuse_lost_links(root: Path) -> None:
    """EvengroundError for a link in place of a folder that leads nowhere or back to itself.

    What is trained could not be written there, and runs that lie behind it would be trained again.
    """
    for link in _links(root):
        path = Path(link.shown)
        if not link.is_there and not _stands_for_file(path.relative_to(root)):
            raise EvengroundError(
                f"it is a link to {path.readlink()}, which is not there", str(path), BRING_BACK
            )


def _stands_for_file(path: Path) -> bool:
    """Whether a link at this place below the working copy is one of a file, going by its name."""
    # Raw files have the names their publisher gave them: data/raw/DATASET/HASH/FILE.
    is_raw = path.is_relative_to(RAW) and len(path.parts) > len(RAW.parts) + 2
    return is_raw or path.suffix in FILES


def refuse_outside_of_dvc(root: Path, out: Path) -> None:
    """EvengroundError where the folder `out` of tables and figures lies outside of the working copy.

    DVC takes its outputs for links, but refuses those behind one, and that only when everything is trained.
    """
    for folder in (RESULTS, out):
        if not real(root / folder).is_relative_to(real(root)):
            what = "DVC stores nothing behind a link that leads out of the repository"
            fix = (
                f"make {RUNS} the link, or keep DVC's cache on the other disk (docs/dvc.md, links)"
            )
            raise EvengroundError(what, str(root / folder), fix)


def outside_of(root: Path, paths: Iterable[Path]) -> list[str]:
    """Where those of the paths really lie that are not in the working copy, each once."""
    home = real(root)
    places = {real(path) for path in paths}
    return sorted(str(place) for place in places if not place.is_relative_to(home))


def folders_elsewhere(root: Path) -> list[str]:
    """Where links below `results` and `data` lead out of the working copy: of a file, its folder there.

    Named as the links name them: seen under these names, every link holds, also one that leads to a link.
    Raises EvengroundError for a link that would lead elsewhere from there.
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
    """The folders a container has to see to follow a link; of links to links in place of a file, several."""
    place = link.leads
    while not is_below(place, home):
        yield place if link.is_folder else os.path.dirname(place)
        if link.is_folder or not os.path.islink(place):
            return
        place = _expanded(_next(place), home)


def _outermost(places: Iterable[str]) -> list[str]:
    """Those that lie in no other one; where a link in another one leads on, the place behind it."""
    kept: set[str] = set()
    above = ""
    for place in sorted(places, key=lambda path: path.split("/")):
        inner = _expanded(place, above) if above else place
        if not above or not is_below(place, above):
            above = place
            kept.add(place)
        elif not is_below(inner, above):
            kept.add(inner)
    return sorted(kept)


def _links(root: Path) -> Iterator[_Link]:
    """Every link below `data` and `results`, at any depth and behind links; each folder is read once."""
    home = str(real(root))
    known: set[str] = set()
    tops = [_Folder(str(root), home, home)]
    while tops:
        folder = tops.pop()
        for entry in _entries(folder, home):
            inner = None
            if entry.is_symlink():
                link = _link(folder, entry.name, home)
                yield link
                if link.is_folder:
                    inner = _Folder(link.shown, link.leads, link.real)
            elif entry.is_dir():
                names = (folder.shown, folder.seen, folder.real)
                inner = _Folder(*(f"{name}/{entry.name}" for name in names))
            # What holds the working copy is a ring, and all of a disk.
            if inner and inner.real not in known and not is_below(home, inner.real):
                known.add(inner.real)
                tops.append(inner)


def _entries(folder: _Folder, home: str) -> list[os.DirEntry[str]]:
    """What is in a folder, in order; of the working copy `data` and `results` only."""
    try:
        with os.scandir(folder.real) as entries:
            found = sorted(entries, key=lambda entry: entry.name)
    except OSError:
        # Nothing of ours lies where we may not read; a disk's lost+found is such a folder.
        return []
    return [entry for entry in found if folder.real != home or Path(entry.name) in {DATA, RESULTS}]


def _link(folder: _Folder, name: str, home: str) -> _Link:
    path = f"{folder.real}/{name}"
    leads = _expanded(_next(path, folder.seen), home)
    shown = f"{folder.shown}/{name}"
    try:
        there = os.stat(path)
    except OSError:
        return _Link(shown, leads, path)
    is_folder = stat.S_ISDIR(there.st_mode)
    place = os.path.realpath(path) if is_folder else path
    return _Link(
        shown, leads, place, is_there=True, is_folder=is_folder, misled=not _is(leads, there)
    )


def _is(path: str, there: os.stat_result) -> bool:
    try:
        return os.path.samestat(os.stat(path), there)
    except OSError:
        return False


def _next(link: str, folder: str = "") -> str:
    """Where the words of a link lead; from `folder`, where that is not the folder it lies in."""
    return os.path.normpath(os.path.join(folder or os.path.dirname(link), os.readlink(link)))


def _expanded(path: str, area: str) -> str:
    """The path without links on its way below the folder `area`; what lies elsewhere stays as it is."""
    for _ in range(MAX_HOPS):
        link = _first_link(path, area)
        if link is None:
            return path
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
