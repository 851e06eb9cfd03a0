#!/usr/bin/env python3
"""Pack the recorded runs of an index, its tables and figures into one file that can be replayed."""

from __future__ import annotations

import argparse
from pathlib import Path

from _path import ROOT
from evenground.bundle.make import make_bundle
from evenground.errors import cli


def main() -> None:
    parser = argparse.ArgumentParser(prog="evenground bundle", description=__doc__)
    parser.add_argument("output", type=Path, help="the file to write, as in runs.zip")
    parser.add_argument(
        "--results", type=Path, default=ROOT / "results/native", help="default: %(default)s"
    )
    args = parser.parse_args()
    index = make_bundle(args.results, args.output, ROOT)
    finished = f"{len(index.finished)} runs of {', '.join(index.class_names)}"
    lost = len(index.runs) - len(index.finished)
    if lost:
        finished += f", {lost} did not finish"
    print(f"{args.output}: {finished}; {args.output.stat().st_size / 1e6:.1f} MB")
    shown = [dataset.title for dataset in index.datasets if dataset.contact_sheet]
    if shown:
        print(f"it shows some examples of {', '.join(shown)}: share it only if you may share those")


if __name__ == "__main__":
    cli(main)
