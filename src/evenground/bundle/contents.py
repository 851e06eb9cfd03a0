"""What goes into a bundle: recorded runs, their inputs, and the results derived from them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from evenground.bundle.names import NOT_ALLOWED, is_allowed
from evenground.errors import EvengroundError
from evenground.files import name_below
from evenground.records.index import Index

# What follows from the runs, beside the index; the normalised timelines are made anew by a replay.
DERIVED = ("metrics.json", "verdicts.json", "tables", "figures")
SETTINGS = "experiment.json"
# What a bundle holds beside results.
MADE_FROM = ("envs", "containers", "data", "results/images")
MAKE = "make it first: snakemake --cores all figures"


def collect(index: Index, where: Path, given: Iterable[Path]) -> dict[str, Path]:
    """Collect the files of a bundle: name in the bundle -> file.

    `where` is the index file. `given` are further files below the index's root: locks, definitions,
    the registry. Raises EvengroundError if no run has finished, tables or figures are missing, or a
    file has a name that is not allowed in a bundle.
    """
    if not index.finished:
        raise EvengroundError(
            "no wanted run has finished", str(where), "train first: snakemake --cores all"
        )
    files = [where, where.with_name(SETTINGS)]
    for name in DERIVED:
        files += _files(where.with_name(name))
    files += [index.root / file.path for file in index.files_beside]
    for run in index.finished:
        files += _files(index.root / str(run.path))
    files += given
    named = {_name(file, index.root): file for file in files}
    for name in named:
        # Unpacking would refuse this name too, but only here can the file be moved away.
        if not is_allowed(name):
            raise EvengroundError(NOT_ALLOWED, str(index.root / name), "move it away")
    return named


def laid_out(folder: Path) -> list[Path]:
    """The files below the MADE_FROM folders of a bundle laid out in `folder`."""
    files: list[Path] = []
    for name in MADE_FROM:
        files += sorted(path for path in (folder / name).rglob("*") if path.is_file())
    return files


def _name(file: Path, root: Path) -> str:
    """A file's name in the bundle: its path below `root`, where links keep their own names.

    Raises EvengroundError if the file does not lie below `root`.
    """
    name = name_below(file, root)
    if name is None:
        raise EvengroundError(
            "it does not lie in the folder of the index", str(file), f"copy it into {root}"
        )
    return name


def _files(path: Path) -> list[Path]:
    """The file at `path`, or the files in that folder; raises EvengroundError if there is none."""
    if path.is_file():
        return [path]
    files = sorted(file for file in path.glob("*") if file.is_file())
    if not files:
        raise EvengroundError("there is nothing to pack", str(path), MAKE)
    return files
