#!/usr/bin/env python3
"""Compare recorded experiments: two or more bundles, results folders or machine classes."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from _path import ROOT
from evenground.analysis.captions import COMPARED
from evenground.analysis.differences import differences, warnings
from evenground.analysis.files import markdown_table, plain, write_csv, write_markdown
from evenground.analysis.machines import engines_by_machine, ratios_by_machine
from evenground.analysis.measured import measure
from evenground.analysis.side_by_side import (
    Side,
    against_first,
    measures,
    ratios,
    read_side,
    side_names,
)
from evenground.bundle.replay import set_unreadable_aside
from evenground.bundle.unpack import blamed_on, find_index, unpack
from evenground.claims.agreement import agreement, in_words
from evenground.claims.model import read_claims
from evenground.claims.verdicts import judge_all
from evenground.claims.write import verdicts_of
from evenground.errors import EvengroundError, cli
from evenground.records.index import Index, read_index
from evenground.records.verdicts import Verdicts
from evenground.report.sheet import save_pictures
from evenground.report.side_by_side import MEASURE, ratios_drawing
from evenground.report.style import fixed_style

HELP = "a bundle, a results folder (results/native), or a machine class of results/runs"
VERDICTS = "verdicts.json"


@dataclass(frozen=True)
class Source:
    """A source as it was read: its measurements, its verdicts, and whether they were judged now."""

    side: Side
    verdicts: Verdicts
    judged_now: bool


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
        sources: list[Source] = []
        for name, path in zip(side_names(paths), paths, strict=True):
            # Two bundles must not be unpacked to the same folder.
            sources.append(read(name, path, Path(scratch, str(len(sources)))))
        report(sources, args.output_dir)


def read(name: str, source: str, scratch: Path) -> Source:
    """Read a source; a bundle is unpacked to `scratch`, and its faults name the bundle.

    Raises EvengroundError if there is no such source.
    """
    path = Path(source)
    if path.is_file():
        where = unpack(path, scratch)
        with blamed_on(path, scratch):
            for line in set_unreadable_aside(where):
                print(line, file=sys.stderr)
            return of_index(name, read_index(where), where)
    if path.is_dir():
        where = path / "index.json"
        if not where.is_file():
            where = find_index(path)
        return of_index(name, read_index(where), where)
    if (ROOT / "results/runs" / source).is_dir():
        return of_index(name, of_class(source), None)
    raise EvengroundError("no such bundle, folder or machine class", source, f"give {HELP}")


def of_index(name: str, index: Index, where: Path | None) -> Source:
    """Measurements, and the verdicts beside the index at `where`; judged now if none are there."""
    side = read_side(name, index)
    if where and where.with_name(VERDICTS).is_file():
        recorded = Verdicts.read(where.with_name(VERDICTS))
        return Source(side=side, verdicts=recorded, judged_now=False)
    source = read_claims(ROOT)
    judged = verdicts_of(index, source, judge_all(index, measure(index), source.claims))
    return Source(side=side, verdicts=judged, judged_now=True)


def of_class(machine: str) -> Index:
    """The index of the experiment in params.yaml with the runs of a machine class.

    Raises EvengroundError in another environment than the workflow's, and for an experiment with
    lists.
    """
    try:
        import yaml

        from evenground.runs.index import build_index
        from evenground.runs.study import make_study
    except ImportError:
        setup = "python3 scripts/start.py setup, then: .venv/bin/python scripts/compare.py"
        raise EvengroundError(
            "a machine class needs the workflow's environment", machine, setup
        ) from None
    settings = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    parts = make_study(settings | {"machine": machine}, ROOT).parts
    if len(parts) > 1:
        fix = f"compare parts: {Path(parts[0].results)} and others there"
        raise EvengroundError(
            f"with lists, params.yaml wants {len(parts)} parts of this class", machine, fix
        )
    plan = parts[0].plan
    return build_index(plan.record(), ROOT)


def report(sources: Sequence[Source], to: Path) -> None:
    """Write and print what each side measured, its ratios of engines, and which verdicts agree."""
    sides = [source.side for source in sources]
    found = {side.name: differences(sides[0].index, side.index) for side in sides[1:]}
    tables = {
        "engines_by_machine": engines_by_machine(sides),
        "ratios_by_machine": ratios_by_machine(sides),
        "agreement": agreement({source.side.name: source.verdicts for source in sources}),
        "differences": against_first(sides, lambda _, b: found[b.name]),
        "measures": against_first(sides, measures),
        "ratios": against_first(sides, ratios),
    }
    lines = warnings({side.name: side.index for side in sides}, found)
    lines += _sides(sources)
    note = "\n".join(f"- {line}" for line in lines)
    for name, (heading, columns) in COMPARED.items():
        write_csv(tables[name], to / f"{name}.csv")
        write_markdown(tables[name], heading, f"{note}\n\n{columns}", to / f"{name}.md")
    with fixed_style():
        names = [side.name for side in sides]
        save_pictures(ratios_drawing(tables["ratios_by_machine"], names), to)
    _show(note, tables, to)


def _sides(sources: Sequence[Source]) -> list[str]:
    """A line about each side; tables with two columns of values call them a and b."""
    lines = [_side(source) for source in sources]
    lines[0] = f"a: {lines[0]}"
    if len(lines) == 2:
        lines[1] = f"b: {lines[1]}"
    return lines


def _side(source: Source) -> str:
    index = source.side.index
    machine = f"{plain(index.machine.description)} (class `{index.machine.class_name}`)"
    done = f"{len(index.finished)} of {len(index.runs)} runs"
    line = f"`{source.side.name}`, {machine}, {index.deployment}, {done}"
    if source.judged_now:
        line += "; its verdicts: none are recorded there, so judged now"
    return f"{line}."


def _show(note: str, tables: dict[str, pd.DataFrame], to: Path) -> None:
    """Print what matters most, and where the rest is."""
    table = tables["ratios"]
    if "side" in table:
        # There are more than two sides.
        table = tables["ratios_by_machine"]
    table = table[table["measure"] == MEASURE]
    table = table.drop(columns=["measure", "machine"], errors="ignore")
    print(f"{note}\n\nRatios of training times:\n\n{markdown_table(table)}")
    lines = in_words(tables["agreement"])
    if lines[1:]:
        lines[0] += ", but not:"
    print("\n- ".join(lines))
    print(f"{len(tables['differences'])} recorded differences: {to}/differences.md")
    others = ", ".join(f"{name}.md" for name in tables if name != "differences")
    print(f"beside it: {others}, each as .csv, too, and ratios.svg")


if __name__ == "__main__":
    cli(main)
