"""What goes into a bundle: recorded runs, what was made of them, and what they were made from."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from evenground.analysis.index import Index
from evenground.bundle.names import fault
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
    where no run has finished, tables and figures are missing, or a file is there that no bundle has.
    """
    root, results = index.root, where.parent
    if not index.finished:
        raise EvengroundError(
            "no wanted run has finished", str(where), "train first: snakemake --cores all"
        )
    runs = [file for run in index.finished for file in _files(root / str(run.path))]
    derived = [
        file for name in DERIVED for file in _files(results / name) if not holds_images(file)
    ]
    calibration = [root / index.calibration.path] if index.calibration else []
    files = [where, results / SETTINGS, *derived, *calibration, *runs, *given]
    named = {_name(file, root): file for file in files}
    for name in named:
        if found := fault(name):
            raise EvengroundError(found, str(root / name), "move it away")
    return named


def laid_out(folder: Path) -> list[Path]:
    """The files of MADE_FROM of a bundle that is laid out in `folder`."""
    return [
        path for name in MADE_FROM for path in sorted((folder / name).rglob("*")) if path.is_file()
    ]


def _name(file: Path, root: Path) -> str:
    """What a file is called in the bundle: its place in the working copy, whatever is a link there."""
    name = name_below(file, root)
    if name is None:
        raise EvengroundError(
            "it does not lie in the folder of the index", str(file), f"copy it into {root}"
        )
    return name


def holds_images(file: Path) -> bool:
    """Whether a figure shows images of a dataset: those belong to others, and a bundle is given away."""
    return file.name.startswith("samples_")


def _files(path: Path) -> list[Path]:
    files = [path] if path.is_file() else sorted(file for file in path.glob("*") if file.is_file())
    if not files:
        raise EvengroundError("there is nothing to pack", str(path), MAKE)
    return files
