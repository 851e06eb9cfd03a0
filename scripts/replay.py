#!/usr/bin/env python3
"""Redraw a bundle's tables and figures from its runs, and compare them with the published ones."""

from __future__ import annotations

import argparse
import shlex
import sys
from pathlib import Path

from _path import ROOT
from evenground.bundle.replay import REDRAWN, refuse_differing, replay
from evenground.errors import cli


def main() -> None:
    parser = argparse.ArgumentParser(prog="evenground replay", description=__doc__)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--output-dir", type=Path, help="default: replayed/NAME_OF_THE_BUNDLE")
    args = parser.parse_args()
    to = args.output_dir or Path("replayed", args.bundle.stem)
    done = replay(args.bundle, to, ROOT, shlex.join(["./evenground", "replay"] + sys.argv[1:]))
    index, compared = done.index, done.compared
    print(f"unpacked and checked: {len(index.finished)} runs of {', '.join(index.class_names)}")
    figures = f"{len(done.figures)} figures in figures/"
    print(f"redrawn: {to / REDRAWN}/report.html, tables/, {figures}", flush=True)
    if compared.new:
        print(f"new in this version of evenground, not in the bundle: {', '.join(compared.new)}")
    refuse_differing(compared, args.bundle, to)
    print(f"as published, byte by byte: {len(compared.same)} tables and files behind figures")


if __name__ == "__main__":
    cli(main)
