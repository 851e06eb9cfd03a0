"""What is named by files that a removal of old runs must keep: indexes and bundles."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from pathlib import Path

from evenground.bundle.unpack import blamed_on, extract, find_index
from evenground.records.index import named_runs, read_index


def run_paths_kept(files: Iterable[Path]) -> set[Path]:
    """The paths of all runs that the files name; raises EvengroundError if one is no index and no bundle."""
    kept: set[Path] = set()
    for file in files:
        if file.suffix == ".json":
            kept |= named_runs(file, "name an index.json or a bundle that is whole")
        else:
            kept |= _in_bundle(file)
    return kept


def _in_bundle(file: Path) -> set[Path]:
    """What a bundle names; raises EvengroundError if a file of it was changed."""
    with tempfile.TemporaryDirectory(prefix="evenground-prune-") as scratch:
        unpacked = Path(scratch, "bundle")
        extract(file, unpacked)
        with blamed_on(file, unpacked):
            return read_index(find_index(unpacked)).run_paths
