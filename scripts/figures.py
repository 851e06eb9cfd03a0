#!/usr/bin/env python3
"""Draw every figure as SVG and PNG with its data as CSV, and list them in figures.json."""

from __future__ import annotations

import argparse
from pathlib import Path

import _path  # noqa: F401
from evenground.errors import cli
from evenground.made import add_arguments, recorded
from evenground.report.draw import draw_all
from evenground.report.material import read_material


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--index", type=Path, required=True, help="index.json of the deployment")
    parser.add_argument(
        "--normalised", type=Path, required=True, help="folder written by normalise.py"
    )
    parser.add_argument("--tables", type=Path, required=True, help="folder written by tables.py")
    parser.add_argument("--output-dir", type=Path, required=True)
    add_arguments(parser)
    args = parser.parse_args()
    with recorded(args):
        names = draw_all(read_material(args.index, args.normalised, args.tables), args.output_dir)
    print(f"drew {len(names)} figures: {args.output_dir}")


if __name__ == "__main__":
    cli(main)
