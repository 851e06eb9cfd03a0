"""What each step made, and of what: whether all of it is still there, and still belongs to its sources.

Snakemake compares times, and only of the files that its rules name. A figure that somebody deletes, a table
of another commit, or claims in whose place an older file was put would stay unseen.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from evenground.files import replaced, sha256_file, write_json

# Steps in order, each the folder of its part and its name; one is made of those before it.
Chain = Sequence[tuple[Path, str]]
STEPS = ("index", "normalise", "tables", "verdicts", "draw", "page")
STEPS_OF_WHOLE = ("indexes", "overview")
FOLDER = "made"
# Beside the record of a step: written when it has to be made again. The step's rule has it as an input.
AGAIN = ".again.json"
# Arrays are named by what decides them: who makes room there need not fetch them again to draw nothing new.
_NAMED_BY_CONTENT = Path("data/prepared")


def record_of(results: Path, step: str) -> Path:
    """Where the record of a step stands, below the folder of its part."""
    return results / FOLDER / f"{step}.json"


def again_of(results: Path, step: str) -> Path:
    """The file that is newer than all that the step made when it has to be made again."""
    return results / FOLDER / f"{step}{AGAIN}"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options `--made` and `--of` of a step, for `recorded`."""
    parser.add_argument("--made", type=Path, help="record of what this wrote, for the next call")
    parser.add_argument("--of", type=Path, nargs="*", default=[], help="files that it was made of")


@contextmanager
def recorded(args: argparse.Namespace, more: Iterable[Path] = ()) -> Iterator[None]:
    """Make a step, and record what it wrote and of what, where `--made` names a file for it.

    `more` are sources beside those of `--of`.
    """
    sources = [path for path in (*args.of, *more) if _counts(path)]
    digests = Digests()
    # Before the step: what changes while it works was not what it read.
    of = {str(path): digests[str(path)] for path in sources}
    with replaced() as files:
        yield
    if args.made:
        made = {str(path): sha256_file(path) for path in files}
        write_json(args.made, {"schema": 1, "of": of, "made": made})


def _counts(source: Path) -> bool:
    """Whether another content of a source makes another result."""
    return not source.is_relative_to(_NAMED_BY_CONTENT) and not source.name.endswith(AGAIN)


class Digests(dict[str, str | None]):
    """Path -> sha256, each file read once; None where there is none."""

    def __missing__(self, name: str) -> str | None:
        path = Path(name)
        self[name] = sha256_file(path) if path.is_file() else None
        return self[name]


def fault(record: Path, digests: Mapping[str, str | None]) -> str | None:
    """What is missing or changed of what a step made or of its sources, in words; None where all is well.

    Empty where the step left no record.
    """
    try:
        content: dict[str, Any] = json.loads(record.read_text(encoding="utf-8"))
        made, of = dict(content["made"]), dict(content["of"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return ""
    for name, digest in (made | of).items():
        if digests[name] != digest:
            return f"{name} {'is missing' if digests[name] is None else 'is not what it was'}"
    return None


def begin_again(parts: Sequence[Chain], whole: Chain, complete: Path) -> list[str]:
    """Have Snakemake make what is not whole any more; what that is, in words.

    With a step all that come behind it are made again, and with one of any part those of the `whole`. The
    file `complete`, which says that everything is drawn, then stands no more.
    """
    digests = Digests()
    found = [_faults(chain, digests) for chain in parts]
    found.append(_faults(whole, digests))
    for chain, faults in zip((*parts, whole), found, strict=True):
        first = 0 if chain is whole and any(found) else len(chain) - len(faults)
        for results, step in chain[first:]:
            write_json(again_of(results, step), {"schema": 1, "written_unix_ns": time.time_ns()})
    if any(found):
        complete.unlink(missing_ok=True)
    said = dict.fromkeys(why for faults in found for why in faults if why)
    return [f"made again, with what follows: {why}" for why in said]


def _faults(chain: Chain, digests: Mapping[str, str | None]) -> list[str]:
    """Of the first step that is not whole and of each behind it: why, empty where there is nothing to say."""
    faults = [fault(record_of(results, step), digests) for results, step in chain]
    first = next((number for number, why in enumerate(faults) if why is not None), len(chain))
    return [why or "" for why in faults[first:]]
