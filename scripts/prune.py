#!/usr/bin/env python3
"""Remove the runs, and the attempts at runs, that no index names; without --yes only list them.

A run is kept if an index or a plan in this working copy, or a file of --keep, names it. Other
commits, branches and tags are not searched.
"""

from __future__ import annotations

import argparse
import logging
import shlex
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dvc.exceptions import DvcException
from dvc.repo import Repo
from dvc.rwlock import rwlock
from dvc.scm import NoSCM

import _path
from evenground.errors import EvengroundError, cli
from evenground.files import read_json
from evenground.runs.plan import RESULTS
from evenground.runs.prune import (
    Old,
    listing,
    old_folders,
    refuse_busy,
    remove,
    run_paths_here,
    run_paths_in,
)

AFTER = """\
Where DVC stored them, its cache still holds copies. To free them:
  dvc repro      (or: dvc commit --force train), so that dvc.lock names the runs that are left; commit it
  dvc gc --workspace --all-branches --all-tags --all-experiments"""


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="evenground prune",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--yes", action="store_true", help="remove them")
    parser.add_argument(
        "--keep",
        action="append",
        default=[],
        type=Path,
        metavar="FILE",
        help="keep what this index.json or bundle names, too; repeatable",
    )
    return parser.parse_args()


def run_paths_kept(files: list[Path]) -> set[Path]:
    """What the files of --keep name; raises EvengroundError if one is no index and no bundle."""
    kept: set[Path] = set()
    for file in files:
        if file.suffix == ".json":
            kept |= run_paths_in_index(file)
        else:
            kept |= run_paths_in_bundle(file)
    return kept


def run_paths_in_index(file: Path) -> set[Path]:
    """What an index names; raises EvengroundError if it is missing, torn or something else."""
    try:
        content = read_json(file)
    except EvengroundError as error:
        # Its own fix is one for a file that the pipeline makes.
        fix = "name an index.json or a bundle that is whole"
        raise EvengroundError(error.what, str(file), fix) from None
    return run_paths_in(content, str(file))


def run_paths_in_bundle(file: Path) -> set[Path]:
    """What a bundle of any version names; raises EvengroundError if a file of it was changed."""
    # Here, as it takes a quarter of a second to import and few files to keep are bundles.
    from evenground.bundle.unpack import blamed_on, extract, find_index

    with tempfile.TemporaryDirectory(prefix="evenground-prune-") as scratch:
        unpacked = Path(scratch, "bundle")
        extract(file, unpacked)
        with blamed_on(file, unpacked):
            index = find_index(unpacked)
            return run_paths_in(read_json(index), str(index))


@contextmanager
def dvc_at_rest(root: Path) -> Iterator[None]:
    """Keep all other DVC commands out of the working copy; raises EvengroundError if that fails."""
    logging.getLogger("dvc").setLevel(logging.CRITICAL)
    try:
        # The first lock keeps checkout and gc away, the second the stages of `dvc repro`.
        with (
            Repo(str(root), scm=NoSCM(str(root))) as repo,
            repo.lock,
            rwlock(repo.tmp_dir, repo.fs, "prune", [], [str(root)], False),
        ):
            yield
    except (DvcException, OSError) as error:
        what = "a file cannot be read"
        if isinstance(error, DvcException):
            what = "DVC cannot be asked"
        raise EvengroundError(f"{what}: {error}", str(root), "fix that and run again") from None


def refuse_all(root: Path) -> None:
    """Raises EvengroundError: every run would go, even those just taken over from a bundle."""
    raise EvengroundError(
        "no index and no plan here names any run",
        str(root / RESULTS),
        "nothing was removed; run the pipeline first, or name an index or a bundle: --keep FILE",
    )


def print_listing(old: list[Old], args: argparse.Namespace) -> None:
    """Print what would be removed, and without --yes the command that removes it."""
    print("\n".join(listing(old)), flush=True)
    if not args.yes:
        command = ["evenground", "prune"]
        for file in args.keep:
            command += ["--keep", str(file)]
        command.append("--yes")
        print(f"nothing was removed; to remove them: {shlex.join(command)}")


def main() -> None:
    args = arguments()
    root = _path.ROOT
    kept = run_paths_kept(args.keep)
    with dvc_at_rest(root):
        # Nothing can begin from here on: what Snakemake has just finished is in the plan.
        refuse_busy(root)
        named = kept | run_paths_here(root)
        old = old_folders(root, named)
        if not old:
            print("nothing to remove: every run is named")
            return
        if not named:
            refuse_all(root)
        print_listing(old, args)
        if args.yes:
            remove(root, old)
            print(f"removed\n{AFTER}")


if __name__ == "__main__":
    cli(main)
