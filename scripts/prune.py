#!/usr/bin/env python3
"""Remove the runs, and the attempts at runs, that no index names; without --yes only say which.

Named is what the indexes and plans in this working copy name, and what the files given by --keep name.
Other commits, branches and tags are not asked.
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
from evenground.bundle.unpack import blamed_on, extract, find_index
from evenground.errors import EvengroundError, cli
from evenground.files import read_json
from evenground.runs.plan import RESULTS
from evenground.runs.prune import (
    Old,
    listing,
    old_folders,
    places,
    places_here,
    refuse_busy,
    remove,
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


def places_kept(files: list[Path]) -> set[Path]:
    """What files given by --keep name; EvengroundError where one is neither an index nor a bundle."""
    kept = set()
    for file in files:
        if file.suffix == ".json":
            kept |= places_in_index(file)
        else:
            kept |= places_in_bundle(file)
    return kept


def places_in_index(file: Path) -> set[Path]:
    """What an index names; EvengroundError where it is missing, torn or none."""
    try:
        content = read_json(file)
    except EvengroundError as error:
        # Its advice is for a file of the pipeline's own.
        raise EvengroundError(
            error.what, str(file), "name an index.json or a bundle that is whole"
        ) from None
    return places(content, str(file))


def places_in_bundle(file: Path) -> set[Path]:
    """What a bundle of any version names; EvengroundError where a file of it is not what it was packed as."""
    with tempfile.TemporaryDirectory(prefix="evenground-prune-") as scratch:
        unpacked = Path(scratch, "bundle")
        extract(file, unpacked)
        with blamed_on(file, unpacked):
            index = find_index(unpacked)
            return places(read_json(index), str(index))


@contextmanager
def dvc_at_rest(root: Path) -> Iterator[None]:
    """No other DVC command is at work in the working copy; EvengroundError where that cannot be had."""
    logging.getLogger("dvc").setLevel(logging.CRITICAL)
    try:
        # The first lock keeps checkout and gc away, the second the stages of `dvc repro`. Git is not needed.
        with (
            Repo(str(root), scm=NoSCM(str(root))) as repo,
            repo.lock,
            rwlock(repo.tmp_dir, repo.fs, "prune", [], [str(root)], False),
        ):
            yield
    except (DvcException, OSError) as error:
        what = "DVC cannot be asked" if isinstance(error, DvcException) else "a file cannot be read"
        raise EvengroundError(f"{what}: {error}", str(root), "fix that and run again") from None


def refuse_all(root: Path) -> None:
    """Raise EvengroundError: every run would go, also those that were just taken over from a bundle."""
    raise EvengroundError(
        "no index and no plan here names any run",
        str(root / RESULTS),
        "nothing was removed; call the pipeline first, or name an index or a bundle: --keep FILE",
    )


def say(old: list[Old], args: argparse.Namespace) -> None:
    """Print what goes, and how."""
    print("\n".join(listing(old)), flush=True)
    if not args.yes:
        words = ["evenground", "prune"]
        for file in args.keep:
            words += ["--keep", str(file)]
        print(f"nothing was removed; to remove them: {shlex.join([*words, '--yes'])}")


def main() -> None:
    args = arguments()
    root = _path.ROOT
    kept = places_kept(args.keep)
    with dvc_at_rest(root):
        # From here on nothing waits: what an invocation of Snakemake just finished is in the plan that is read now.
        refuse_busy(root)
        named = kept | places_here(root)
        old = old_folders(root, named)
        if not old:
            print("nothing to remove: every run is named")
            return
        if not named:
            refuse_all(root)
        say(old, args)
        if args.yes:
            remove(root, old)
            print(f"removed\n{AFTER}")


if __name__ == "__main__":
    cli(main)
