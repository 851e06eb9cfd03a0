#!/usr/bin/env python3
"""Write dvc.lock anew from a published bundle: what this version draws of its runs. Nothing is trained.

The bundle's datasets have to be prepared in this working copy. DVC is called in a copy of it.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from _path import ROOT
from evenground.analysis.index import Index, read_index
from evenground.bundle.unpack import unpack
from evenground.claims.model import read_claims
from evenground.errors import EvengroundError, cli
from evenground.replay import redraw
from evenground.runs.repeat import DVC_COMMAND

STAGES = ("data", "train", "report", "complete")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bundle", type=Path)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="evenground-lock-") as scratch:
        copy = Path(scratch, "copy")
        copy_tracked_files(copy)
        where = lay_out(args.bundle, Path(scratch, "bundle"), copy)
        # What the lock names is what DVC would make.
        redraw(read_index(where), where, where.parent, read_claims(ROOT), DVC_COMMAND)
        lock(copy)
        shutil.copyfile(copy / "dvc.lock", ROOT / "dvc.lock")
    print(f"dvc.lock names what this version draws of {args.bundle.name}")


def copy_tracked_files(copy: Path) -> None:
    """Copy the working copy's tracked files as they are now into a repository of their own: DVC wants one."""
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, copy / name)
    subprocess.run(["git", "init", "--quiet"], cwd=copy, check=True)


def lay_out(bundle: Path, unpacked: Path, copy: Path) -> Path:
    """Put a bundle's results and the data it was trained on into the copy; the path of its index there."""
    where = unpack(bundle, unpacked)
    shutil.copytree(unpacked / "results", copy / "results", dirs_exist_ok=True)
    index = copy / where.relative_to(unpacked)
    for name in prepared_folders(read_index(index)):
        if not (ROOT / name / "dataset.json").is_file():
            fix = "prepare it: snakemake data, with the datasets of the bundle"
            raise EvengroundError("a dataset is not prepared", str(ROOT / name), fix)
        shutil.copytree(ROOT / name, copy / name)
    # DVC stores the folder of an experiment's parts, also where it has but one.
    (index.parent / "parts").mkdir()
    return index


def prepared_folders(index: Index) -> list[str]:
    """The prepared folders of all datasets, relative to a working copy."""
    return [dataset.prepared for dataset in index.datasets if dataset.prepared]


def lock(copy: Path) -> None:
    """Let DVC in the copy write down what lies there."""
    command = [sys.executable, "-m", "dvc", "commit", "--quiet", "--force", *STAGES]
    done = subprocess.run(command, cwd=copy, capture_output=True, text=True)
    if done.returncode:
        said = done.stderr.strip()[-300:]
        raise EvengroundError(f"DVC failed: {said}", " ".join(command), "see its message")


if __name__ == "__main__":
    cli(main)
