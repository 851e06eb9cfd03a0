#!/usr/bin/env python3
"""Compare recorded experiments: two or more bundles or results folders."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from _path import ROOT
from evenground.analysis.captions import machines_of
from evenground.analysis.differences import differences_table
from evenground.analysis.experiment import Experiment
from evenground.analysis.measured import Measured
from evenground.analysis.normalise import normalise_all
from evenground.analysis.runs import all_runs
from evenground.analysis.table import Table, write_table
from evenground.analysis.write import tables_of
from evenground.bundle.unpack import blamed_on, find_index, unpack
from evenground.claims.agreement import in_words
from evenground.claims.model import read_claims
from evenground.claims.write import judge_experiment, verdict_tables
from evenground.errors import EvengroundError, cli
from evenground.records.index import Index, read_index
from evenground.report.sheet import save_pictures
from evenground.report.side_by_side import MEASURE, side_by_side_drawing
from evenground.report.style import fixed_style
from evenground.validation import one_line

HELP = "a bundle, or a results folder (results/native)"


def main() -> None:
    parser = argparse.ArgumentParser(prog="evenground compare", description=__doc__)
    parser.add_argument("a", help=HELP)
    parser.add_argument("b", nargs="+", help="one or more of the same")
    parser.add_argument(
        "--output-dir", type=Path, default=Path("compared"), help="default: %(default)s"
    )
    args = parser.parse_args()
    paths = [args.a] + args.b
    with tempfile.TemporaryDirectory(prefix="evenground-compare-") as scratch:
        sources: dict[str, Index] = {}
        for name, path in zip(source_names(paths), paths, strict=True):
            # Two bundles must not be unpacked to the same folder.
            sources[name] = read(path, Path(scratch, str(len(sources))))
        report(Experiment(sources=sources), args.output_dir)


def read(source: str, scratch: Path) -> Index:
    """Read a source; a bundle is unpacked to `scratch`, and its faults name the bundle.

    Raises EvengroundError if there is no such source.
    """
    path = Path(source)
    if path.is_file():
        index = read_index(unpack(path, scratch))
        with blamed_on(path, scratch):
            for run in all_runs(index):
                run.samples()
        return index
    if path.is_dir():
        where = path / "index.json"
        return read_index(where if where.is_file() else find_index(path))
    raise EvengroundError("no such bundle or folder", source, f"give {HELP}")


def source_names(sources: Sequence[str]) -> list[str]:
    """What each source is called in tables: the last part of its path; if two are alike, numbered."""
    paths = [Path(source).resolve() for source in sources]
    names = [shown(path.name.removesuffix(".zip")) for path in paths]
    if len(set(names)) == len(names):
        return names
    return [f"{name} ({number})" for number, name in enumerate(names, start=1)]


def shown(name: str) -> str:
    """A name that cannot break a line, a table or a figure."""
    return one_line(name) or "?"


def report(experiment: Experiment, to: Path) -> None:
    """Write the tables of all sources, with a column that names them, and print what matters most."""
    frames = normalise_all(experiment)
    tables = tables_of(experiment, frames)
    measured = Measured(
        measures=frames.measures,
        circumstances=frames.circumstances,
        quality=tables["quality"].rows,
    )
    claims = read_claims(ROOT)
    judged = judge_experiment(experiment, measured, claims)
    for table in tables.values():
        write_table(table, to)
    for table, readable in verdict_tables(experiment, judged, claims):
        tables[table.name] = table
        write_table(table, to, readable)
    different, lines = differences_table(experiment)
    write_table(different, to)
    with fixed_style():
        save_pictures(side_by_side_drawing(experiment, tables["ratios"].rows), to)
    print(machines_of(experiment))
    for line in lines:
        print(f"- {line}")
    show(experiment, tables, to)
    print(f"{len(different.rows)} recorded differences: {to}/differences.md")


def show(experiment: Experiment, tables: Mapping[str, Table], to: Path) -> None:
    """Print the ratios of training times and which verdicts agree, and where the rest is."""
    ratios = tables["ratios"].rows
    rows = ratios[(ratios["measure"] == MEASURE) & ratios["ratio"].notna()]
    columns = [*experiment.sides, *experiment.swept]
    columns += ["dataset", "baseline", "engine", "ratio", "low_95", "high_95"]
    print(f"\nRatios of training times:\n\n{rows[columns].to_string(index=False)}\n")
    lines = in_words(tables["agreement"].rows, experiment)
    if lines[1:]:
        lines[0] += ", but not:"
    print("\n- ".join(lines))
    print(f"{to}: {', '.join(sorted(tables))}, each as .csv, .json and .md; side_by_side.svg")


if __name__ == "__main__":
    cli(main)
