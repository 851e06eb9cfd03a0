#!/usr/bin/env python3
"""List the indexes of all parts of an experiment, with their checksums."""

from __future__ import annotations

import _path  # noqa: F401
from evenground.errors import cli
from evenground.made import recorded, step_parser
from evenground.overview.parts import indexes, read_parts


def main() -> None:
    parser = step_parser(__doc__, parts="parts.json of the deployment", output="file to write")
    args = parser.parse_args()
    with recorded(args):
        indexes(read_parts(args.parts)).write(args.output)


if __name__ == "__main__":
    cli(main)
