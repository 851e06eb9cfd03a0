#!/usr/bin/env python3
"""Name the tables and figures; fail if a wanted run did not finish."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import _path  # noqa: F401
from evenground.errors import EvengroundError, cli
from evenground.files import read_json, write_json
from evenground.made import Digests, fault
from evenground.runs.index import missed_goals, unfinished

FIXES = {
    "this": "their logs are under results/attempts; run again to try them again",
    "another": "have them trained on that class of machine, or set machine: here",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("--index", type=Path, required=True, nargs="+", help="index.json of every part")
    add("--figures", type=Path, required=True, help="figures.json")
    add("--records", type=Path, nargs="*", default=[], help="what each step made")
    add("--output", type=Path, required=True)
    add("--machine", choices=FIXES, required=True, help="whether the runs' machine is this one")
    args = parser.parse_args()
    indexes = [read_json(path) for path in args.index]
    names = [figure["name"] for figure in read_json(args.figures)]
    tables = args.figures.parent.parent / "tables"
    print(f"report:  {tables.parent}/report.html")
    print(f"tables:  {tables}/  figures ({len(names)}):")
    for name in names:
        print(f"  {args.figures.parent / name}.svg")
    # Before what an error writes to the other stream.
    sys.stdout.flush()
    refuse_faults(args.records)
    print_missed_goals(indexes, tables)
    refuse_unfinished(indexes, tables, FIXES[args.machine])
    wanted = sum(len(index["runs"]) for index in indexes)
    write_json(args.output, {"schema": 1, "runs": wanted, "figures": names})


def refuse_faults(records: Sequence[Path]) -> None:
    """Raises EvengroundError for a result that went missing or was changed meanwhile."""
    digests = Digests()
    for record in records:
        why = fault(record, digests)
        if why is not None:
            what = f"not everything is as it was drawn: {why or 'a step left no record'}"
            raise EvengroundError(what, "results", "run again: it is made again")


def print_missed_goals(indexes: Sequence[dict[str, Any]], tables: Path) -> None:
    """Name a goal that the sampler's calibration misses, and how many it misses, if any."""
    missed: set[str] = set()
    for index in indexes:
        missed.update(missed_goals(index, Path()))
    if missed:
        goals = f"{len(missed)} goals here ({min(missed)}, ...)"
        print(f"the sampler misses {goals}: {tables}/calibration.md")


def refuse_unfinished(indexes: Sequence[dict[str, Any]], tables: Path, fix: str) -> None:
    """Raises EvengroundError with the first wanted run that did not finish."""
    wanted = 0
    lost = []
    for index in indexes:
        wanted += len(index["runs"])
        lost += unfinished(index)
    if not lost:
        return
    first = lost[0]
    run = f"{first['dataset']} {first['engine']} r{first['repetition']}"
    raise EvengroundError(
        f"{len(lost)} of {wanted} wanted runs did not finish; the first: {run}: "
        f"{first['reason'] or 'not recorded'}",
        f"{tables}/runs.md",
        fix,
    )


if __name__ == "__main__":
    cli(main)
