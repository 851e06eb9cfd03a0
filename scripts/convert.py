#!/usr/bin/env python3
"""Convert a bundle of an older version to the current formats; tables and figures are redrawn."""

from __future__ import annotations

import argparse
from pathlib import Path

from _path import ROOT
from evenground.bundle.convert import convert
from evenground.errors import cli


def main() -> None:
    parser = argparse.ArgumentParser(prog="evenground convert", description=__doc__)
    parser.add_argument("bundle", type=Path)
    parser.add_argument(
        "output", type=Path, help="the new bundle; may be the old one, which it replaces"
    )
    args = parser.parse_args()
    index, converted = convert(args.bundle, args.output, ROOT)
    what = "converted" if converted else "of today's format"
    print(f"{args.output}: {len(index.finished)} runs, {what}; tables and figures redrawn")


if __name__ == "__main__":
    cli(main)
