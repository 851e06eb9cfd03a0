"""What is named by files that a removal of old runs must keep: indexes and bundles."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from pathlib import Path

from evenground.bundle.unpack import blamed_on, extract, find_index
from evenground.errors import EvengroundError
from evenground.files import read_json
from evenground.runs.prune import run_paths_in


def run_paths_kept(files: Iterable[Path]) -> set[Path]:
    """The paths of all runs that the files name; raises EvengroundError if one is no index and no bundle."""
    kept: set[Path] = set()
    for file in files:
        if file.suffix == ".json":
            kept |= _in_index(file)
        else:
            kept |= _in_bundle(file)
    return kept


def _in_index(file: Path) -> set[Path]:
    """What an index names; raises EvengroundError if it is missing, torn or something else."""
    try:
        content = read_json(file)
    except EvengroundError as error:
        # Its own fix is one for a file that the pipeline makes.
        fix = "name an index.json or a bundle that is whole"
        raise EvengroundError(error.what, str(file), fix) from None
    return run_paths_in(content, str(file))


def _in_bundle(file: Path) -> set[Path]:
    """What a bundle of any version names; raises EvengroundError if a file of it was changed."""
    with tempfile.TemporaryDirectory(prefix="evenground-prune-") as scratch:
        unpacked = Path(scratch, "bundle")
        extract(file, unpacked)
        with blamed_on(file, unpacked):
            index = find_index(unpacked)
            return run_paths_in(read_json(index), str(index))
