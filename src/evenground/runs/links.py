"""Links below `results` and `data`: none may lead nowhere, and what lies elsewhere a container has to see."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from evenground.errors import EvengroundError
from evenground.files import BRING_BACK, real
from evenground.runs.plan import ATTEMPTS, RESULTS, RUNS

DATA = Path("data")
# A link in place of such a file is no fault here: it is looked at, or made again, like any file.
FILES = {".json", ".html", ".npy", ".md"}
# Folder -> how deep below it there are folders of ours: MACHINE/DATASET/ENGINE/KEY/rN, DATASET/HASH.
DEPTHS = {RESULTS: 2, RUNS: 5, ATTEMPTS: 5, DATA: 1, DATA / "raw": 2, DATA / "prepared": 3}


def refuse_lost_links(root: Path) -> None:
    """EvengroundError for a link in place of a folder that leads nowhere or back to itself.

    What is trained could not be written there, and runs that lie behind it would be trained again.
    """
    for link in _links(root):
        if not link.exists() and link.suffix not in FILES:
            what = f"it is a link to {link.readlink()}, which is not there"
            raise EvengroundError(what, str(link), BRING_BACK)


def refuse_outside_of_dvc(root: Path, out: Path) -> None:
    """EvengroundError where the folder `out` of tables and figures lies outside of the working copy.

    DVC takes its outputs for links, but refuses those behind one, and that only when everything is trained.
    """
    for folder in (RESULTS, out):
        if not real(root / folder).is_relative_to(real(root)):
            what = "DVC stores nothing behind a link that leads out of the repository"
            todo = f"make {RUNS} the link, or keep DVC's cache on the other disk (docs/dvc.md, links)"
            raise EvengroundError(what, str(root / folder), todo)


def folders_elsewhere(root: Path) -> list[str]:
    """Where links below `results` and `data` lead out of the working copy: of a file, its folder there."""
    home = real(root)
    places = {real(link) for link in _links(root) if link.exists()}
    outside = {place for place in places if not place.is_relative_to(home)}
    return sorted({str(place if place.is_dir() else place.parent) for place in outside})


def _links(root: Path) -> Iterator[Path]:
    """Every link in the folders of `DEPTHS`, and those folders themselves where they are links."""
    for top, depth in DEPTHS.items():
        if (root / top).is_symlink():
            yield root / top
        yield from _links_below(root / top, depth)


def _links_below(folder: Path, depth: int) -> Iterator[Path]:
    for path in _entries(folder):
        if path.is_symlink():
            yield path
        if depth > 1:
            yield from _links_below(path, depth - 1)


def _entries(folder: Path) -> Sequence[Path]:
    return sorted(folder.iterdir()) if folder.is_dir() else ()
