#!/usr/bin/env python3
"""Redraw every table and figure of a bundle from its runs, and say whether they are the published ones."""

from __future__ import annotations

import argparse
import shlex
import shutil
import sys
from pathlib import Path

from _path import ROOT
from evenground.analysis.index import read_index
from evenground.bundle.unpack import blamed_on, unpack
from evenground.claims.model import read_claims
from evenground.errors import EvengroundError, cli
from evenground.replay import compare_tables, redraw, set_unreadable_aside

NAMED = 5


def main() -> None:
    parser = argparse.ArgumentParser(prog="evenground replay", description=__doc__)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--output-dir", type=Path, help="default: replayed/NAME_OF_THE_BUNDLE")
    args = parser.parse_args()
    to = args.output_dir or Path("replayed", args.bundle.stem)
    redrawn = to / "redrawn"
    command = shlex.join(["./evenground", "replay", *sys.argv[1:]])
    where = unpack(args.bundle, to)
    results = where.parent
    try:
        with blamed_on(args.bundle, to):
            # What came with the bundle must not pass for what is drawn here.
            if redrawn.exists():
                raise EvengroundError(
                    "it holds files where a replay draws", str(redrawn), "take another bundle"
                )
            aside = set_unreadable_aside(where)
            index = read_index(where)
            runs = f"{len(index.finished)} runs of {index.machine.class_name}"
            print("\n".join([f"unpacked and checked: {runs}", *aside]), flush=True)
            names = redraw(index, where, redrawn, read_claims(ROOT), redrawn_by=command)
    except EvengroundError:
        shutil.rmtree(to)
        raise
    found = compare_tables(results, redrawn)
    print(f"redrawn: {redrawn}/report.html, tables/, {len(names)} figures in figures/")
    if found.new:
        print(f"new in this version of evenground, not in the bundle: {', '.join(found.new)}")
    if not found.same + found.differing:
        raise EvengroundError(
            "it holds no table to compare with", str(args.bundle), "take the redrawn ones"
        )
    if found.differing:
        more = f" and {len(found.differing) - NAMED} more" if len(found.differing) > NAMED else ""
        raise EvengroundError(
            f"{len(found.differing)} files are not as published: {', '.join(found.differing[:NAMED])}{more}",
            str(to),
            "compare results/ with redrawn/ there; another version of evenground may draw otherwise",
        )
    print(f"as published, byte by byte: {len(found.same)} tables and files behind figures")


if __name__ == "__main__":
    cli(main)
