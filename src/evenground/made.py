"""The record of each step: which files it wrote, and from which sources.

Snakemake compares times, and only of the files that its rules name. It would not notice that a
figure was deleted, that a table is from another commit, or that an older file replaced the claims.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from evenground.errors import EvengroundError
from evenground.files import replaced, sha256_file, write_json

# Each step is made from those before it.
STEPS: tuple[str, ...] = ("index", "normalise", "tables", "verdicts", "draw", "page")
FOLDER = "made"
# A file beside a step's record, written to have it made again: its rule has it as an input.
AGAIN = ".again.json"


def record_of(results: Path, step: str) -> Path:
    """Path of a step's record, below the folder of its results."""
    return results / FOLDER / f"{step}.json"


def again_of(results: Path, step: str) -> Path:
    """A file that is newer than everything the step wrote once it has to be made again."""
    return results / FOLDER / f"{step}{AGAIN}"


def step_parser(description: str, **paths: str) -> argparse.ArgumentParser:
    """A step's command line: a required path per name, each with its help, and what `recorded` needs."""
    parser = argparse.ArgumentParser(description=description)
    for name, meaning in paths.items():
        option = "--" + name.replace("_", "-")
        parser.add_argument(option, type=Path, required=True, help=meaning)
    parser.add_argument("--made", type=Path, help="record of the files this wrote")
    parser.add_argument("--of", type=Path, nargs="*", default=[], help="files that it is made from")
    return parser


@contextmanager
def recorded(args: argparse.Namespace, more: Iterable[Path] = ()) -> Iterator[None]:
    """Run a step, and record what it wrote from which sources if `--made` names a file for that.

    `more` are sources beside those of `--of`.
    """
    # Before the step: a source that changes meanwhile is not what it read.
    sources = [path for path in args.of + list(more) if not path.name.endswith(AGAIN)]
    of = {str(path): _digest(path) for path in sources}
    with replaced() as files:
        yield
    if args.made:
        made = {str(path): sha256_file(path) for path in files}
        write_json(args.made, {"schema": 1, "of": of, "made": made})


def _digest(path: Path) -> str | None:
    """The sha256 of a file; None if it does not exist."""
    return sha256_file(path) if path.is_file() else None


def fault(record: Path) -> str | None:
    """The first file of a step, output or source, that is missing or changed; None if all are whole.

    Empty if the step left no readable record.
    """
    try:
        content: dict[str, Any] = json.loads(record.read_text(encoding="utf-8"))
        files = dict(content["made"]) | dict(content["of"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return ""
    for name, digest in files.items():
        found = _digest(Path(name))
        if found != digest:
            if found is None:
                return f"{name} is missing"
            return f"{name} is not what it was"
    return None


def refuse_faults(records: Sequence[Path]) -> None:
    """Raises EvengroundError for a result that went missing or was changed meanwhile."""
    for record in records:
        why = fault(record)
        if why is not None:
            what = f"not everything is as it was drawn: {why or 'a step left no record'}"
            raise EvengroundError(what, "results", "run again: it is made again")


def begin_again(results: Path, chains: Iterable[Sequence[str]], complete: Path) -> list[str]:
    """Have Snakemake make again every step whose files or sources changed, and all that follow.

    `results`: their folder; `chains`: steps in order. The file `complete`, which states that
    everything is drawn, is removed. Returns the reasons.
    """
    stale: dict[str, str] = {}
    for chain in chains:
        stale |= _stale(results, chain)
    for step in stale:
        write_json(again_of(results, step), {"schema": 1, "written_unix_ns": time.time_ns()})
    if stale:
        complete.unlink(missing_ok=True)
    reasons = dict.fromkeys(why for why in stale.values() if why)
    return [f"made again, with what follows: {why}" for why in reasons]


def _stale(results: Path, chain: Sequence[str]) -> dict[str, str]:
    """The first step that has to be made again and all behind it, each with the reason, if any."""
    stale: dict[str, str] = {}
    for step in chain:
        why = fault(record_of(results, step))
        if stale or why is not None:
            stale[step] = why or ""
    return stale
