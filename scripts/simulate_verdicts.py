#!/usr/bin/env python3
"""Print how often the rule gives which verdict if the truth is known, as Markdown tables."""

from __future__ import annotations

import argparse

from _path import ROOT
from evenground.claims.model import read_claims
from evenground.claims.simulation import report
from evenground.errors import EvengroundError, cli

CLAIM = "T1"


def main() -> None:
    """Print the report. Raises EvengroundError for a number of experiments below 1."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--experiments", type=int, default=2000, help="per cell; default: %(default)s"
    )
    parser.add_argument("--seed", type=int, default=1, help="default: %(default)s")
    args = parser.parse_args()
    if args.experiments < 1:
        what = "no experiment to simulate"
        raise EvengroundError(what, "--experiments", "give a number from 1 on")
    claim = next(claim for claim in read_claims(ROOT).claims.claims if claim.id == CLAIM)
    for line in report(claim, args.experiments, args.seed):
        print(line, flush=True)


if __name__ == "__main__":
    cli(main)
