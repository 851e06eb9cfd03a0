#!/usr/bin/env python3
"""Print what differs between two runs, or two keys, of all that decides their results."""

from __future__ import annotations

import argparse
from pathlib import Path

import _path
from evenground.errors import cli
from evenground.runs.why import differences, find


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("first", metavar="A", help="a key, its beginning, or a run directory")
    parser.add_argument("second", metavar="B", help="another one")
    args = parser.parse_args()
    root = Path(_path.ROOT)
    first, second = find(args.first, root), find(args.second, root)
    print(f"first:  {first.label}")
    print(f"second: {second.label}")
    lines = differences(first, second)
    for line in lines:
        print(f"  {line}")
    if not lines:
        print("nothing differs that decides a result")


if __name__ == "__main__":
    cli(main)
