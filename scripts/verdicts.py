#!/usr/bin/env python3
"""Judge every claim of claims.yaml by the recorded runs, and check the thesis's own arithmetic."""

from __future__ import annotations

from _path import ROOT
from evenground.analysis.measured import read_measured
from evenground.claims.model import read_claims
from evenground.claims.write import write_verdicts
from evenground.errors import cli
from evenground.made import recorded, step_parser
from evenground.records.index import read_index


def main() -> None:
    parser = step_parser(
        __doc__,
        index="index.json of the deployment",
        normalised="folder written by normalise.py",
        output_dir="folder for the tables, which holds quality.csv",
        record="JSON file for all data behind the verdicts",
    )
    args = parser.parse_args()
    with recorded(args):
        index = read_index(args.index)
        measured = read_measured(index, args.normalised, args.output_dir / "quality.csv")
        source = read_claims(ROOT)
        verdicts = write_verdicts(index, measured, source, args.output_dir, args.record)
    if len(verdicts.conditions) == 1:
        print("\n".join(verdicts.conditions[0].summary).replace("**", ""))
    print(f"verdicts: {args.output_dir}/verdicts.md, behind them: {args.record}")


if __name__ == "__main__":
    cli(main)
