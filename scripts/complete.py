#!/usr/bin/env python3
"""Name the tables and figures; end non-zero when a wanted run did not finish."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import _path  # noqa: F401
from evenground.errors import EvengroundError, cli
from evenground.files import read_json, write_json
from evenground.made import Digests, fault
from evenground.runs.index import missed_goals, unfinished

MENDS = {
    "this": "their logs are under results/attempts; run again to try them again",
    "another": "have them trained on that class of machine, or set machine: here to train all of it here",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--index", type=Path, required=True, nargs="+", help="of every part")
    parser.add_argument("--figures", type=Path, required=True)
    parser.add_argument("--records", type=Path, nargs="*", default=[], help="what each step made")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument(
        "--machine", choices=MENDS, required=True, help="whether the runs' machine is this one"
    )
    args = parser.parse_args()
    indexes = [read_json(path) for path in args.index]
    names = [figure["name"] for figure in read_json(args.figures)]
    tables = args.figures.parent.parent / "tables"
    print(f"report:  {tables.parent}/report.html")
    print(f"tables:  {tables}/  figures ({len(names)}):")
    print("\n".join(f"  {args.figures.parent / name}.svg" for name in names), flush=True)
    refuse_faults(args.records)
    if missed := sorted({goal for index in indexes for goal in missed_goals(index, Path())}):
        print(
            f"the sampler misses {len(missed)} goals here ({missed[0]}, ...): {tables}/calibration.md"
        )
    lost = [run for index in indexes for run in unfinished(index)]
    wanted = sum(len(index["runs"]) for index in indexes)
    if lost:
        first = lost[0]
        raise EvengroundError(
            f"{len(lost)} of {wanted} wanted runs did not finish; the first: {first['dataset']} "
            f"{first['engine']} r{first['repetition']}: {first['reason'] or 'not recorded'}",
            f"{tables}/runs.md",
            MENDS[args.machine],
        )
    write_json(args.output, {"schema": 1, "runs": wanted, "figures": names})


def refuse_faults(records: Sequence[Path]) -> None:
    """EvengroundError for a result that went missing, or was changed, while the invocation was at work."""
    digests = Digests()
    for why in (fault(record, digests) for record in records):
        if why is not None:
            what = f"not everything is as it was drawn: {why or 'a step left no record'}"
            raise EvengroundError(what, "results", "run again: it is made again")


if __name__ == "__main__":
    cli(main)
