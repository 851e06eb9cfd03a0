#!/usr/bin/env python3
"""Write every table as CSV and Markdown: times, ratios, resources, accuracy, quality, runs etc."""

from __future__ import annotations

import argparse
from pathlib import Path

import _path  # noqa: F401
from evenground.analysis.index import read_index
from evenground.analysis.write import write_tables
from evenground.errors import cli
from evenground.made import add_arguments, recorded


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--index", type=Path, required=True, help="index.json of the deployment")
    parser.add_argument(
        "--normalised", type=Path, required=True, help="folder written by normalise.py"
    )
    parser.add_argument("--output-dir", type=Path, required=True)
    parser.add_argument("--metrics", type=Path, help="file for the main numbers, as JSON")
    add_arguments(parser)
    args = parser.parse_args()
    with recorded(args):
        index = read_index(args.index)
        write_tables(index, args.normalised, args.output_dir, args.metrics)
    print(f"tables of {len(index.finished)} of {len(index.runs)} wanted runs: {args.output_dir}")


if __name__ == "__main__":
    cli(main)
