#!/usr/bin/env python3
"""Draw tables and figures of a bundle again with this version, and pack it with them."""

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
    index = convert(args.bundle, args.output, ROOT)
    print(f"{args.output}: {len(index.finished)} runs; tables and figures redrawn")


if __name__ == "__main__":
    cli(main)
