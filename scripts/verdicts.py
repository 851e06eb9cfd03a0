#!/usr/bin/env python3
"""Judge every claim of claims.yaml by the recorded runs: verdicts, and the thesis's own arithmetic."""

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
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--index", type=Path, required=True, help="index.json of the deployment")
    parser.add_argument(
        "--normalised",
        type=Path,
        help="what normalise.py made of the runs; without it they are read and measured again",
    )
    parser.add_argument(
        "--quality", type=Path, help="the table quality.csv of tables.py, with --normalised"
    )
    parser.add_argument("--output-dir", type=Path, required=True, help="folder of the tables")
    parser.add_argument(
        "--record", type=Path, required=True, help="file for all behind the verdicts, as JSON"
    )
    add_arguments(parser)
    args = parser.parse_args()
    with recorded(args):
        index = read_index(args.index)
        judged = write_verdicts(
            index,
            measured(index, args.normalised, args.quality),
            read_claims(ROOT),
            tables=args.output_dir,
            record=args.record,
        )
        told = summary(judged, look_of(index))
    print("\n".join(told).replace("**", ""))
    print(f"verdicts: {args.output_dir}/verdicts.md, behind them: {args.record}")


def measured(index: Index, normalised: Path | None, quality: Path | None) -> Measured:
    """What the earlier steps wrote, or the runs measured again."""
    if normalised is None and quality is None:
        return measure(index)
    if normalised is None or quality is None:
        raise EvengroundError(
            "one without the other", "--normalised, --quality", "give both, or neither"
        )
    return read_measured(index, normalised, quality)


if __name__ == "__main__":
    cli(main)
