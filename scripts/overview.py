#!/usr/bin/env python3
"""Compare the parts of an experiment: joined tables, scaling curves, and a page with all of it."""

from __future__ import annotations

import _path  # noqa: F401
from evenground.errors import cli
from evenground.made import recorded, step_parser
from evenground.overview.write import write_all


def main() -> None:
    parser = step_parser(
        __doc__, parts="parts.json of the deployment", output_dir="folder of the deployment"
    )
    args = parser.parse_args()
    with recorded(args):
        parts = write_all(args.parts, args.output_dir)
    print(f"overview of {len(parts.parts)} parts: {args.output_dir}/report.html")


if __name__ == "__main__":
    cli(main)
