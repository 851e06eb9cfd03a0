#!/usr/bin/env python3
"""Put every finished run on a time grid and on a grid of phases, with its conditions."""

from __future__ import annotations

import argparse
from pathlib import Path

import _path  # noqa: F401
from evenground.analysis.index import read_index
from evenground.analysis.write import write_normalised
from evenground.errors import cli
from evenground.made import add_arguments, recorded


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--index", type=Path, required=True, help="index.json of the deployment")
    parser.add_argument("--output-dir", type=Path, required=True)
    add_arguments(parser)
    args = parser.parse_args()
    with recorded(args):
        index = read_index(args.index)
        write_normalised(index, args.output_dir)
    print(f"normalised {len(index.finished)} of {len(index.runs)} wanted runs: {args.output_dir}")


if __name__ == "__main__":
    cli(main)
