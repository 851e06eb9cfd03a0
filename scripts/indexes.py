#!/usr/bin/env python3
"""List the indexes of all parts of an experiment, with their checksums."""

from __future__ import annotations

import argparse
from pathlib import Path

import _path  # noqa: F401
from evenground.errors import cli
from evenground.files import write_json
from evenground.made import add_arguments, recorded
from evenground.overview.parts import indexes, read_parts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--parts", type=Path, required=True, help="parts.json of the deployment")
    parser.add_argument("--output", type=Path, required=True)
    add_arguments(parser)
    args = parser.parse_args()
    with recorded(args):
        write_json(args.output, indexes(read_parts(args.parts)))


if __name__ == "__main__":
    cli(main)
