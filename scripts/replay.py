#!/usr/bin/env python3
"""Redraw a bundle's tables and figures from its runs, and compare them with the published ones."""

from __future__ import annotations

import argparse
import shlex
import shutil
import sys
from pathlib import Path

from _path import ROOT
from evenground.analysis.index import read_index
from evenground.bundle.replay import Comparison, compare_tables, redraw, set_unreadable_aside
from evenground.bundle.unpack import blamed_on, unpack
from evenground.claims.model import read_claims
from evenground.errors import EvengroundError, cli

MAX_NAMES = 5


def main() -> None:
    """Unpack, redraw and compare; raises EvengroundError if a file is not as published."""
    parser = argparse.ArgumentParser(prog="evenground replay", description=__doc__)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--output-dir", type=Path, help="default: replayed/NAME_OF_THE_BUNDLE")
    args = parser.parse_args()
    to = args.output_dir or Path("replayed", args.bundle.stem)
    redrawn = to / "redrawn"
    command = shlex.join(["./evenground", "replay"] + sys.argv[1:])
    where = unpack(args.bundle, to)
    results = where.parent
    try:
        with blamed_on(args.bundle, to):
            # A file of the bundle must not be taken for one that is drawn here.
            if redrawn.exists():
                raise EvengroundError(
                    "it holds files where a replay draws", str(redrawn), "take another bundle"
                )
            unreadable = set_unreadable_aside(where)
            index = read_index(where)
            runs = f"{len(index.finished)} runs of {index.machine.class_name}"
            print(f"unpacked and checked: {runs}", flush=True)
            for line in unreadable:
                print(line, flush=True)
            names = redraw(index, where, redrawn, read_claims(ROOT), redrawn_by=command)
    except EvengroundError:
        shutil.rmtree(to)
        raise
    print(f"redrawn: {redrawn}/report.html, tables/, {len(names)} figures in figures/")
    report(compare_tables(results, redrawn), args.bundle, to)


def report(compared: Comparison, bundle: Path, to: Path) -> None:
    """Print how the redrawn tables compare; raises EvengroundError if they are not as published."""
    if compared.new:
        print(f"new in this version of evenground, not in the bundle: {', '.join(compared.new)}")
    differing = compared.differing
    if not compared.same + differing:
        raise EvengroundError(
            "it holds no table to compare with", str(bundle), "take the redrawn ones"
        )
    if differing:
        listed = ", ".join(differing[:MAX_NAMES])
        if len(differing) > MAX_NAMES:
            listed += f" and {len(differing) - MAX_NAMES} more"
        raise EvengroundError(
            f"{len(differing)} files are not as published: {listed}",
            str(to),
            "compare results/ with redrawn/ there; other versions of evenground may draw otherwise",
        )
    print(f"as published, byte by byte: {len(compared.same)} tables and files behind figures")


if __name__ == "__main__":
    cli(main)
