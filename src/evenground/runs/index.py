"""The index: what became of every wanted run. Tables and figures follow from it alone."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from evenground.containers.images import LOCK_LABEL
from evenground.errors import EvengroundError, set_aside
from evenground.files import BRING_BACK, broken_link, sha256_file
from evenground.records import versions
from evenground.records.calibration import Calibration
from evenground.records.environment import ENVIRONMENT, Environment
from evenground.records.events import Expected
from evenground.records.faults import RecordError, unreadable
from evenground.records.manifest import MANIFEST, Manifest
from evenground.records.outcome import OUTCOME, AttemptOutcome
from evenground.records.times import read_folder
from evenground.runs.plan import ATTEMPTS, CALIBRATIONS, RUNS, WRITTEN, Plan, run_path_of

FETCH = "have it back as it was recorded: dvc checkout results/runs, or dvc pull"
# What of a planned run is in the index; its folder is named by `path`.
SHOWN = ("dataset", "engine", "repetition", "key", "order")


def build_index(plan: dict[str, Any], root: Path) -> dict[str, Any]:
    """The content of `plan.json` with the outcome of each run.

    Raises EvengroundError for a changed run, and for runs of one engine made in two images.
    """
    content = {name: value for name, value in plan.items() if name != WRITTEN}
    # An engine may lie anywhere; an index travels, and must name no path outside the working copy.
    engines = []
    for engine in plan["engines"]:
        engines.append({name: value for name, value in engine.items() if name != "sources"})
    runs = [_indexed(run, root) for run in plan["runs"]]
    # Of each readable run, in order.
    recorded = []
    for run in runs:
        if run["path"]:
            folder = root / run["path"]
            recorded.append((run, Environment.read(folder / ENVIRONMENT, _again(folder))))
    _refuse_two_images(recorded)
    machine = plan["machine"]
    if recorded and recorded[0][1].machine:
        # A recorded class has no description in a plan made on another machine.
        machine = recorded[0][1].machine.model_dump(by_alias=True)
    design = plan["report"]["design"]
    if any(environment.scheduled for _, environment in recorded):
        # A scheduler chose their nodes, even if the plan of today names none.
        design = "independent"
    return {
        **content,
        "engines": engines,
        "schema": versions.INDEX,
        "report": {**plan["report"], "design": design},
        "calibration": _calibration(plan["calibration"], root),
        "machine": machine,
        "runs": runs,
    }


def unfinished(index: dict[str, Any]) -> list[dict[str, Any]]:
    """The wanted runs of `index` that did not finish."""
    return [run for run in index["runs"] if run["status"] != "finished"]


def missed_goals(index: dict[str, Any], root: Path) -> list[str]:
    """What the sampler's calibration on this class of machine measured and found insufficient."""
    if not index["calibration"]:
        return []
    return Calibration.read(root / index["calibration"]["path"]).failed()


def check_runs(plans: Sequence[Plan]) -> None:
    """Check the folders in `results/runs`, and compare each recorded wanted run with its manifest.

    Raises EvengroundError for a folder with a missing file, then for a changed wanted run.
    """
    root = plans[0].root
    _refuse_incomplete(sorted((root / RUNS).glob("*/*/*/*/r*")))
    for plan in plans:
        for run in plan.runs:
            if run.path not in plan.pending:
                check_run(root / RUNS / run.path)


def _refuse_incomplete(folders: Sequence[Path]) -> None:
    """Unwanted runs are checked, too: DVC would store what is left of them as complete."""
    runs = [folder for folder in folders if re.fullmatch(r"r\d+", folder.name)]
    incomplete = [folder for folder in runs if _missing_file(folder)]
    if not incomplete:
        return
    first = incomplete[0]
    missing = _missing_file(first)
    link = broken_link(first / missing)
    why = f"no {missing}"
    fix = FETCH
    if link:
        why = f"{missing} is a link that leads nowhere"
        fix = BRING_BACK
    again = set_aside(*incomplete, then="have what is wanted trained again")
    raise EvengroundError(
        f"{len(incomplete)} of {len(runs)} run folders are not whole: {why}",
        str(link or first),
        f"{fix}; or {again}",
    )


