#!/usr/bin/env python3
"""Remove the runs, and the attempts at runs, that no index names; without --yes only list them.

A run is kept if an index or a plan in this working copy, or a file of --keep, names it. Other
commits, branches and tags are not searched.
"""

from __future__ import annotations

import argparse
import logging
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dvc.exceptions import DvcException
from dvc.repo import Repo
from dvc.rwlock import rwlock
from dvc.scm import NoSCM

from _path import ROOT
from evenground.errors import EvengroundError, cli
from evenground.runs.prune import find_old, listing, remove

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


def main() -> None:
    args = arguments()
    kept: set[Path] = set()
    if args.keep:
        # Here, as it takes a quarter of a second to import.
        from evenground.bundle.kept import run_paths_kept

        kept = run_paths_kept(args.keep)
    with dvc_at_rest(ROOT):
        old = find_old(ROOT, kept)
        if not old:
            print("nothing to remove: every run is named")
            return
        print("\n".join(listing(old)), flush=True)
        if args.yes:
            remove(ROOT, old)
            print(f"removed\n{AFTER}")
            return
    command = shlex.join(["evenground", "prune"] + sys.argv[1:] + ["--yes"])
    print(f"nothing was removed; to remove them: {command}")


if __name__ == "__main__":
    cli(main)
