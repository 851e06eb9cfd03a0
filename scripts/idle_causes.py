#!/usr/bin/env python3
"""Write the table of what the engines waited for; or say where it was written, and fail if a training did."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import _path  # noqa: F401
from evenground.errors import EvengroundError, cli
from evenground.explain.table import write_table
from evenground.explain.training import Explained, read_explained
from evenground.made import add_arguments, recorded


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--explained", type=Path, nargs="+", required=True, help="explained.json of each"
    )
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--output-dir", type=Path, help="write the table there")
    what.add_argument(
        "--written", type=Path, nargs="+", help="the tables that were written of them"
    )
    add_arguments(parser)
    args = parser.parse_args()
    explained = [read_explained(path) for path in args.explained]
    if args.output_dir:
        of = [one.folder / name for one in explained for name in one.files]
        with recorded(args, of):
            write_table(explained, args.output_dir)
    else:
        conclude(explained, args.written)


def conclude(explained: Sequence[Explained], tables: Sequence[Path]) -> None:
    """Name the tables; EvengroundError where an extra training failed."""
    for table in tables:
        print(f"what the engines waited for: {table}", file=sys.stderr, flush=True)
    failed = [one for one in explained if one.outcome.reason]
    if failed:
        names = ", ".join(f"{one.run.dataset} {one.run.engine}" for one in failed)
        what = f"{len(failed)} of {len(explained)} extra trainings failed: {names}"
        raise EvengroundError(
            what, str(failed[0].folder / "train.log"), "fix the cause and run again"
        )


if __name__ == "__main__":
    cli(main)
