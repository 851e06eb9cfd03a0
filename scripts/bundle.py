#!/usr/bin/env python3
"""Pack the recorded runs of an index, its tables and figures into one file that anybody can replay."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Mapping
from pathlib import Path

from _path import ROOT
from evenground.analysis.index import Index, read_index
from evenground.bundle.contents import MAKE, SETTINGS, collect, laid_out
from evenground.bundle.pack import pack
from evenground.bundle.uuids import lay_out, name_a_card
from evenground.claims.model import read_claims
from evenground.config import load_experiment
from evenground.errors import EvengroundError, cli
from evenground.files import read_json, write_json
from evenground.replay import compare_tables, redraw
from evenground.runs.index import check_run
from evenground.runs.plan import REGISTRY, Plan, make_plan


def main() -> None:
    parser = argparse.ArgumentParser(prog="evenground bundle", description=__doc__)
    parser.add_argument("output", type=Path, help="the file to write, as in runs.zip")
    parser.add_argument(
        "--results", type=Path, default=ROOT / "results/native", help="default: %(default)s"
    )
    args = parser.parse_args()
    where = args.results / "index.json"
    index = read_index(where)
    for run in index.finished:
        check_run(index.root / str(run.path))
    settings = {**read_json(args.results / "experiment.json"), "machine": index.machine.class_name}
    plan = make_plan(load_experiment(settings, "experiment.json"), index.root, check=False)
    refuse_changed(index, plan, where)
    files = collect(index, where, made_from(plan))
    with tempfile.TemporaryDirectory(prefix="evenground-bundle-") as folder:
        redraw(index, where, Path(folder), read_claims(ROOT))
        found = compare_tables(args.results, Path(folder))
        if wrong := found.differing + found.new:
            where = f"{args.results}/{wrong[0]}"
            raise EvengroundError("tables or figures are not those of the runs", where, MAKE)
        if name_a_card(files):
            index, files = without_uuids(files, Path(folder, "bare"))
        pack(index, without_mirrors(files, Path(folder)), args.output)
    lost = len(index.runs) - len(index.finished)
    print(
        f"{args.output}: {len(index.finished)} runs of {index.machine.class_name}"
        f"{f', {lost} did not finish' if lost else ''}; {args.output.stat().st_size / 1e6:.1f} MB"
    )


def without_uuids(files: Mapping[str, Path], scratch: Path) -> tuple[Index, dict[str, Path]]:
    """Index and files with no UUID of a card, laid out in `scratch`; tables and figures are drawn anew."""
    where = lay_out(files, scratch)
    index = read_index(where)
    redraw(index, where, where.parent, read_claims(ROOT))
    return index, collect(index, where, laid_out(scratch))


def without_mirrors(files: Mapping[str, Path], scratch: Path) -> dict[str, Path]:
    """The files with settings that name no mirror: those are one user's places, and may hold a login."""
    bare = scratch / SETTINGS
    (name,) = (name for name in files if Path(name).name == SETTINGS)
    write_json(bare, {**read_json(files[name]), "mirrors": []})
    return {**files, name: bare}


def refuse_changed(index: Index, plan: Plan, where: Path) -> None:
    """The locks beside an index are packed with it: they must be those that its runs were made with."""
    keys = {(run.dataset, run.engine, run.repetition): run.key for run in plan.runs}
    other = [
        run for run in index.runs if keys.get((run.dataset, run.engine, run.repetition)) != run.key
    ]
    if other:
        what = f"code, locks or settings are not those of the run {other[0].name} any more"
        raise EvengroundError(what, str(where), "go back to them, or run the pipeline again")


def made_from(plan: Plan) -> list[Path]:
    """Locks, container definitions and the registry."""
    locks = [plan.root / "envs" / f"{name}.txt" for name in plan.environments]
    containers = [*(plan.root / "containers").glob("*.def"), plan.root / "containers/pins.yaml"]
    records = (
        [*(plan.root / "results/images").glob("*.json")]
        if plan.experiment.deployment != "native"
        else []
    )
    return [*locks, *sorted(containers), *sorted(records), plan.root / REGISTRY]


if __name__ == "__main__":
    cli(main)
