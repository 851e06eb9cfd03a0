"""Copying the runs of a bundle into a working copy, where the pipeline treats them as its own."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from evenground.analysis.calibration import read_calibration
from evenground.analysis.contact_sheet import read_contact_sheet
from evenground.analysis.runs import Run, all_runs
from evenground.bundle.names import NOT_ALLOWED, is_allowed
from evenground.errors import EvengroundError, set_aside
from evenground.files import move, read_json, replacing, sha256_file, write_json
from evenground.records.index import Index
from evenground.records.manifest import MANIFEST

RUNS = ("results", "runs")
CALIBRATIONS = ("results", "calibration")
SHEETS = ("results", "contact_sheets")
OTHER_BUNDLE = "take another bundle"


@dataclass(frozen=True)
class Adopted:
    """Numbers of runs copied and already present, and the configuration that asks for them."""

    new: int
    known: int
    configuration: Path


def adopt(index: Index, where: Path, root: Path, name: str) -> Adopted:
    """Copy a bundle's finished runs, calibration and contact sheets into the working copy at `root`.

    `where` is the index file of the unpacked bundle. The configuration is written to
    results/adopted/`name`.json. Before anything is copied, raises EvengroundError if a run does not
    match its manifest, if its path does not lie in results/runs, or if the working copy has a
    different run at that path.
    """
    # Everything is checked first: a refused bundle leaves the working copy as it was.
    runs = all_runs(index)
    for run in runs:
        _check_run(run)
    new = [run for run in runs if _is_new(run, root)]
    beside = _files_beside(index)
    settings = read_json(where.with_name("experiment.json"))
    for run in new:
        _copy_run(run, root)
    for path in beside:
        _copy_absent(index.root / path, root / path)
    # The runs are of that machine, whatever this one is.
    machines = index.class_names
    settings["machine"] = machines if len(machines) > 1 else machines[0]
    configuration = root / "results/adopted" / f"{name}.json"
    write_json(configuration, settings)
    return Adopted(new=len(new), known=len(runs) - len(new), configuration=configuration)


def _files_beside(index: Index) -> list[str]:
    """The paths of calibration and contact sheets; raises EvengroundError if one is not right."""
    for condition in index.conditions:
        read_calibration(condition)
        if condition.calibration:
            _refuse_place(condition.calibration.path, CALIBRATIONS, depth=4)
    for dataset in index.datasets:
        read_contact_sheet(index.root, dataset)
        if dataset.contact_sheet:
            _refuse_place(dataset.contact_sheet.path, SHEETS, depth=3)
    return [file.path for file in index.files_beside]


def _check_run(run: Run) -> None:
    """Raise EvengroundError if a run's path or file names are unsafe, or a checksum is wrong."""
    _refuse_place(str(run.wanted.path), RUNS, depth=7)
    for name in run.files:
        # The manifest is not trusted either: `../x` would be written outside the run directory.
        if "/" in name or not is_allowed(name):
            raise EvengroundError(
                NOT_ALLOWED, f"{name!r} in {run.wanted.path}/{MANIFEST}", OTHER_BUNDLE
            )
        run.content(name)


def _refuse_place(path: str, below: tuple[str, str], depth: int) -> None:
    """Raise EvengroundError unless `path` lies in `below`, `depth` parts deep.

    The index is not trusted: nothing may be copied anywhere else.
    """
    parts = Path(path).parts
    if parts[:2] != below or len(parts) != depth:
        raise EvengroundError("a file of the bundle does not belong there", path, OTHER_BUNDLE)


def _is_new(run: Run, root: Path) -> bool:
    """Whether the working copy lacks the run; raises EvengroundError if another has its path."""
    there = root / str(run.wanted.path) / MANIFEST
    if not there.is_file():
        return True
    if sha256_file(there) not in (run.wanted.manifest_sha256, run.wanted.recorded_as):
        raise EvengroundError(
            "another run stands at the place of one of the bundle",
            str(run.wanted.path),
            f"to take the bundle's, {set_aside(str(run.wanted.path), then='adopt again')}",
        )
    return False


def _copy_run(run: Run, root: Path) -> None:
    """Copy to a temporary directory, then rename: results/runs never has a half-copied run."""
    beside = root / "results/attempts/.adopted"
    shutil.rmtree(beside, ignore_errors=True)
    beside.mkdir(parents=True)
    shutil.copyfile(run.folder / MANIFEST, beside / MANIFEST)
    for name in run.files:
        shutil.copyfile(run.folder / name, beside / name)
    move(beside, root / str(run.wanted.path))


def _copy_absent(file: Path, to: Path) -> None:
    """Copy a file unless `to` exists: its name is a digest of what decides its content."""
    if not to.exists():
        with replacing(to) as beside:
            shutil.copyfile(file, beside)