def _missing_file(folder: Path) -> str:
    """The first file of a recorded run that does not exist, or an empty text."""
    if not (folder / MANIFEST).is_file():
        return MANIFEST
    for name in _digests(folder):
        if not (folder / name).is_file():
            return name
    return ""


def check_run(folder: Path) -> None:
    """Compare a run's files with its manifest.

    Raises EvengroundError for a changed or missing file, and for one that is not the run's.
    """
    digests = _digests(folder)
    present = {path.name for path in folder.iterdir()} - {MANIFEST}
    stray = sorted(present - digests.keys())
    changed = []
    for name, digest in digests.items():
        file = folder / name
        if not file.is_file() or sha256_file(file) != digest:
            changed.append(name)
    if not changed and not stray:
        return
    fix = set_aside(*[folder / name for name in stray])
    if changed:
        fix = _again(folder)
    what = f"a recorded run was changed: {', '.join(changed + stray)}"
    raise EvengroundError(what, str(folder), fix)


def _again(folder: Path) -> str:
    """The fix for a recorded run that was changed."""
    return f"{FETCH}; or {set_aside(folder, then='have it trained again')}"


def _digests(folder: Path) -> dict[str, str]:
    """File -> SHA-256 in a run's manifest. A broken manifest has a digest that no file has."""
    try:
        return Manifest.read(folder / MANIFEST).files
    except EvengroundError:
        return {MANIFEST: ""}


def _indexed(run: dict[str, Any], root: Path) -> dict[str, Any]:
    """The entry of a planned run: as it was recorded, else as its last attempt ended."""
    run_path = run_path_of(run)
    shown = {name: run[name] for name in SHOWN}
    if (root / RUNS / run_path / MANIFEST).is_file():
        return {**shown, **_recorded_run(RUNS / run_path, root)}
    outcomes = list((root / ATTEMPTS / run_path).glob(f"*/{OUTCOME}"))
    entry = {"status": "missing", "reason": None, "attempts": 0}
    if outcomes:
        last = AttemptOutcome.read(max(outcomes, key=lambda path: int(path.parent.name)))
        entry |= {"reason": last.reason, "attempts": last.attempt}
        # A run that finished and was taken away since is missing, too.
        if last.reason:
            entry["status"] = "failed"
    return {**shown, **entry, "path": None, "manifest_sha256": None}


def _recorded_run(folder: Path, root: Path) -> dict[str, Any]:
    """The entry of a recorded run: finished, or failed if its records cannot be read."""
    check_run(root / folder)
    entry = {
        "status": "finished",
        "reason": None,
        "attempts": AttemptOutcome.read(root / folder / OUTCOME, _again(root / folder)).attempt,
        "path": folder.as_posix(),
        "manifest_sha256": sha256_file(root / folder / MANIFEST),
    }
    try:
        read_folder(root / folder, Expected())
    except RecordError as error:
        entry |= {"status": "failed", "reason": unreadable(error), "path": None}
        entry["manifest_sha256"] = None
    return entry


def _refuse_two_images(recorded: Sequence[tuple[dict[str, Any], Environment]]) -> None:
    """Two builds of one recipe are two images: raises EvengroundError for runs made in both."""
    first: dict[str, tuple[str, str]] = {}
    for run, environment in recorded:
        image = environment.image
        if image is None:
            continue
        # Arms of one engine share its image.
        lock = image.labels.get(LOCK_LABEL, run["engine"])
        digest, path = first.setdefault(lock, (image.sha256, run["path"]))
        if digest != image.sha256:
            raise EvengroundError(
                f"runs of '{run['engine']}' were made in two images: sha256:{digest[:12]} "
                f"({path}) and sha256:{image.sha256[:12]}",
                run["path"],
                "set those of one of them aside, which loses nothing: "
                f"./evenground aside {run['path']} ...",
            )


def _calibration(path: str, root: Path) -> dict[str, str] | None:
    """Path and digest of the sampler's calibration on this class of machine; None without one."""
    # DVC requires the folder, one of its outputs, though a foreign class may have no calibration.
    (root / CALIBRATIONS).mkdir(parents=True, exist_ok=True)
    if not (root / path).is_file():
        return None
    return {"path": path, "sha256": sha256_file(root / path)}
