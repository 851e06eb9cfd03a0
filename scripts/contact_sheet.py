#!/usr/bin/env python3
"""Write the contact sheet of a prepared dataset: the few training examples that a figure shows."""

from __future__ import annotations

import argparse
from pathlib import Path

import _path  # noqa: F401
from evenground.datasets.contact_sheet import contact_sheet
from evenground.errors import cli


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--prepared", type=Path, required=True, metavar="DIR", help="output folder of prepare.py"
    )
    parser.add_argument("--output", type=Path, required=True)
    args = parser.parse_args()
    contact_sheet(args.prepared).write(args.output)


if __name__ == "__main__":
    cli(main)
