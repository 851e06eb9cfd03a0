#!/usr/bin/env python3
"""Rewrite dvc.lock for what this version draws of a published bundle's runs; nothing is trained.

DVC runs in a copy of this working copy. No bundle holds arrays: what the lock names of them stays.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from _path import ROOT
from evenground.bundle.replay import redraw
from evenground.bundle.unpack import unpack
from evenground.claims.model import read_claims
from evenground.errors import EvengroundError, cli
from evenground.files import write_text
from evenground.records.index import read_index
from evenground.runs.repeat import DVC_COMMAND

STAGES = ("data", "train", "report", "complete")
# The entry of prepared data in a lock: its path, and the lines below that.
ARRAYS = re.compile(r"- path: data/prepared\n(?: {6}.+\n)+")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bundle", type=Path)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="evenground-lock-") as scratch:
        copy = Path(scratch, "copy")
        copy_tracked_files(copy)
        where = lay_out(args.bundle, Path(scratch, "bundle"), copy)
        # With the command that `dvc repro` would have recorded.
        redraw(read_index(where), where, where.parent, read_claims(ROOT), DVC_COMMAND)
        lock(copy)
        named = (ROOT / "dvc.lock").read_text(encoding="utf-8")
        new = (copy / "dvc.lock").read_text(encoding="utf-8")
        write_text(ROOT / "dvc.lock", ARRAYS.sub(ARRAYS.findall(named)[0], new))
    print(f"dvc.lock names what this version draws of {args.bundle.name}")


def copy_tracked_files(copy: Path) -> None:
    """Copy the tracked files as they are now into a new git repository, which DVC needs."""
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    for name in listed.stdout.split("\0"):
        # The output ends with a separator; a tracked file may have been removed.
        if (ROOT / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, copy / name)
    subprocess.run(["git", "init", "--quiet"], cwd=copy, check=True)


def lay_out(bundle: Path, unpacked: Path, copy: Path) -> Path:
    """Put a bundle's results into the copy, and return the path of its index there."""
    where = unpack(bundle, unpacked)
    shutil.copytree(unpacked / "results", copy / "results", dirs_exist_ok=True)
    index = copy / where.relative_to(unpacked)
    (copy / "data/prepared").mkdir()
    return index


def lock(copy: Path) -> None:
    """Let DVC record the files of the copy in its lock; raises EvengroundError if it fails."""
    command = [sys.executable, "-m", "dvc", "commit", "--quiet", "--force"]
    command += STAGES
    done = subprocess.run(command, cwd=copy, capture_output=True, text=True)
    if done.returncode:
        message = done.stderr.strip()[-300:]
        raise EvengroundError(f"DVC failed: {message}", " ".join(command), "see its message")


if __name__ == "__main__":
    cli(main)
