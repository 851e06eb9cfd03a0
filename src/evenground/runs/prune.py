"""Old runs: which folders no index and no plan names, what they take, and their removal."""

from __future__ import annotations

import os
import re
import shutil
from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evenground.errors import EvengroundError, words_of
from evenground.files import read_json, unreadable
from evenground.runs.plan import ATTEMPTS, RESULTS, RUNS
from evenground.runs.study import PARTS

TOPS = (RUNS, ATTEMPTS)
# A run that an invocation under way trains, or that an invocation finished before it was cut off, is in the plan alone.
NAMING = ("index.json", "plan.json")
SNAKEMAKE_LOCKS = Path(".snakemake/locks")


@dataclass(frozen=True)
class Old:
    """A folder to remove: the runs or attempts at one place, or what an earlier invocation left."""

    path: Path
    size: int
    """Bytes of its files."""


def places(content: Any, where: str) -> set[Path]:
    """MACHINE/DATASET/ENGINE/KEY/rN of all runs that an index or a plan names; `where` it was read.

    The index of an experiment of several parts names those of each. EvengroundError for anything else.
    """
    found = set()
    try:
        for part in content.get("parts", [content]):
            for run in part["runs"]:
                found.add(_place(run, part))
    except (KeyError, TypeError, ValueError, IndexError, AttributeError):
        fix = "nothing was removed; have it made again, or name another copy of it"
        raise EvengroundError("not an index of runs", where, fix) from None
    return found


def _place(run: dict[str, Any], content: dict[str, Any]) -> Path:
    path = run.get("path")
    if path:
        return Path(path).relative_to(RUNS)
    machine = run.get("machine") or _machine(content)
    return Path(machine, run["dataset"], run["engine"], run["key"], f"r{run['repetition']}")


def _machine(index: dict[str, Any]) -> str:
    """The folder of an index's machine: in the paths of its finished runs, else its class."""
    for run in index["runs"]:
        path = run.get("path")
        if path:
            return Path(path).relative_to(RUNS).parts[0]
    return str(index["machine"]["class"])


def places_here(root: Path) -> set[Path]:
    """What the indexes and plans of every deployment in the working copy, and of its parts, name.

    EvengroundError where one of them, or a folder that may hold one, cannot be read.
    """
    named = set()
    for deployment in _content(root / RESULTS):
        for folder in [deployment, *_content(deployment / PARTS)]:
            for file in _content(folder):
                if file.name in NAMING:
                    named |= places(read_json(file), str(file))
    return named


def _content(folder: Path) -> list[Path]:
    """What lies in a folder; nothing where there is none. A link that leads nowhere may hide an index."""
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
    """EvengroundError while Snakemake is at work in this working copy.

    Its lock is what counts, not the machine's training lock: that one is held by trainings of other copies
    too, whose runs are not touched. What is trained here stands in the plan besides, and so is kept.
    """
    if any((root / SNAKEMAKE_LOCKS).glob("*.lock")):
        raise EvengroundError(
            "Snakemake is at work here, or was killed",
            str(root / SNAKEMAKE_LOCKS),
            "wait until it ends; if none runs: snakemake --unlock --cores 1",
        )


def old_folders(root: Path, kept: Collection[Path]) -> list[Old]:
    """Every run and every place of attempts that `kept` does not hold; links are not followed."""
    paths = []
    for top in TOPS:
        for place in _repetitions(root / top):
            if place not in kept:
                paths.append(top / place)
    for top in TOPS:
        aside = _aside(root / top)
        if aside.is_dir() and not aside.is_symlink():
            paths.append(aside)
    return [Old(path=path, size=_size(root / path)) for path in paths]


def _repetitions(top: Path) -> list[Path]:
    """Folders MACHINE/DATASET/ENGINE/KEY/rN below `top`, which itself may be a link."""
    folders = _levels(top, 5)[-1]
    return [folder for folder in folders if re.fullmatch(r"r\d+", folder.name)]


def _levels(top: Path, depth: int) -> list[list[Path]]:
    """The real folders below `top`, level by level."""
    if not top.is_dir():
        return [[]]
    levels = [[Path()]]
    for _ in range(depth):
        level = []
        for above in levels[-1]:
            for name in _folders_in(top / above):
                level.append(above / name)
        levels.append(level)
    return levels


def _folders_in(folder: Path) -> list[str]:
    return sorted(entry.name for entry in os.scandir(folder) if entry.is_dir(follow_symlinks=False))


def _size(folder: Path) -> int:
    size = 0
    for above, _, names in os.walk(folder):
        for name in names:
            size += Path(above, name).lstat().st_size
    return size


def _aside(top: Path) -> Path:
    """Where folders go before they are deleted: beside `top`, or beside what it is a link to."""
    real = top.resolve()
    return real.with_name(f".{real.name}.pruned")


def listing(old: Iterable[Old]) -> list[str]:
    """One line per folder of a key, with its repetitions and bytes; the sum is the last line."""
    of_key: dict[Path, list[Old]] = defaultdict(list)
    runs = attempts = size = 0
    for folder in old:
        key = folder.path.parent if _is_place(folder.path) else folder.path
        of_key[key].append(folder)
        runs += folder.path.is_relative_to(RUNS)
        attempts += folder.path.is_relative_to(ATTEMPTS)
        size += folder.size
    lines = [_line(path, folders) for path, folders in of_key.items()]
    return [*lines, f"{size:>15,} bytes in all; runs: {runs}, folders of attempts: {attempts}"]


def _is_place(path: Path) -> bool:
    return any(path.is_relative_to(top) for top in TOPS)


def _line(path: Path, folders: list[Old]) -> str:
    size = sum(folder.size for folder in folders)
    names = " ".join(folder.path.name for folder in folders)
    what = f"{len(folders)} repetitions ({names})"
    if len(folders) == 1:
        what = f"1 repetition ({names})"
    if not _is_place(path):
        what = "left by an invocation that was cut off"
    return f"{size:>15,} bytes  {path}  {what}"


def remove(root: Path, old: Collection[Old]) -> None:
    """Delete what `old_folders` found; EvengroundError where that fails: no run is then half there."""
    for top in TOPS:
        aside = _aside(root / top)
        try:
            _clear(aside)
            for folder in old:
                if folder.path.is_relative_to(top):
                    _remove_whole(root / folder.path, aside)
            _clear(aside)
            _remove_empty(root / top)
        except OSError as error:
            raise EvengroundError(
                f"cannot be removed: {words_of(error)}",
                str(error.filename or aside),
                "fix that and run again",
            ) from None


def _remove_whole(folder: Path, aside: Path) -> None:
    """Move it out of the tree in one step first: an invocation that is cut off leaves no half of a run there."""
    aside.mkdir(exist_ok=True)
    folder.rename(aside / folder.name)
    shutil.rmtree(aside / folder.name)


def _clear(aside: Path) -> None:
    if aside.is_symlink() or aside.exists():
        shutil.rmtree(aside)


def _remove_empty(top: Path) -> None:
    for level in reversed(_levels(top, 4)[1:]):
        for folder in level:
            if not any((top / folder).iterdir()):
                (top / folder).rmdir()
