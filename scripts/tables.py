#!/usr/bin/env python3
"""Write every table, as data and for reading: times, ratios, resources, accuracy, quality, runs etc."""

from __future__ import annotations

import _path  # noqa: F401
from evenground.analysis.write import write_tables
from evenground.errors import cli
from evenground.made import recorded, step_parser
from evenground.records.index import read_index


def main() -> None:
    parser = step_parser(
        __doc__,
        index="index.json of the deployment",
        normalised="folder written by normalise.py",
        output_dir="folder to write to",
        metrics="file for the main numbers, as JSON",
    )
    args = parser.parse_args()
    with recorded(args):
        index = read_index(args.index)
        write_tables(index, args.normalised, args.output_dir, args.metrics)
    print(f"tables of {len(index.finished)} of {len(index.runs)} wanted runs: {args.output_dir}")


if __name__ == "__main__":
    cli(main)
