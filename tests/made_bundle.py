"""A working copy with made runs, its tables and figures, and bundles that anybody could have written."""

from __future__ import annotations

import json
import sys
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from unittest import mock

from analysis.synthetic import T0_NS, Made, made_sheet, write_manifest, write_run
from evenground.analysis.files import write_csv
from evenground.bundle.replay import redraw
from evenground.claims.model import read_claims
from evenground.config import load_experiment
from evenground.errors import cli
from evenground.files import sha256_bytes
from evenground.records.environment import Environment, Git, MachineClass
from evenground.records.plan import Run
from evenground.report.sheet import Drawing
from evenground.runs.index import build_index
from evenground.runs.plan import ATTEMPTS, RESULTS, RUNS, Plan, make_plan, write_plan
from made_run_records import made_outcome
from working_copy import ROOT, fresh_copy

LIST = "checksums.sha256"
INDEX = "results/native/index.json"
LOST = ("fake_b", 2)
Files = dict[str, bytes]


def made_copy(root: Path) -> Path:
    """A working copy in `root` with four wanted trainings, of which three finished; the path of its index."""
    copy = fresh_copy(root)
    description = root / "tests/fake_engine/engine.yaml"
    description.write_text(description.read_text() + "environment: keras\n")
    plan = make_plan(load_experiment(copy.settings), root)
    for run in plan.runs:
        if (run.engine, run.repetition) == LOST:
            where = root / ATTEMPTS / run.path / "1/outcome.json"
            made_outcome("out-of-memory").write(where)
        else:
            write_finished(root / RUNS / run.path, run, plan)
    made_sheet(copy.settings["registry"]["tiny"]["classes"]).write(
        root / plan.contact_sheet("tiny")
    )
    write_plan(plan, Path("results/native"))
    path = root / RESULTS / plan.experiment.deployment / "index.json"
    index = build_index(plan.record(), root)
    index.write(path)
    redraw(index, path, path.parent, read_claims(ROOT))
    return path


def write_finished(folder: Path, run: Run, plan: Plan, slower: float = 1.0) -> None:
    """A recorded run whose steady part takes `slower` times 0.5 s, and 0.05 s more for each before it."""
    seconds = slower * (0.5 + 0.05 * run.order)
    made = Made(load_s=0.4, first_batch_s=0.2, steady_s=seconds, evaluate_s=0.1, linger_s=0.2)
    names = {**run.model_dump(), "deployment": "native"}
    names.pop("order")
    write_run(folder, made, T0_NS + run.order * 10**10, names)
    record = Environment(
        machine=MachineClass(class_name=plan.machine, description=plan.description),
        libraries={"numpy": "2.0", run.engine: "1.5"},
        git=Git(commit="0" * 40, dirty=False),
    )
    record.write(folder / "environment.json")
    made_outcome().write(folder / "outcome.json")
    (folder / "train.log").write_text("")
    write_manifest(folder, names)


def files_of(bundle: Path) -> Files:
    """Name -> content of every file in a bundle."""
    with zipfile.ZipFile(bundle) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def listed(files: Mapping[str, bytes]) -> Files:
    """The same files with a list of checksums that is right."""
    others = {name: content for name, content in files.items() if name != LIST}
    lines = "".join(f"{sha256_bytes(content)}  {name}\n" for name, content in others.items())
    return {**others, LIST: lines.encode()}


def write_zip(files: Mapping[str, bytes], to: Path) -> Path:
    """A bundle of these files."""
    with zipfile.ZipFile(to, "w") as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED, 1)
    return to


def fixed(files: Mapping[str, bytes]) -> Files:
    """The same files with every checksum right: those of manifests, of the index and of the list."""
    new = dict(files)
    index = _json(new, INDEX)
    parts = index if isinstance(index, dict) else {}
    runs = parts.get("runs")
    for run in runs if isinstance(runs, list) else []:
        if isinstance(run, dict) and f"{run.get('path')}/manifest.json" in new:
            run["manifest_sha256"] = _mend_manifest(new, str(run["path"]))
    for named in _named(parts):
        if named.get("path") in new:
            named["sha256"] = sha256_bytes(new[named["path"]])
    if parts:
        new[INDEX] = json.dumps(index).encode()
    return listed(new)


def _named(index: Mapping[str, Any]) -> list[dict[str, Any]]:
    """How an index, whatever it holds, names its calibration and contact sheets."""
    named, datasets = [index.get("calibration")], index.get("datasets")
    for dataset in datasets if isinstance(datasets, list) else []:
        if isinstance(dataset, dict):
            named.append(dataset.get("contact_sheet"))
    return [one for one in named if isinstance(one, dict)]


def _mend_manifest(files: Files, run: str) -> str:
    """Put the right checksums into the manifest of a run, if it is one; its own checksum."""
    name = f"{run}/manifest.json"
    manifest = _json(files, name)
    if isinstance(manifest, dict) and isinstance(manifest.get("files"), dict):
        sums = {one: sha256_bytes(files.get(f"{run}/{one}", b"")) for one in manifest["files"]}
        files[name] = json.dumps({**manifest, "files": sums}).encode()
    return sha256_bytes(files[name])


def _json(files: Mapping[str, bytes], name: str) -> Any:
    try:
        return json.loads(files.get(name, b""))
    except (ValueError, RecursionError):
        return None


def changed(files: Mapping[str, bytes], name: str, change: Callable[[Any], None]) -> Files:
    """The same files, the JSON in `name` changed in place by `change`, every checksum right."""
    content = json.loads(files[name])
    change(content)
    return fixed({**files, name: json.dumps(content).encode()})


def call(script: Callable[[], None], *words: object) -> int:
    """The exit code of a script's `main`, called with these words on its command line."""
    with mock.patch.object(sys, "argv", ["evenground", *map(str, words)]):
        try:
            cli(script)
        except SystemExit as end:
            return int(end.code or 0)
    return 0


def save_data(drawing: Drawing, folder: Path) -> None:
    """In place of `sheet.save`: only the data behind a figure, because drawing it takes most of a replay."""
    write_csv(drawing.data, folder / f"{drawing.name}.csv")
