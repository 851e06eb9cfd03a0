"""A working copy with made runs, its tables and figures, and bundles that anybody could have written."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

from analysis.synthetic import T0_NS, Made, made_sheet, write_manifest, write_run
from evenground.analysis.files import write_csv
from evenground.bundle.replay import redraw
from evenground.claims.model import read_claims
from evenground.errors import cli
from evenground.files import sha256_bytes
from evenground.records.environment import Environment, Git, MachineClass
from evenground.records.plan import Run
from evenground.report.sheet import Drawing
from evenground.runs.index import build_index
from evenground.runs.plan import ATTEMPTS, RUNS, Plan
from evenground.runs.study import make_study, write_study
from made_run_records import made_outcome
from working_copy import ROOT, WorkingCopy, fresh_copy

LIST = "checksums.sha256"
INDEX = "results/native/index.json"
LOST = ("fake_b", 2)
Files = dict[str, bytes]


def made_copy(root: Path, others: Sequence[str] = (), **settings: Any) -> Path:
    """A working copy in `root` with four wanted trainings, of which three finished; the path of its index.

    The same three of each condition, if `settings` have lists or there are `others`: machine classes
    whose runs were recorded elsewhere, and take three times as long.
    """
    copy = working_copy_with_lock(root)
    study = make_study(copy.settings | settings, root)
    for condition in study.conditions:
        write_runs(condition.plan, root)
        for machine in others:
            elsewhere = {"machine": machine, "description": f"Made machine {machine}"}
            write_runs(replace(condition.plan, **elsewhere), root, slower=3.0)
    for machine in others:
        copy.calibrated(machine=machine)
    if others:
        machines = {"machine": ["here", *others]}
        study = make_study(copy.settings | settings | machines, root)
    sheet = made_sheet(copy.settings["registry"]["tiny"]["classes"])
    sheet.write(root / study.first.contact_sheet("tiny"))
    write_study(study)
    path = root / study.results / "index.json"
    index = build_index(study.record(), root)
    index.write(path)
    redraw(index, path, path.parent, read_claims(ROOT))
    return path


def working_copy_with_lock(root: Path) -> WorkingCopy:
    """A fresh working copy, whose engines have a lock."""
    copy = fresh_copy(root)
    description = root / "tests/fake_engine/engine.yaml"
    description.write_text(description.read_text() + "environment: keras\n")
    return copy


def write_runs(plan: Plan, root: Path, slower: float = 1.0) -> None:
    """What was recorded of a plan: one training ended without a result."""
    for run in plan.runs:
        placed = run.model_copy(update={"machine": plan.machine})
        if (run.engine, run.repetition) == LOST:
            made_outcome("out-of-memory").write(root / ATTEMPTS / placed.path / "1/outcome.json")
        else:
            write_finished(root / RUNS / placed.path, placed, plan, slower)


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
    for condition in _dicts(index, "conditions"):
        for run in _dicts(condition, "runs"):
            if f"{run.get('path')}/manifest.json" in new:
                run["manifest_sha256"] = _mend_manifest(new, str(run["path"]))
        for named in _named(condition):
            if named.get("path") in new:
                named["sha256"] = sha256_bytes(new[named["path"]])
    if isinstance(index, dict) and index:
        new[INDEX] = json.dumps(index).encode()
    return listed(new)


def _dicts(content: Any, name: str) -> list[dict[str, Any]]:
    """The dictionaries in a list of `content`, whatever it holds."""
    found = content.get(name) if isinstance(content, dict) else None
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def _named(condition: dict[str, Any]) -> list[dict[str, Any]]:
    """How a condition names its calibration and contact sheets."""
    named = [condition.get("calibration")]
    named += [dataset.get("contact_sheet") for dataset in _dicts(condition, "datasets")]
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


def changed(files: Mapping[str, bytes], name: str, change: Callable[[Any], object]) -> Files:
    """The same files, the JSON in `name` changed in place by `change`, every checksum right."""
    content = json.loads(files[name])
    change(content)
    return fixed({**files, name: json.dumps(content).encode()})


def changed_condition(files: Mapping[str, bytes], change: Callable[[Any], object]) -> Files:
    """The same files, the first condition of the index changed in place, every checksum right."""
    return changed(files, INDEX, lambda index: change(index["conditions"][0]))


def condition_in(content: bytes) -> dict[str, Any]:
    """The first condition of an index."""
    condition: dict[str, Any] = json.loads(content)["conditions"][0]
    return condition


def call(script: Callable[[], None], *words: object) -> int:
    """The exit code of a script's `main`, called with these words on its command line."""
    with mock.patch.object(sys, "argv", ["evenground", *map(str, words)]):
        try:
            cli(script)
        except SystemExit as end:
            return int(end.code or 0)
    return 0


def complaints(crate: Path) -> list[str]:
    """What the validator says about a crate, its last line aside, which counts the checks."""
    check = Path(__file__).parent / "bundle/validate_crate.py"
    words = [sys.executable, str(check), str(crate), "REQUIRED"]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    *found, last = done.stdout.splitlines()
    assert int(last.removeprefix("checked ")) > 30, done.stdout + done.stderr
    return found


def save_data(drawing: Drawing, folder: Path) -> None:
    """In place of `sheet.save`: a figure's data and an empty picture, as drawing takes most of a replay."""
    write_csv(drawing.data, folder / f"{drawing.name}.csv")
    (folder / f"{drawing.name}.svg").write_text("<svg/>")
