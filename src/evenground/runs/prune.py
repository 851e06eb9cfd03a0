"""Old runs: which folders no index and no plan names, what they take, and their removal."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evenground.errors import EvengroundError, words_of
from evenground.files import read_json
from evenground.runs.plan import ATTEMPTS, RESULTS, RUNS

TOPS = (RUNS, ATTEMPTS)
SNAKEMAKE_LOCKS = Path(".snakemake/locks")


@dataclass(frozen=True)
class Old:
    """A folder to remove: the runs or attempts at one place, or what an earlier call left."""

    path: Path
    size: int
    """Bytes of its files."""


def places(content: Any, where: str) -> set[Path]:
    """MACHINE/DATASET/ENGINE/KEY/rN of all runs that an index or a plan names; `where` it was read.

    The index of an experiment of several parts names those of each.
    """
    try:
        parts = content.get("parts", [content])
        return {_place(run, part) for part in parts for run in part["runs"]}
    except (KeyError, TypeError, ValueError, IndexError, AttributeError):
        raise EvengroundError(
            "not an index of runs", where, "mend it; that of a ref can be left out: --skip REF"
        ) from None


def places_of_text(text: str, where: str) -> set[Path]:
    """The same of an index as text."""
    try:
        return places(json.loads(text), where)
    except json.JSONDecodeError:
        return places(None, where)


def places_here(root: Path) -> set[Path]:
    """What the indexes and plans in the working copy itself name."""
    names = [f"{part}{name}" for name in ("index.json", "plan.json") for part in ("*/", "*/parts/*/")]
    files = [file for name in names for file in (root / RESULTS).glob(name)]
    return {place for file in files for place in places(read_json(file), str(file))}


def _place(run: dict[str, Any], content: dict[str, Any]) -> Path:
    if run.get("path"):
        return Path(run["path"]).relative_to(RUNS)
    machine = run.get("machine") or _machine(content)
    return Path(machine, run["dataset"], run["engine"], run["key"], f"r{run['repetition']}")


def _machine(index: dict[str, Any]) -> str:
    """The folder of an index's machine: in the paths of its finished runs, else its class."""
    paths = (Path(run["path"]) for run in index["runs"] if run.get("path"))
    first = next(paths, None)
    return first.parts[2] if first else str(index["machine"]["class"])


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
    found = [top / place for top in TOPS for place in _repetitions(root / top) if place not in kept]
    left = [
        aside for aside in (_aside(root / top) for top in TOPS) if aside.is_dir() and not aside.is_symlink()
    ]
    return [Old(path, _size(root / path)) for path in [*found, *left]]


def _repetitions(top: Path) -> list[Path]:
    """Folders MACHINE/DATASET/ENGINE/KEY/rN below `top`, which itself may be a link."""
    folders = _levels(top, 5)[-1]
    return [folder for folder in folders if re.fullmatch(r"r\d+", folder.name)]


def _levels(top: Path, depth: int) -> list[list[Path]]:
    """The real folders below `top`, level by level."""
    levels = [[Path()] if top.is_dir() else []]
    for _ in range(depth):
        levels.append([above / name for above in levels[-1] for name in _folders_in(top / above)])
    return levels


def _folders_in(folder: Path) -> list[str]:
    return sorted(entry.name for entry in os.scandir(folder) if entry.is_dir(follow_symlinks=False))


def _size(folder: Path) -> int:
    walked = ((Path(above), names) for above, _, names in os.walk(folder))
    return sum((above / name).lstat().st_size for above, names in walked for name in names)


def _aside(top: Path) -> Path:
    """Where folders go before they are deleted: beside `top`, or beside what it is a link to."""
    real = top.resolve()
    return real.with_name(f".{real.name}.pruned")


def listing(old: Iterable[Old]) -> list[str]:
    """One line per folder of a key, with its repetitions and bytes; the sum is the last line."""
    of_key: dict[Path, list[Old]] = defaultdict(list)
    for folder in old:
        of_key[folder.path.parent if _is_place(folder.path) else folder.path].append(folder)
    lines = [_line(path, folders) for path, folders in of_key.items()]
    together = [folder for folders in of_key.values() for folder in folders]
    runs = sum(folder.path.is_relative_to(RUNS) for folder in together)
    failed = sum(folder.path.is_relative_to(ATTEMPTS) for folder in together)
    size = sum(folder.size for folder in together)
    return [*lines, f"{size:>15,} bytes in all; runs: {runs}, folders of attempts: {failed}"]


def _is_place(path: Path) -> bool:
    return any(path.is_relative_to(top) for top in TOPS)


def _line(path: Path, folders: list[Old]) -> str:
    names = " ".join(folder.path.name for folder in folders)
    count = f"{len(folders)} repetition{'s' if len(folders) > 1 else ''} ({names})"
    what = count if _is_place(path) else "left by a call that was cut off"
    return f"{sum(folder.size for folder in folders):>15,} bytes  {path}  {what}"


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
                "mend that and call again",
            ) from None


def _remove_whole(folder: Path, aside: Path) -> None:
    """Move it out of the tree in one step first: a call that is cut off leaves no half of a run there."""
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
