#!/usr/bin/env python3
"""Compare the parts of an experiment: joined tables, scaling curves, and a page with all of it."""

from __future__ import annotations

import argparse
from pathlib import Path

import _path  # noqa: F401
from evenground.errors import cli
from evenground.made import add_arguments, recorded
from evenground.overview.write import write_all


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--parts", type=Path, required=True, help="parts.json of the deployment")
    parser.add_argument("--output-dir", type=Path, required=True, help="folder of the deployment")
    add_arguments(parser)
    args = parser.parse_args()
    with recorded(args):
        parts = write_all(args.parts, args.output_dir)
    print(f"overview of {len(parts.parts)} parts: {args.output_dir}/report.html")


if __name__ == "__main__":
    cli(main)
