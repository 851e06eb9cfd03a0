#!/usr/bin/env python3
"""Convert a bundle of an older version to the current formats; tables and figures are redrawn."""

from __future__ import annotations

import argparse
import shutil
import tempfile
from pathlib import Path

from _path import ROOT
from evenground.analysis.index import read_index
from evenground.bundle.contents import DERIVED, collect, laid_out
from evenground.bundle.convert import convert_results
from evenground.bundle.pack import pack
from evenground.bundle.replay import redraw
from evenground.bundle.unpack import blamed_on, extract, find_index
from evenground.bundle.uuids import lay_out, name_a_card
from evenground.claims.model import read_claims
from evenground.errors import EvengroundError, cli


def main() -> None:
    """Convert, redraw and pack; raises EvengroundError for a bundle that cannot be read."""
    parser = argparse.ArgumentParser(prog="evenground convert", description=__doc__)
    parser.add_argument("bundle", type=Path)
    parser.add_argument(
        "output", type=Path, help="the new bundle; may be the old one, which it replaces"
    )
    args = parser.parse_args()
    if args.output.is_dir():
        raise EvengroundError(
            "it is a folder", str(args.output), "name the file to write, as in runs.zip"
        )
    with tempfile.TemporaryDirectory(prefix="evenground-convert-") as scratch:
        folder = Path(scratch, "bundle")
        extract(args.bundle, folder)
        with blamed_on(args.bundle, folder):
            where = find_index(folder)
            converted = convert_results(where, folder)
            files = all_files(folder)
            if name_a_card(files):
                folder = Path(scratch, "bare")
                where = lay_out(files, folder)
            index = read_index(where)
            clear_derived(where.parent)
            redraw(index, where, where.parent, read_claims(ROOT))
        # Files outside of the results are copied as they are.
        pack(index, collect(index, where, laid_out(folder)), args.output)
    runs = f"{len(index.finished)} runs, {converted} of them converted"
    print(f"{args.output}: {runs}; tables and figures redrawn")


def all_files(folder: Path) -> dict[str, Path]:
    """Name -> file of everything in an unpacked bundle."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return {path.relative_to(folder).as_posix(): path for path in files}


def clear_derived(results: Path) -> None:
    """Remove the older version's tables and figures, some of which are no longer made."""
    for name in DERIVED:
        path = results / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


if __name__ == "__main__":
    cli(main)
