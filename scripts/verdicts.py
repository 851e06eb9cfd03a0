#!/usr/bin/env python3
"""Judge every claim of claims.yaml by the recorded runs, and check the thesis's own arithmetic."""

from __future__ import annotations

from pathlib import Path

from _path import ROOT
from evenground.analysis.measured import measure, read_measured
from evenground.claims.model import read_claims
from evenground.claims.write import write_verdicts
from evenground.errors import cli
from evenground.made import recorded, step_parser
from evenground.records.index import read_index


def main() -> None:
    parser = step_parser(
        __doc__,
        index="index.json of the deployment",
        output_dir="folder for the tables; with --normalised it holds quality.csv",
        record="JSON file for all data behind the verdicts",
    )
    parser.add_argument(
        "--normalised",
        type=Path,
        help="folder written by normalise.py; by default the runs are read and measured again",
    )
    args = parser.parse_args()
    with recorded(args):
        index = read_index(args.index)
        if args.normalised:
            runs = read_measured(index, args.normalised, args.output_dir / "quality.csv")
        else:
            runs = measure(index)
        source = read_claims(ROOT)
        verdicts = write_verdicts(index, runs, source, tables=args.output_dir, record=args.record)
    print("\n".join(verdicts.summary).replace("**", ""))
    print(f"verdicts: {args.output_dir}/verdicts.md, behind them: {args.record}")


if __name__ == "__main__":
    cli(main)
