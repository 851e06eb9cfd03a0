#!/usr/bin/env python3
"""Write index.json: the outcome of every run in plan.json, and the lines of code behind it."""

from __future__ import annotations

from pathlib import Path

import _path  # noqa: F401
from evenground.errors import cli
from evenground.made import recorded, step_parser
from evenground.records.plan import PlanFile
from evenground.runs.index import MANIFEST, build_index
from evenground.runs.lines import count_lines


def main() -> None:
    parser = step_parser(__doc__, plan="plan.json of the deployment", output="file to write")
    args = parser.parse_args()
    plan = PlanFile.read(args.plan)
    index = build_index(plan, Path(), count_lines(plan, Path()))
    # Another run under the same path, another calibration or contact sheet makes another index.
    files = [Path(str(run.path), MANIFEST) for run in index.finished]
    files += [Path(condition.calibration) for condition in plan.conditions]
    files += [Path(path) for path in plan.contact_sheets.values()]
    with recorded(args, files):
        index.write(args.output)


if __name__ == "__main__":
    cli(main)
