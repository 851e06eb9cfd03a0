#!/usr/bin/env python3
"""Judge an events file by docs/protocol.md: exit code 0 if it is complete and right, else 1."""

from __future__ import annotations

import argparse
from pathlib import Path

import _path  # noqa: F401
from evenground.errors import cli
from evenground.records.events import Expected, check_file


def main() -> None:
    """Print the number of events, or one line with the first fault."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("events", type=Path, help="JSON lines that an engine wrote")
    for name in ("epochs", "batch-size", "seed", "train-examples", "test-examples", "parameters"):
        parser.add_argument(f"--{name}", type=int, help="expected value")
    parser.add_argument("--network", choices=["mlp", "cnn"])
    parser.add_argument("--linger-s", type=float)
    args = vars(parser.parse_args())
    path = args.pop("events")
    # The other options have the names of the fields of Expected.
    events = check_file(path, Expected(**args))
    print(f"{path}: {len(events)} events, complete and in order")


if __name__ == "__main__":
    cli(main)
