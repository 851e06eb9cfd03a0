"""What goes into a bundle: recorded runs, what was made of them, and what they were made from."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from evenground.analysis.index import Index
from evenground.bundle.names import NOT_ALLOWED, is_allowed
from evenground.errors import EvengroundError
from evenground.files import name_below

# What follows from the runs, beside the index; the normalised timelines are made anew by a replay.
DERIVED = ("metrics.json", "verdicts.json", "tables", "figures")
SETTINGS = "experiment.json"
# What a bundle holds beside results.
MADE_FROM = ("envs", "containers", "data", "results/images")
MAKE = "make it first: snakemake --cores all figures"


def collect(index: Index, where: Path, given: Iterable[Path]) -> dict[str, Path]:
    """Name in the bundle -> file, of everything the index file at `where` stands for.

    `given` are further files below the index's root: locks, definitions, the registry. Raises EvengroundError
    where no run has finished, tables and figures are missing, or a file has a name that no bundle has.
    """
    if not index.finished:
        raise EvengroundError(
            "no wanted run has finished", str(where), "train first: snakemake --cores all"
        )
    files = [where, where.with_name(SETTINGS)]
    for name in DERIVED:
        files += [file for file in _files(where.with_name(name)) if not _shows_images(file)]
    if index.calibration:
        files.append(index.root / index.calibration.path)
    for run in index.finished:
        files += _files(index.root / str(run.path))
    files += given
    named = {_name(file, index.root): file for file in files}
    for name in named:
        # Who unpacks the bundle would be refused; what is in the way is known here.
        if not is_allowed(name):
            raise EvengroundError(NOT_ALLOWED, str(index.root / name), "move it away")
    return named


def laid_out(folder: Path) -> list[Path]:
    """The files of MADE_FROM of a bundle that is laid out in `folder`."""
    files: list[Path] = []
    for name in MADE_FROM:
        files += sorted(path for path in (folder / name).rglob("*") if path.is_file())
    return files


def _shows_images(file: Path) -> bool:
    """Whether a figure shows images of a dataset: those belong to others, and a bundle is given away."""
    return file.name.startswith("samples_")


def _name(file: Path, root: Path) -> str:
    """What a file is called in the bundle: its place in the working copy, whatever is a link there."""
    name = name_below(file, root)
    if name is None:
        raise EvengroundError(
            "it does not lie in the folder of the index", str(file), f"copy it into {root}"
        )
    return name


def _files(path: Path) -> list[Path]:
    """The file at `path`, or the files in that folder; raises EvengroundError if there is no such path."""
    if path.is_file():
        return [path]
    files = sorted(file for file in path.glob("*") if file.is_file())
    if not files:
        raise EvengroundError("there is nothing to pack", str(path), MAKE)
    return files
