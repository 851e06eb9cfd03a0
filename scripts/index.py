#!/usr/bin/env python3
"""Write index.json: what became of every run that plan.json wants, and the lines of code behind it."""

from __future__ import annotations

import argparse
from pathlib import Path

import _path  # noqa: F401
from evenground.errors import cli
from evenground.files import read_json, write_json
from evenground.lines import count_lines
from evenground.made import add_arguments, recorded
from evenground.runs.index import MANIFEST, build_index


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--plan", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    add_arguments(parser)
    args = parser.parse_args()
    plan = read_json(args.plan)
    index = build_index(plan, Path())
    # Another run in the place of one, or another calibration, is another index.
    manifests = [Path(run["path"], MANIFEST) for run in index["runs"] if run["path"]]
    with recorded(args, [*manifests, Path(plan["calibration"])]):
        write_json(args.output, {**index, "lines": count_lines(plan["engines"], Path())})


if __name__ == "__main__":
    cli(main)
