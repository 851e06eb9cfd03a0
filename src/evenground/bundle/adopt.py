"""Taking the runs of a bundle over into a working copy, where the pipeline finds them as its own."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from evenground.analysis.calibration import read_calibration
from evenground.analysis.index import Index
from evenground.analysis.runs import Run, read_runs
from evenground.errors import EvengroundError, set_aside
from evenground.files import move, read_json, replacing, sha256_file, write_json

RUNS, CALIBRATIONS = ("results", "runs"), ("results", "calibration")
MANIFEST = "manifest.json"


@dataclass(frozen=True)
class Adopted:
    """How many runs came, how many were there already, and the configuration that wants them."""

    new: int
    known: int
    configuration: Path


def adopt(index: Index, where: Path, root: Path, name: str) -> Adopted:
    """Copy the finished runs and the calibration of an unpacked bundle into the working copy at `root`.

    `where` is the index file of the bundle, `name` names the configuration below results/adopted. Raises
    EvengroundError, before anything is copied, for a run that is not what its manifest says, does not belong
    where it says, or stands in the working copy otherwise.
    """
    runs = read_runs(index)
    new = [run for run in runs if _is_new(run, root)]
    read_calibration(index)
    if index.calibration:
        _refuse_place(index.calibration.path, CALIBRATIONS, 4)
    for run in new:
        _copy_run(run, root)
    if index.calibration:
        to = root / index.calibration.path
        if not to.exists():
            with replacing(to) as beside:
                shutil.copyfile(index.root / index.calibration.path, beside)
    settings = {
        **read_json(where.with_name("experiment.json")),
        "machine": index.machine.class_name,
    }
    configuration = root / "results/adopted" / f"{name}.json"
    write_json(configuration, settings)
    return Adopted(len(new), len(runs) - len(new), configuration)


def _is_new(run: Run, root: Path) -> bool:
    """Whether the working copy lacks the run; every file of it is checked first."""
    _refuse_place(str(run.wanted.path), RUNS, 7)
    for name in run.files:
        run.content(name)
    there = root / str(run.wanted.path) / MANIFEST
    same = {run.wanted.manifest_sha256, run.wanted.recorded_as}
    if there.is_file() and sha256_file(there) not in same:
        raise EvengroundError(
            "another run stands at the place of one of the bundle",
            str(run.wanted.path),
            f"to take the bundle's, {set_aside(str(run.wanted.path), then='adopt again')}",
        )
    return not there.is_file()


def _refuse_place(path: str, below: tuple[str, str], depth: int) -> None:
    """A run is copied nowhere but below results/runs: the index comes from anybody."""
    parts = Path(path).parts
    if parts[:2] != below or len(parts) != depth:
        raise EvengroundError(
            "a run or a calibration does not belong there", path, "take another bundle"
        )


def _copy_run(run: Run, root: Path) -> None:
    """Copy beside, then rename: a half-copied run never stands below results/runs."""
    to = root / str(run.wanted.path)
    beside = root / "results/attempts/.adopted"
    shutil.rmtree(beside, ignore_errors=True)
    beside.mkdir(parents=True)
    for name in (*run.files, MANIFEST):
        shutil.copyfile(run.folder / name, beside / name)
    move(beside, to)
