#!/usr/bin/env python3
"""Fetch the files of one dataset, verified by size and SHA-256, from mirrors and then from its addresses."""

from __future__ import annotations

import argparse
from pathlib import Path

import _path  # noqa: F401
from evenground.datasets.download import Policy
from evenground.datasets.fetch import MIRRORS_VARIABLE, all_mirrors, fetch_dataset
from evenground.datasets.options import chosen_dataset, configured_mirrors, dataset_parser
from evenground.errors import cli


def parse() -> argparse.Namespace:
    """The command line."""
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
        help="folder or https address holding DATASET/FILE; any number, tried before 'mirrors' of the"
        f" configuration, {MIRRORS_VARIABLE} (the same, separated by commas) and the registry's addresses",
    )
    parser.add_argument(
        "--timeout-s", type=float, default=Policy.timeout_s, metavar="S", help="seconds of silence"
    )
    parser.add_argument(
        "--retries",
        type=int,
        default=Policy.retries,
        metavar="N",
        help="further attempts per address",
    )
    parser.add_argument(
        "--backoff-s", type=float, default=Policy.backoff_s, metavar="S", help="first wait, doubles"
    )
    return parser.parse_args()


def main() -> None:
    """Fetch one dataset."""
    given = parse()
    entry = chosen_dataset(given)
    policy = Policy(given.timeout_s, given.retries, given.backoff_s)
    mirrors = all_mirrors([*given.mirror, *configured_mirrors(given)])
    fetched = fetch_dataset(entry, given.output_dir, mirrors, policy)
    total_bytes = sum(file["bytes"] for file in fetched["files"].values())
    print(f"{entry.name}: {len(fetched['files'])} files, {total_bytes} bytes, all verified")


if __name__ == "__main__":
    cli(main)
