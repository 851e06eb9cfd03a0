#!/usr/bin/env python3
"""Pack the recorded runs of an index, its tables and figures into one file that can be replayed."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Mapping
from pathlib import Path

from _path import ROOT
from evenground.analysis.index import Index, read_index
from evenground.bundle.contents import MAKE, SETTINGS, collect, laid_out
from evenground.bundle.pack import pack
from evenground.bundle.replay import compare_tables, redraw
from evenground.bundle.uuids import lay_out, name_a_card
from evenground.claims.model import read_claims
from evenground.config import load_experiment
from evenground.errors import EvengroundError, cli
from evenground.files import read_json, write_json
from evenground.runs.index import check_run
from evenground.runs.plan import REGISTRY, Plan, make_plan


def main() -> None:
    """Check, redraw and pack; raises EvengroundError if the results are not those of the runs."""
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
    settings = read_json(args.results / "experiment.json") | {"machine": index.machine.class_name}
    plan = make_plan(load_experiment(settings, "experiment.json"), index.root)
    refuse_changed(index, plan, where)
    files = collect(index, where, made_from(plan))
    with tempfile.TemporaryDirectory(prefix="evenground-bundle-") as folder:
        redraw(index, where, Path(folder), read_claims(ROOT))
        compared = compare_tables(args.results, Path(folder))
        if wrong := compared.differing + compared.new:
            what = "tables or figures are not those of the runs"
            raise EvengroundError(what, f"{args.results}/{wrong[0]}", MAKE)
        if name_a_card(files):
            index, files = without_uuids(files, Path(folder, "bare"))
        pack(index, without_mirrors(files, Path(folder)), args.output)
    finished = f"{len(index.finished)} runs of {index.machine.class_name}"
    lost = len(index.runs) - len(index.finished)
    if lost:
        finished += f", {lost} did not finish"
    print(f"{args.output}: {finished}; {args.output.stat().st_size / 1e6:.1f} MB")


def without_uuids(files: Mapping[str, Path], scratch: Path) -> tuple[Index, dict[str, Path]]:
    """Index and files without UUIDs of cards, laid out in `scratch`; tables and figures redrawn."""
    where = lay_out(files, scratch)
    index = read_index(where)
    redraw(index, where, where.parent, read_claims(ROOT))
    return index, collect(index, where, laid_out(scratch))


def without_mirrors(files: Mapping[str, Path], scratch: Path) -> dict[str, Path]:
    """The files, with settings that name no mirror.

    Mirrors are one user's places, and their addresses may hold a login.
    """
    bare = dict(files)
    for name, file in files.items():
        if Path(name).name == SETTINGS:
            bare[name] = scratch / SETTINGS
            write_json(bare[name], read_json(file) | {"mirrors": []})
    return bare


def refuse_changed(index: Index, plan: Plan, where: Path) -> None:
    """Check that the locks to be packed are those of the runs; raises EvengroundError if not."""
    planned = {(run.dataset, run.engine, run.repetition): run.key for run in plan.runs}
    for run in index.runs:
        if planned.get((run.dataset, run.engine, run.repetition)) != run.key:
            what = f"code, locks or settings are not those of the run {run.name} any more"
            raise EvengroundError(what, str(where), "go back to them, or run the pipeline again")


def made_from(plan: Plan) -> list[Path]:
    """Locks, container definitions, records of images and the registry."""
    files = [plan.root / "envs" / f"{name}.txt" for name in plan.environments]
    files += sorted((plan.root / "containers").glob("*.def"))
    files.append(plan.root / "containers/pins.yaml")
    if plan.experiment.deployment != "native":
        files += sorted((plan.root / "results/images").glob("*.json"))
    files.append(plan.root / REGISTRY)
    return files


if __name__ == "__main__":
    cli(main)
