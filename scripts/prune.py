#!/usr/bin/env python3
"""Remove the runs, and the attempts at runs, that no index names; without --yes only say which.

Named is what the index of the tip of any branch, tag, remote branch, DVC experiment or stash names, and what
the index and the plan of this working copy name. Older commits of a branch do not count.
"""

from __future__ import annotations

import argparse
import hashlib
import logging
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dvc.config import NoRemoteError
from dvc.exceptions import DvcException
from dvc.repo import Repo
from dvc.rwlock import rwlock
from dvc_data.hashfile.hash_info import HashInfo

import _path
from evenground.errors import EvengroundError, cli
from evenground.runs.prune import (
    Old,
    listing,
    old_folders,
    places_here,
    places_of_text,
    refuse_busy,
    remove,
)
from evenground.runs.refs import Indexes, indexes, left_out

AFTER = """\
DVC's cache still holds copies. To free them, where nobody needs them any more:
  dvc repro      (or: dvc commit --force train), so that dvc.lock names the runs that are left; commit it
  dvc gc --workspace --all-branches --all-tags --all-experiments
A branch or tag whose dvc.lock names them with all of results/runs keeps their copies."""


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--yes", action="store_true", help="remove them")
    parser.add_argument(
        "--skip",
        action="append",
        default=[],
        metavar="REF",
        help="leave a branch, tag, experiment or stash out of account; repeatable",
    )
    return parser.parse_args()


@contextmanager
def dvc_at_rest(root: Path) -> Iterator[Repo]:
    """DVC's repository, with no other DVC command at work in it; EvengroundError where that cannot be had."""
    logging.getLogger("dvc").setLevel(logging.CRITICAL)
    try:
        # The first lock keeps checkout and gc away, the second the stages of `dvc repro`.
        with (
            Repo(str(root)) as repo,
            repo.lock,
            rwlock(repo.tmp_dir, repo.fs, "prune", [], [str(root)], False),
        ):
            yield repo
    except (DvcException, OSError) as error:
        what = "DVC cannot be asked" if isinstance(error, DvcException) else "a file cannot be read"
        raise EvengroundError(f"{what}: {error}", str(root), "mend that and call again") from None


def places_of_refs(repo: Repo, found: Indexes) -> set[Path]:
    """What all indexes of refs name; EvengroundError where one cannot be had."""
    texts = {md5: cached(repo, md5) for md5 in found.in_dvc}
    reason = fetch(repo, [md5 for md5, text in texts.items() if text is None])
    texts = {md5: text or cached(repo, md5) for md5, text in texts.items()}
    lost = sorted({ref for md5, text in texts.items() if text is None for ref in found.in_dvc[md5]})
    if lost:
        raise EvengroundError(
            f"the index of runs is neither in DVC's cache nor in its remote{reason}",
            ", ".join(lost),
            f"dvc fetch --all-branches --all-tags, or leave it out of account: {left_out(lost)}",
        )
    named = [(str(texts[md5]), refs) for md5, refs in found.in_dvc.items()] + list(found.in_git.items())
    return {place for text, refs in named for place in places_of_text(text, ", ".join(refs))}


def cached(repo: Repo, md5: str) -> str | None:
    """The text of an index in DVC's cache; None where it is not there or is damaged."""
    path = Path(repo.cache.local.oid_to_path(md5))
    content = path.read_bytes() if path.is_file() else b""
    return content.decode(errors="replace") if hashlib.md5(content).hexdigest() == md5 else None


def fetch(repo: Repo, md5s: list[str]) -> str:
    """Fetch what the default remote has of them into the cache; the reason why not, if there is one."""
    try:
        if md5s:
            repo.cloud.pull([HashInfo("md5", md5) for md5 in md5s])
    except NoRemoteError:
        return " (it has none)"
    except Exception as error:  # each kind of remote has its own; what they leave out is refused
        return f" ({str(error).splitlines()[0]})" if str(error) else ""
    return ""


def say(old: list[Old], given: argparse.Namespace) -> None:
    """Print what goes, and how."""
    if not old:
        print("nothing to remove: every run is named")
        return
    print("\n".join(listing(old)), flush=True)
    if not given.yes:
        skips = [word for ref in given.skip for word in ("--skip", ref)]
        print(f"nothing was removed; to remove them: {shlex.join(['evenground', 'prune', *skips, '--yes'])}")


def main() -> None:
    given = arguments()
    root = _path.ROOT
    found = indexes(root, given.skip)
    with dvc_at_rest(root) as repo:
        named = places_of_refs(repo, found)
        # From here on nothing waits: what a call of Snakemake just finished is in the plan that is read now.
        refuse_busy(root)
        old = old_folders(root, named | places_here(root))
        say(old, given)
        if given.yes and old:
            remove(root, old)
            print(f"removed\n{AFTER}")


if __name__ == "__main__":
    cli(main)
