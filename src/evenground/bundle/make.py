"""Making a bundle of a working copy's results."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path

from evenground.bundle.contents import MAKE, SETTINGS, collect
from evenground.bundle.convert import redrawn
from evenground.bundle.pack import pack
from evenground.bundle.replay import compare_tables, redraw
from evenground.bundle.uuids import lay_out, name_a_card
from evenground.claims.model import read_claims
from evenground.config import load_experiment
from evenground.errors import EvengroundError
from evenground.files import read_json, write_json
from evenground.records.index import Index, read_index
from evenground.runs.index import check_run
from evenground.runs.plan import REGISTRY, Plan, make_plan


def make_bundle(results: Path, to: Path, root: Path) -> Index:
    """Pack the recorded runs of an index into the file `to`, redrawn to see that nothing differs.

    `results`: folder of the index. Claims are those of the working copy `root`. Returns what was
    packed. Raises EvengroundError if runs, tables or figures are not what they were.
    """
    where = results / "index.json"
    index = read_index(where)
    for run in index.finished:
        check_run(index.root / str(run.path))
    settings = read_json(results / SETTINGS) | {"machine": index.machine.class_name}
    plan = make_plan(load_experiment(settings, SETTINGS), index.root)
    _refuse_changed(index, plan, where)
    files = collect(index, where, _made_from(plan))
    with tempfile.TemporaryDirectory(prefix="evenground-bundle-") as folder:
        redraw(index, where, Path(folder), read_claims(root))
        compared = compare_tables(results, Path(folder))
        if wrong := compared.differing + compared.new:
            what = "tables or figures are not those of the runs"
            raise EvengroundError(what, f"{results}/{wrong[0]}", MAKE)
        if name_a_card(files):
            index, files = redrawn(lay_out(files, Path(folder, "bare")), root)
        pack(index, _without_mirrors(files, Path(folder)), to)
    return index


def _without_mirrors(files: Mapping[str, Path], scratch: Path) -> dict[str, Path]:
    """The files, with settings that name no mirror.

    Mirrors are one user's places, and their addresses may hold a login.
    """
    bare = dict(files)
    for name, file in files.items():
        if Path(name).name == SETTINGS:
            bare[name] = scratch / SETTINGS
            write_json(bare[name], read_json(file) | {"mirrors": []})
    return bare


def _refuse_changed(index: Index, plan: Plan, where: Path) -> None:
    """Check that the locks to be packed are those of the runs; raises EvengroundError if not."""
    planned = {(run.dataset, run.engine, run.repetition): run.key for run in plan.runs}
    for run in index.runs:
        if planned.get((run.dataset, run.engine, run.repetition)) != run.key:
            what = f"code, locks or settings are not those of the run {run.name} any more"
            raise EvengroundError(what, str(where), "go back to them, or run the pipeline again")


def _made_from(plan: Plan) -> list[Path]:
    """Locks, container definitions, records of images and the registry."""
    files = [plan.root / "envs" / f"{name}.txt" for name in plan.environments]
    files += sorted((plan.root / "containers").glob("*.def"))
    files.append(plan.root / "containers/pins.yaml")
    if plan.experiment.deployment != "native":
        files += sorted((plan.root / "results/images").glob("*.json"))
    files.append(plan.root / REGISTRY)
    return files
