#!/usr/bin/env python3
"""Draw every figure as SVG and PNG with its data as CSV, and list them in figures.json."""

from __future__ import annotations

import _path  # noqa: F401
from evenground.errors import cli
from evenground.made import recorded, step_parser
from evenground.report.draw import draw_all
from evenground.report.material import read_report_data


def main() -> None:
    parser = step_parser(
        __doc__,
        index="index.json of the deployment",
        normalised="folder written by normalise.py",
        tables="folder written by tables.py",
        output_dir="folder to write to",
    )
    args = parser.parse_args()
    with recorded(args):
        names = draw_all(
            read_report_data(args.index, args.normalised, args.tables), args.output_dir
        )
    print(f"drew {len(names)} figures: {args.output_dir}")


if __name__ == "__main__":
    cli(main)
