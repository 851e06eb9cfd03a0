"""The index: what became of every wanted run. Tables and figures follow from it alone."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from evenground.errors import EvengroundError, set_aside
from evenground.files import BRING_BACK, broken_link, read_json, sha256_file
from evenground.images import LOCK_LABEL
from evenground.records import versions
from evenground.records.events import Expected
from evenground.records.faults import RecordError, unreadable
from evenground.records.times import read_folder
from evenground.runs.plan import ATTEMPTS, CALIBRATIONS, RUNS, WRITTEN, Plan

MANIFEST = "manifest.json"
FETCH = "have it back as it was recorded: dvc checkout results/runs, or dvc pull"


def build_index(plan: dict[str, Any], root: Path) -> dict[str, Any]:
    """The index of `plan` (content of `plan.json`): the same, each run with what became of it."""
    runs = [_indexed(run, root) for run in plan["runs"]]
    content = {name: value for name, value in plan.items() if name != WRITTEN}
    # An engine may lie anywhere; an index travels, and names no place outside of the working copy.
    content["engines"] = [
        {name: value for name, value in engine.items() if name != "sources"}
        for engine in plan["engines"]
    ]
    _refuse_two_images(runs, root)
    machine = _machine(plan["machine"], runs, root)
    return {
        **content,
        "schema": versions.INDEX,
        "report": {**plan["report"], "design": _design(plan["report"]["design"], runs, root)},
        "calibration": _calibration(plan["calibration"], root),
        "machine": machine,
        "runs": runs,
    }


def unfinished(index: dict[str, Any]) -> list[dict[str, Any]]:
    """The wanted runs of `index` that did not finish."""
    return [run for run in index["runs"] if run["status"] != "finished"]


def missed_goals(index: dict[str, Any], root: Path) -> list[str]:
    """Figures of the sampler's calibration that are not what they should be on this class of machine."""
    if not index["calibration"]:
        return []
    figures = read_json(root / index["calibration"]["path"])["figures"].values()
    return [figure["what"] for figure in figures if figure["passed"] is False]


def check_runs(plans: Sequence[Plan]) -> None:
    """EvengroundError for a folder in `results/runs` that lacks a file, then for a changed wanted run."""
    root = plans[0].root
    folders = [
        path for path in (root / RUNS).glob("*/*/*/*/r*") if re.fullmatch(r"r\d+", path.name)
    ]
    _refuse_halves(sorted(folders))
    for plan in plans:
        for run in plan.runs:
            if run.path not in plan.pending:
                check_run(root / RUNS / run.path)


def _refuse_halves(folders: Sequence[Path]) -> None:
    """Runs that nobody wants now are looked at, too: DVC would store what is left of them as whole."""
    lacking = {folder: lost for folder in folders if (lost := _lost_file(folder))}
    if not lacking:
        return
    first, lost = next(iter(lacking.items()))
    link = broken_link(first / lost)
    why = f"{lost} is a link that leads nowhere" if link else f"no {lost}"
    again = set_aside(*lacking, then="have what is wanted trained again")
    raise EvengroundError(
        f"{len(lacking)} of {len(folders)} run folders are not whole: {why}",
        str(link or first),
        f"{BRING_BACK if link else FETCH}; or {again}",
    )


def _lost_file(folder: Path) -> str | None:
    """The first file of a recorded run that is not there; its content is not looked at."""
    names = _recorded(folder) if (folder / MANIFEST).is_file() else {}
    return next((name for name in (MANIFEST, *names) if not (folder / name).is_file()), None)


def check_run(folder: Path) -> None:
    """Compare a run's files with its manifest; EvengroundError for a changed, missing or stray one."""
    recorded = _recorded(folder)
    found = {path.name for path in folder.iterdir()} - {MANIFEST}
    stray = sorted(found - recorded.keys())
    changed = [name for name, digest in recorded.items() if _digest(folder / name) != digest]
    if not changed and not stray:
        return
    what = f"a recorded run was changed: {', '.join(changed + stray)}"
    if changed:
        again = set_aside(folder, then="have it trained again")
        raise EvengroundError(what, str(folder), f"{FETCH}; or {again}")
    raise EvengroundError(what, str(folder), set_aside(*(folder / name for name in stray)))


