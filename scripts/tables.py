#!/usr/bin/env python3
"""Write every table as CSV and Markdown: times, ratios, resources, accuracy, runs and calibration."""

from __future__ import annotations

import argparse
from pathlib import Path

import _path  # noqa: F401
from evenground.analysis.captions import HEADINGS, notes
from evenground.analysis.files import read_csv, write_csv, write_markdown
from evenground.analysis.index import read_index
from evenground.analysis.metrics import metrics
from evenground.analysis.tables import Frames, make_tables
from evenground.errors import cli
from evenground.files import write_json


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--index", type=Path, required=True, help="index.json of the deployment")
    parser.add_argument("--normalised", type=Path, required=True, help="folder written by normalise.py")
    parser.add_argument("--output-dir", type=Path, required=True)
    parser.add_argument("--metrics", type=Path, help="file for the main numbers, as JSON")
    given = parser.parse_args()
    index = read_index(given.index)
    names = ("timelines", "mean", "missing")
    frames = Frames(*(read_csv(given.normalised / f"{name}.csv") for name in names))
    tables = make_tables(index, frames)
    for name, table in tables.items():
        write_csv(table, given.output_dir / f"{name}.csv")
        write_markdown(table, HEADINGS[name], notes(name, index), given.output_dir / f"{name}.md")
    if given.metrics:
        write_json(given.metrics, metrics(tables))
    print(f"tables of {len(index.finished)} of {len(index.runs)} wanted runs: {given.output_dir}")


if __name__ == "__main__":
    cli(main)
