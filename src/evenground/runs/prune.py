"""Old runs: which folders no index and no plan names, what they take, and their removal."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from evenground.errors import EvengroundError, words_of
from evenground.files import unreadable
from evenground.records.index import named_runs
from evenground.records.plan import PLAN
from evenground.runs.plan import ATTEMPTS, RESULTS, RUNS

TOPS = (RUNS, ATTEMPTS)
# A run that is being trained, or that finished before Snakemake was killed, is in the plan only.
NAMING = ("index.json", PLAN)
MADE_AGAIN = "nothing was removed; have it made again"
SNAKEMAKE_LOCKS = Path(".snakemake/locks")


@dataclass(frozen=True)
class Old:
    """A folder to remove: a run, or the attempts at one."""

    path: Path
    size: int
    """Bytes of its files."""


def run_paths_here(root: Path) -> set[Path]:
    """What the indexes and plans of every deployment in the working copy name.

    Raises EvengroundError if one of them, or a folder that may hold one, cannot be read.
    """
    named: set[Path] = set()
    for deployment in _content(root / RESULTS):
        for file in _content(deployment):
            if file.name in NAMING:
                named |= named_runs(file, MADE_AGAIN)
    return named


def _content(folder: Path) -> list[Path]:
    """What is in a folder; nothing if there is no folder. A broken link may hide an index."""
    if not os.path.lexists(folder):
        return []
    try:
        return sorted(folder.iterdir())
    except NotADirectoryError:
        return []
    except OSError as error:
        fix = "nothing was removed; fix that and run again"
        raise EvengroundError(unreadable(folder, error), str(folder), fix) from None


def refuse_busy(root: Path) -> None:
    """Raises EvengroundError while Snakemake is at work in this working copy.

    The machine's training lock would not do: trainings of other working copies hold it, too. What
    is being trained here is in the plan, and so it is kept.
    """
    if any((root / SNAKEMAKE_LOCKS).glob("*.lock")):
        raise EvengroundError(
            "Snakemake is at work here, or was killed",
            str(root / SNAKEMAKE_LOCKS),
            "wait until it ends; if none runs: snakemake --unlock --cores 1",
        )


def find_old(root: Path, kept: Collection[Path]) -> list[Old]:
    """What is neither in `kept` nor named by an index or a plan of the working copy.

    Raises EvengroundError while Snakemake is at work, and if nothing is named: every run would go,
    even those just taken over from a bundle.
    """
    refuse_busy(root)
    # What Snakemake has just finished is in the plan.
    named = run_paths_here(root).union(kept)
    old = old_folders(root, named)
    if old and not named:
        fix = "run the pipeline first, or name an index or a bundle: --keep FILE"
        what = "nothing was removed: no index and no plan here names any run"
        raise EvengroundError(what, str(root / RESULTS), fix)
    return old


def old_folders(root: Path, kept: Collection[Path]) -> list[Old]:
    """Every run, and every folder of attempts at one, not in `kept`; links are not followed."""
    paths = []
    for top in TOPS:
        for folder in _folders_below(root / top, depth=5):
            if re.fullmatch(r"r\d+", folder.name):
                run_path = folder.relative_to(root / top)
                if run_path not in kept:
                    paths.append(top / run_path)
    return [Old(path=path, size=_size(root / path)) for path in paths]


def _folders_below(folder: Path, depth: int) -> Iterator[Path]:
    """The folders `depth` levels below a folder, in order. The folder itself may be a link."""
    if depth == 0:
        yield folder
    elif folder.is_dir():
        for inner in sorted(folder.iterdir()):
            if inner.is_dir() and not inner.is_symlink():
                yield from _folders_below(inner, depth - 1)


def _size(folder: Path) -> int:
    size = 0
    for above, _, names in os.walk(folder):
        for name in names:
            size += Path(above, name).lstat().st_size
    return size


def listing(old: Collection[Old]) -> list[str]:
    """One line per folder with its bytes; the last line is the sum."""
    lines = [f"{folder.size:>15,} bytes  {folder.path}" for folder in old]
    runs = sum(folder.path.is_relative_to(RUNS) for folder in old)
    attempts = sum(folder.path.is_relative_to(ATTEMPTS) for folder in old)
    size = sum(folder.size for folder in old)
    lines.append(f"{size:>15,} bytes in all; runs: {runs}, folders of attempts: {attempts}")
    return lines


def remove(root: Path, old: Collection[Old]) -> None:
    """Delete what `old_folders` returned; raises EvengroundError.

    Of a removal that is cut off half a run may be left. The next invocation of the pipeline refuses
    it, as DVC would store it as a whole one; the next removal deletes it.
    """
    for folder in old:
        try:
            _remove(root / folder.path)
        except OSError as error:
            raise EvengroundError(
                f"cannot be removed: {words_of(error)}",
                str(error.filename or folder.path),
                "fix that and run again",
            ) from None


def _remove(folder: Path) -> None:
    """Delete a folder, and those of key, engine, dataset and machine if they are empty then."""
    shutil.rmtree(folder)
    for above in list(folder.parents)[:4]:
        if any(above.iterdir()):
            return
        above.rmdir()
