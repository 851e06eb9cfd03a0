#!/usr/bin/env python3
"""Judge every claim of claims.yaml by the recorded runs, and check the thesis's own arithmetic."""

from __future__ import annotations

import argparse
from pathlib import Path

from _path import ROOT
from evenground.analysis.index import Index, read_index
from evenground.analysis.measured import Measured, measure, read_measured
from evenground.claims.looks import look_of
from evenground.claims.model import read_claims
from evenground.claims.write import summary, write_verdicts
from evenground.errors import EvengroundError, cli
from evenground.made import add_arguments, recorded


def main() -> None:
    args = parse_args()
    with recorded(args):
        index = read_index(args.index)
        runs = measured(index, args.normalised, args.quality)
        source = read_claims(ROOT)
        judged = write_verdicts(index, runs, source, tables=args.output_dir, record=args.record)
        paragraphs = summary(judged, look_of(index))
    print("\n".join(paragraphs).replace("**", ""))
    print(f"verdicts: {args.output_dir}/verdicts.md, behind them: {args.record}")


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--index", type=Path, required=True, help="index.json of the deployment")
    parser.add_argument(
        "--normalised",
        type=Path,
        help="folder written by normalise.py; by default the runs are read and measured again",
    )
    parser.add_argument(
        "--quality", type=Path, help="table quality.csv of tables.py; with --normalised"
    )
    parser.add_argument("--output-dir", type=Path, required=True, help="folder for the tables")
    parser.add_argument(
        "--record", type=Path, required=True, help="JSON file for all data behind the verdicts"
    )
    add_arguments(parser)
    return parser.parse_args()


def measured(index: Index, normalised: Path | None, quality: Path | None) -> Measured:
    """Read what the earlier steps wrote, or measure the runs again.

    Raises EvengroundError for only one of the two paths, and for broken files.
    """
    if normalised and quality:
        return read_measured(index, normalised, quality)
    if normalised or quality:
        what = "one of the two options is missing"
        raise EvengroundError(what, "--normalised, --quality", "give both, or neither")
    return measure(index)


if __name__ == "__main__":
    cli(main)
