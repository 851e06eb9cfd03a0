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
from evenground.errors import EvengroundError
from evenground.files import read_json, write_json
from evenground.records.index import Index, read_index
from evenground.runs.index import check_run
from evenground.runs.plan import REGISTRY
from evenground.runs.study import Study, make_study


def make_bundle(results: Path, to: Path, root: Path) -> Index:
    """Pack the recorded runs of an index into the file `to`, redrawn to see that nothing differs.

    `results`: folder of the index. Claims are those of the working copy `root`. Returns what was
    packed. Raises EvengroundError if runs, tables or figures are not what they were.
    """
    where = results / "index.json"
    index = read_index(where)
    for run in index.finished:
        check_run(index.root / str(run.path))
    machines = index.class_names
    study = make_study(read_json(results / SETTINGS) | {"machine": machines}, index.root, SETTINGS)
    _refuse_changed(index, study, where)
    files = collect(index, where, _made_from(study))
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


def _refuse_changed(index: Index, study: Study, where: Path) -> None:
    """Check that the locks to be packed are those of the runs; raises EvengroundError if not."""
    for condition in index.conditions:
        for run in condition.runs:
            if run.path_on(condition.machine.class_name) not in study.by_path:
                what = f"code, locks or settings are not those of the run {run.name} any more"
                fix = "go back to them, or run the pipeline again"
                raise EvengroundError(what, str(where), fix)


def _made_from(study: Study) -> list[Path]:
    """Locks, container definitions, records of images and the registry."""
    root = study.first.root
    files = [root / "envs" / f"{name}.txt" for name in study.environments]
    files += sorted((root / "containers").glob("*.def"))
    files.append(root / "containers/pins.yaml")
    if study.first.experiment.deployment != "native":
        files += sorted((root / "results/images").glob("*.json"))
    files.append(root / REGISTRY)
    return files
