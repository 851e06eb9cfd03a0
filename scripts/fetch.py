#!/usr/bin/env python3
"""Fetch the files of one dataset from mirrors, then its addresses, verified by size and SHA-256."""

from __future__ import annotations

from pathlib import Path

import _path  # noqa: F401
from _dataset import chosen_dataset, dataset_parser, experiment_of
from evenground.datasets.fetch import MIRRORS_VARIABLE, all_mirrors, fetch_dataset
from evenground.errors import cli


def main() -> None:
    """Fetch one dataset."""
    parser = dataset_parser(__doc__)
    parser.add_argument(
        "--output-dir", type=Path, required=True, metavar="DIR", help="where the raw files go"
    )
    parser.add_argument(
        "--mirror",
        action="extend",
        nargs="*",
        default=[],
        metavar="PLACE",
        help="folder or https address holding DATASET/FILE; any number, tried before 'mirrors' of"
        f" the configuration, {MIRRORS_VARIABLE} (the same, separated by commas) and the registry's"
        " addresses",
    )
    args = parser.parse_args()
    experiment = experiment_of(args)
    entry = chosen_dataset(args, experiment)
    mirrors = all_mirrors(args.mirror + experiment.mirrors)
    files = fetch_dataset(entry, args.output_dir, mirrors).files
    total_bytes = sum(file.bytes for file in files.values())
    print(f"{entry.name}: {len(files)} files, {total_bytes} bytes, all verified")


if __name__ == "__main__":
    cli(main)
