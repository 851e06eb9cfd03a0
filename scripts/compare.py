#!/usr/bin/env python3
"""Set two recorded experiments side by side: two bundles, two results folders, two machine classes."""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

import pandas as pd

from _path import ROOT
from evenground.analysis.differences import differences, other_work, shared_runs
from evenground.analysis.files import markdown_table, write_csv, write_markdown
from evenground.analysis.index import Index, parse_index, read_index
from evenground.analysis.side_by_side import Side, measures, ratios, read_side
from evenground.bundle.unpack import find_index, unpack
from evenground.errors import EvengroundError, cli
from evenground.report.sheet import save
from evenground.report.side_by_side import ratios_drawing
from evenground.report.style import fixed_style

HELP = "a bundle, a results folder (results/native), or a machine class of results/runs"


def main() -> None:
    parser = argparse.ArgumentParser(prog="evenground compare", description=__doc__)
    parser.add_argument("a", help=HELP)
    parser.add_argument("b", help=HELP)
    parser.add_argument("--output-dir", type=Path, default=Path("compared"), help="default: %(default)s")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="evenground-compare-") as scratch:
        indexes = [find(source, Path(scratch, name)) for source, name in ((given.a, "a"), (given.b, "b"))]
        names = [Path(source).stem for source in (given.a, given.b)]
        a, b = (read_side(name, index) for name, index in zip(names, indexes, strict=True))
        report(a, b, given.output_dir)


def find(source: str, scratch: Path) -> Index:
    """The index that `source` stands for; a bundle is unpacked to `scratch`."""
    path = Path(source)
    if path.is_dir():
        return read_index(path / "index.json" if (path / "index.json").is_file() else find_index(path))
    if path.is_file():
        return read_index(unpack(path, scratch))
    if (ROOT / "results/runs" / source).is_dir():
        return of_class(source)
    raise EvengroundError("no such bundle, folder or machine class", source, f"give {HELP}")


def of_class(machine: str) -> Index:
    """What the runs of a machine class in this working copy are to the experiment of params.yaml."""
    try:
        import yaml

        from evenground.config import load_experiment
        from evenground.runs.index import build_index
        from evenground.runs.plan import make_plan
    except ImportError:
        setup = "python3 scripts/start.py setup, then: .venv/bin/python scripts/compare.py"
        raise EvengroundError("a machine class needs the workflow's environment", machine, setup) from None
    settings = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    plan = make_plan(load_experiment({**settings, "machine": machine}), ROOT)
    content = json.loads(json.dumps(build_index(plan.content(), ROOT)))
    return parse_index(content, ROOT, ROOT / "results/runs" / machine)


def report(a: Side, b: Side, to: Path) -> None:
    """Write and show what differs, both sides' measures and the ratios of engines."""
    found = differences(a.index, b.index)
    note = f"{_warnings(a, b, found)}a: `{a.name}`, {_machine(a)}. b: `{b.name}`, {_machine(b)}."
    tables: dict[str, tuple[str, pd.DataFrame]] = {
        "differences": ("What differs", found),
        "measures": ("What was measured", measures(a, b)),
        "ratios": ("Ratios of engines", ratios(a, b)),
    }
    for name, (heading, table) in tables.items():
        write_csv(table, to / f"{name}.csv")
        write_markdown(table, heading, note, to / f"{name}.md")
    with fixed_style():
        save(ratios_drawing(tables["ratios"][1], a.name, b.name), to)
    ours = tables["ratios"][1]
    print(f"{note}\n\n{markdown_table(ours[ours['measure'] == 'training_s'])}")
    print(f"{len(found)} recorded differences: {to}/differences.md; also measures.md, ratios.md, ratios.svg")


def _warnings(a: Side, b: Side, found: pd.DataFrame) -> str:
    """What forbids to read the two sides as two measurements of one thing."""
    other, shared = other_work(found), shared_runs(a.index, b.index)
    words = f"**Not the same work: {'; '.join(other)}.** " if other else ""
    return words + (f"**{shared} runs are in both: no comparison of two measurements.** " if shared else "")


def _machine(side: Side) -> str:
    index = side.index
    return f"{index.machine.description}, {index.deployment}, {len(index.finished)} runs"


if __name__ == "__main__":
    cli(main)
