#!/usr/bin/env python3
"""Set files or folders of the working copy aside, below results/aside: nothing is deleted.

A run that is set aside is trained again when it is wanted; tables and figures are drawn again.
Moving it back undoes it.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from _path import ROOT
from evenground.errors import cli
from evenground.runs.aside import set_aside
from evenground.runs.prune import refuse_busy


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="evenground aside",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("paths", type=Path, nargs="+", metavar="PATH")
    args = parser.parse_args()
    refuse_busy(ROOT)
    for path in args.paths:
        print(f"{path}: now {set_aside(ROOT, path)}")


if __name__ == "__main__":
    cli(main)
