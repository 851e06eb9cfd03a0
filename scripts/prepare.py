#!/usr/bin/env python3
"""Turn the raw files of one dataset into the arrays that every engine reads."""

from __future__ import annotations

from pathlib import Path

import _path  # noqa: F401
from _dataset import chosen_dataset, dataset_parser, experiment_of
from evenground import logs
from evenground.datasets.prepare import prepare_dataset
from evenground.errors import cli


def main() -> None:
    """Prepare one dataset."""
    parser = dataset_parser(__doc__)
    parser.add_argument(
        "--raw-dir", type=Path, required=True, metavar="DIR", help="output folder of fetch.py"
    )
    parser.add_argument(
        "--output-dir", type=Path, required=True, metavar="DIR", help="where the arrays go"
    )
    args = parser.parse_args()
    entry = chosen_dataset(args, experiment_of(args))
    record = prepare_dataset(entry, args.raw_dir, args.output_dir)
    for line in record.empty_class_lines:
        logs.warning(f"{line}: do labels and `classes` fit?")
    train, test = record.train_examples, record.test_examples
    print(f"{record.name}: {train} training and {test} test examples")


if __name__ == "__main__":
    cli(main)
