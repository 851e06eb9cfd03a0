#!/usr/bin/env python3
"""Put every finished run on a time grid and on a grid of phases, with its conditions."""

from __future__ import annotations

import _path  # noqa: F401
from evenground.analysis.normalise import write_normalised
from evenground.errors import cli
from evenground.made import recorded, step_parser
from evenground.records.index import read_index


def main() -> None:
    parser = step_parser(
        __doc__, index="index.json of the deployment", output_dir="folder to write to"
    )
    args = parser.parse_args()
    with recorded(args):
        index = read_index(args.index)
        write_normalised(index, args.output_dir)
    print(f"normalised {len(index.finished)} of {len(index.runs)} wanted runs: {args.output_dir}")


if __name__ == "__main__":
    cli(main)
