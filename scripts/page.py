#!/usr/bin/env python3
"""Write the report: one self-contained HTML file with verdicts, tables, figures and runs."""

from __future__ import annotations

import os

import _path  # noqa: F401
from evenground.errors import cli
from evenground.made import recorded, step_parser
from evenground.report.page.build import write_page
from evenground.runs.repeat import COMMAND


def main() -> None:
    parser = step_parser(
        __doc__,
        index="index.json of the deployment",
        results="folder with tables, figures, verdicts",
        output="file to write",
    )
    args = parser.parse_args()
    with recorded(args):
        write_page(args.index, args.results, args.output, os.environ.get(COMMAND))
    size_mb = args.output.stat().st_size / 1e6
    print(f"report: {args.output} ({size_mb:.1f} MB, needs no other file)")


if __name__ == "__main__":
    cli(main)
