#!/usr/bin/env python3
"""Name the tables and figures; fail if a wanted run did not finish."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import _path  # noqa: F401
from evenground.errors import cli
from evenground.files import read_json, write_json
from evenground.made import refuse_faults
from evenground.records.index import read_index
from evenground.runs.complete import FIXES, missed_goals_line, refuse_unfinished


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("--index", type=Path, required=True, help="index.json of the deployment")
    add("--figures", type=Path, required=True, help="figures.json")
    add("--records", type=Path, nargs="*", default=[], help="what each step made")
    add("--output", type=Path, required=True)
    add("--machine", choices=FIXES, required=True, help="whether the runs' machine is this one")
    args = parser.parse_args()
    index = read_index(args.index)
    names = [figure["name"] for figure in read_json(args.figures)]
    tables = args.figures.parent.parent / "tables"
    print(f"report:  {tables.parent}/report.html")
    print(f"tables:  {tables}/  figures ({len(names)}):")
    for name in names:
        print(f"  {args.figures.parent / name}.svg")
    # Before what an error writes to the other stream.
    sys.stdout.flush()
    refuse_faults(args.records)
    if line := missed_goals_line(index, tables):
        print(line, flush=True)
    refuse_unfinished(index, tables, args.machine)
    write_json(args.output, {"schema": 1, "runs": len(index.runs), "figures": names})


if __name__ == "__main__":
    cli(main)
