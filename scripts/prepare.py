#!/usr/bin/env python3
"""Turn the raw files of one dataset into the arrays that every engine reads."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import _path  # noqa: F401
from evenground.datasets.options import chosen_dataset, dataset_parser
from evenground.datasets.prepare import empty_class_lines, prepare_dataset
from evenground.errors import cli


def parse() -> argparse.Namespace:
    """The command line."""
    parser = dataset_parser(__doc__)
    parser.add_argument(
        "--raw-dir",
        type=Path,
        required=True,
        metavar="DIR",
        help="where fetch.py put the raw files",
    )
    parser.add_argument(
        "--output-dir", type=Path, required=True, metavar="DIR", help="where the arrays go"
    )
    return parser.parse_args()


def main() -> None:
    """Prepare one dataset."""
    given = parse()
    entry = chosen_dataset(given)
    record = prepare_dataset(entry, given.raw_dir, given.output_dir)
    for line in empty_class_lines(record):
        print(f"warning: {line}: do labels and `classes` fit?", file=sys.stderr, flush=True)
    print(
        f"{entry.name}: {record['train_examples']} training and {record['test_examples']} test examples"
    )


if __name__ == "__main__":
    cli(main)