def _recorded(folder: Path) -> dict[str, str | None]:
    """The digests in a run's manifest; a broken manifest is no digest of its own."""
    try:
        return dict(read_json(folder / MANIFEST)["files"])
    except (EvengroundError, KeyError, TypeError, ValueError):
        return {MANIFEST: ""}


def _digest(file: Path) -> str | None:
    return sha256_file(file) if file.is_file() else None


def _indexed(run: dict[str, Any], root: Path) -> dict[str, Any]:
    place = Path(run["machine"], run["dataset"], run["engine"], run["key"], f"r{run['repetition']}")
    folder = RUNS / place
    ended = sorted(
        (root / ATTEMPTS / place).glob("*/outcome.json"), key=lambda path: int(path.parent.name)
    )
    shown = {name: run[name] for name in ("dataset", "engine", "repetition", "key", "order")}
    if (root / folder / MANIFEST).is_file():
        return {**shown, **_recorded_run(folder, root)}
    last = read_json(ended[-1]) if ended else {"status": "missing", "reason": None, "attempt": 0}
    status = last["status"] if last["status"] == "failed" else "missing"
    lost = {"status": status, "reason": last["reason"], "attempts": last["attempt"], "path": None}
    return {**shown, **lost, "manifest_sha256": None}


def _recorded_run(folder: Path, root: Path) -> dict[str, Any]:
    """What the index says of a run that is in its place: finished, or failed where it cannot be read."""
    check_run(root / folder)
    found = {
        "status": "finished",
        "reason": None,
        "attempts": read_json(root / folder / "outcome.json")["attempt"],
        "path": folder.as_posix(),
        "manifest_sha256": sha256_file(root / folder / MANIFEST),
    }
    try:
        read_folder(root / folder, Expected())
    except RecordError as error:
        found |= {
            "status": "failed",
            "reason": unreadable(error),
            "path": None,
            "manifest_sha256": None,
        }
    return found


def _design(planned: str, runs: list[dict[str, Any]], root: Path) -> str:
    """`independent` also where the plan of now has no nodes, and a scheduler chose those of recorded runs."""
    records = (read_json(root / run["path"] / "environment.json") for run in runs if run["path"])
    return "independent" if any(record.get("scheduled") for record in records) else planned


def _refuse_two_images(runs: list[dict[str, Any]], root: Path) -> None:
    """Two builds of one recipe are two images: a table never holds runs of both."""
    first: dict[str, dict[str, Any]] = {}
    for run in runs:
        image = (
            read_json(root / run["path"] / "environment.json").get("image") if run["path"] else None
        )
        if image is None:
            continue
        # Arms of one engine share its image.
        other = first.setdefault(
            image["labels"].get(LOCK_LABEL, run["engine"]),
            {"sha256": image["sha256"], "path": run["path"]},
        )
        if other["sha256"] != image["sha256"]:
            raise EvengroundError(
                f"runs of '{run['engine']}' were made in two images: sha256:{other['sha256'][:12]} "
                f"({other['path']}) and sha256:{image['sha256'][:12]}",
                run["path"],
                f"set those of one of them aside, which loses nothing: ./evenground aside {run['path']} ...",
            )


def _calibration(path: str, root: Path) -> dict[str, str] | None:
    """Where the sampler's calibration on this class of machine stands; None where there is none."""
    # The folder is one of DVC's outputs, which must be there, though a foreign machine's may be unknown.
    (root / CALIBRATIONS).mkdir(parents=True, exist_ok=True)
    file = root / path
    return {"path": path, "sha256": sha256_file(file)} if file.is_file() else None


def _machine(machine: dict[str, Any], runs: list[dict[str, Any]], root: Path) -> dict[str, Any]:
    """The class with the words the first finished run recorded for it."""
    for run in runs:
        if run["path"]:
            recorded: dict[str, Any] = read_json(root / run["path"] / "environment.json")["machine"]
            return recorded
    return machine
