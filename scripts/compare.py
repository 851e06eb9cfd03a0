#!/usr/bin/env python3
"""Set recorded experiments side by side: bundles, results folders, machine classes, two of them or more."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from _path import ROOT
from evenground.analysis.captions import COMPARED
from evenground.analysis.differences import differences, warnings
from evenground.analysis.files import markdown_table, plain, write_csv, write_markdown
from evenground.analysis.index import Index, parse_index, read_index
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
from evenground.bundle.unpack import blamed_on, find_index, unpack
from evenground.claims.agreement import agreement, in_words
from evenground.claims.model import read_claims
from evenground.claims.verdicts import judge_all
from evenground.claims.write import as_json
from evenground.errors import EvengroundError, cli
from evenground.files import read_json
from evenground.replay import set_unreadable_aside
from evenground.report.sheet import save_pictures
from evenground.report.side_by_side import MEASURE, ratios_drawing
from evenground.report.style import fixed_style

HELP = "a bundle, a results folder (results/native), or a machine class of results/runs"
VERDICTS = "verdicts.json"


@dataclass(frozen=True)
class Given:
    """A source as it was read: what it measured, the content of its verdicts, whether those are of now."""

    side: Side
    verdicts: Any
    judged_now: bool


def main() -> None:
    parser = argparse.ArgumentParser(prog="evenground compare", description=__doc__)
    parser.add_argument("a", help=HELP)
    parser.add_argument("b", nargs="+", help="one or more of the same")
    parser.add_argument(
        "--output-dir", type=Path, default=Path("compared"), help="default: %(default)s"
    )
    args = parser.parse_args()
    sources = [args.a, *args.b]
    with tempfile.TemporaryDirectory(prefix="evenground-compare-") as scratch:
        named = enumerate(zip(side_names(sources), sources, strict=True))
        report(
            [read(name, source, Path(scratch, str(k))) for k, (name, source) in named],
            args.output_dir,
        )


def read(name: str, source: str, scratch: Path) -> Given:
    """What `source` stands for; a bundle is unpacked to `scratch`, and blamed for what is wrong in it."""
    path = Path(source)
    if path.is_file():
        where = unpack(path, scratch)
        with blamed_on(path, scratch):
            for line in set_unreadable_aside(where):
                print(line, file=sys.stderr)
            return of_index(name, read_index(where), where)
    if path.is_dir():
        own = path / "index.json"
        where = own if own.is_file() else find_index(path)
        return of_index(name, read_index(where), where)
    if (ROOT / "results/runs" / source).is_dir():
        return of_index(name, of_class(source), None)
    raise EvengroundError("no such bundle, folder or machine class", source, f"give {HELP}")


def of_index(name: str, index: Index, where: Path | None) -> Given:
    """Its measurements, and the verdicts beside the index at `where`; judged now where none are there."""
    recorded = where.with_name(VERDICTS) if where else None
    if recorded and recorded.is_file():
        return Given(read_side(name, index), read_json(recorded), judged_now=False)
    source = read_claims(ROOT)
    judged = as_json(index, source, judge_all(index, measure(index), source.claims))
    return Given(read_side(name, index), judged, judged_now=True)


def of_class(machine: str) -> Index:
    """What the runs of a machine class in this working copy are to the experiment of params.yaml."""
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
    parts = make_study({**settings, "machine": machine}, ROOT).parts
    if len(parts) > 1:
        fix = f"compare parts: {Path(parts[0].results)} and others there"
        raise EvengroundError(
            f"with lists, params.yaml wants {len(parts)} parts of this class", machine, fix
        )
    plan = parts[0].plan
    content = json.loads(json.dumps(build_index(plan.content(), ROOT)))
    return parse_index(content, ROOT, ROOT / "results/runs" / machine)


def report(args: Sequence[Given], to: Path) -> None:
    """Write and show what each side measured, its ratios of engines, and which verdicts agree."""
    sides = [one.side for one in args]
    first, *others = sides
    found = {other.name: differences(first.index, other.index) for other in others}
    tables = {
        "engines_by_machine": engines_by_machine(sides),
        "ratios_by_machine": ratios_by_machine(sides),
        "agreement": agreement({one.side.name: one.verdicts for one in args}),
        "differences": against_first(sides, lambda _, b: found[b.name]),
        "measures": against_first(sides, measures),
        "ratios": against_first(sides, ratios),
    }
    lines = _note(args, warnings({side.name: side.index for side in sides}, found))
    note = "\n".join(f"- {line}" for line in lines)
    for name, (heading, columns) in COMPARED.items():
        write_csv(tables[name], to / f"{name}.csv")
        write_markdown(tables[name], heading, f"{note}\n\n{columns}", to / f"{name}.md")
    with fixed_style():
        save_pictures(
            ratios_drawing(tables["ratios_by_machine"], [side.name for side in sides]), to
        )
    _show(note, tables, to)


def _note(args: Sequence[Given], warned: Sequence[str]) -> list[str]:
    """Warnings first, then what the sides are."""
    letters = [*(("a: ", "b: ") if len(args) == 2 else ("a: ",)), *[""] * len(args)]
    told = [f"{letter}{_side(one)}" for letter, one in zip(letters, args, strict=False)]
    return [*warned, *told]


def _side(args: Given) -> str:
    index, now = args.side.index, "; its verdicts: none are recorded there, so judged now"
    machine = f"{plain(index.machine.description)} (class `{index.machine.class_name}`)"
    done = f"{len(index.finished)} of {len(index.runs)} runs"
    return f"`{args.side.name}`, {machine}, {index.deployment}, {done}{now if args.judged_now else ''}."


def _show(note: str, tables: dict[str, pd.DataFrame], to: Path) -> None:
    """What matters most, and where the rest is."""
    ours = tables["ratios" if "side" not in tables["ratios"] else "ratios_by_machine"]
    ours = ours[ours["measure"] == MEASURE].drop(columns=["measure", "machine"], errors="ignore")
    total, *lines = in_words(tables["agreement"])
    print(f"{note}\n\nRatios of training times:\n\n{markdown_table(ours)}")
    print("\n".join([f"{total}{', but not:' if lines else ''}", *(f"- {line}" for line in lines)]))
    print(f"{len(tables['differences'])} recorded differences: {to}/differences.md")
    others = ", ".join(f"{name}.md" for name in tables if name != "differences")
    print(f"beside it: {others}, each as .csv, too, and ratios.svg")


if __name__ == "__main__":
    cli(main)
