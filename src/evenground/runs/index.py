"""The index: what became of every wanted run. Tables and figures follow from it alone."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from evenground.containers.images import LOCK_LABEL
from evenground.errors import EvengroundError, set_aside
from evenground.files import BRING_BACK, broken_link, sha256_file
from evenground.records.calibration import Calibration
from evenground.records.environment import ENVIRONMENT, Environment
from evenground.records.events import Expected
from evenground.records.faults import RecordError, unreadable
from evenground.records.index import CodeLines, Condition, Index, WantedRun
from evenground.records.manifest import MANIFEST, Manifest
from evenground.records.outcome import OUTCOME, AttemptOutcome
from evenground.records.plan import FileBeside, Machine, PlanFile, PlannedCondition, Run
from evenground.records.times import read_folder
from evenground.runs.plan import ATTEMPTS, CALIBRATIONS, RUNS, Plan

FETCH = "have it back as it was recorded: dvc checkout results/runs, or dvc pull"


def build_index(plan: PlanFile, root: Path, lines: CodeLines | None = None) -> Index:
    """The plan with the outcome of each run, and the lines of code behind them.

    Raises EvengroundError for a changed run, and for runs of one engine made in two images.
    """
    sheets = {name: file_beside(path, root) for name, path in plan.contact_sheets.items()}
    conditions = []
    recorded: list[tuple[WantedRun, Environment]] = []
    for planned in plan.conditions:
        runs = tuple(_indexed(run, root) for run in planned.runs)
        # Of each readable run, in order.
        environments = [(run, _environment(root / run.path)) for run in runs if run.path]
        recorded += environments
        conditions.append(
            _condition(planned, runs, [each for _, each in environments], sheets, root)
        )
    _refuse_two_images(recorded)
    return Index(swept=plan.swept, conditions=tuple(conditions), lines=lines).below(root)


def _condition(
    planned: PlannedCondition,
    runs: tuple[WantedRun, ...],
    environments: Sequence[Environment],
    sheets: Mapping[str, FileBeside | None],
    root: Path,
) -> Condition:
    """A condition with its runs; `environments`: those of the readable ones."""
    machine = planned.machine
    if environments and environments[0].machine:
        # A recorded class has no description in a plan made on another machine.
        seen = environments[0].machine
        machine = Machine(class_name=seen.class_name, description=seen.description)
    report = planned.report
    if any(environment.scheduled for environment in environments):
        # A scheduler chose their nodes, even if the plan of today names none.
        report = report.model_copy(update={"design": "independent"})
    datasets = []
    for dataset in planned.datasets:
        datasets.append(dataset.model_copy(update={"contact_sheet": sheets[dataset.name]}))
    return Condition(
        machine=machine,
        deployment=planned.deployment,
        values=planned.values,
        report=report,
        parameters=planned.parameters,
        engines=planned.engines,
        absent=planned.absent,
        datasets=tuple(datasets),
        calibration=_calibration(planned.calibration, root),
        runs=runs,
    )


def missed_goals(index: Index) -> set[str]:
    """What the sampler's calibration on any class of machine measured and found insufficient."""
    missed: set[str] = set()
    for condition in index.conditions:
        if condition.calibration:
            missed.update(Calibration.read(index.root / condition.calibration.path).failed())
    return missed


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


def _environment(folder: Path) -> Environment:
    return Environment.read(folder / ENVIRONMENT, _again(folder))


def _digests(folder: Path) -> dict[str, str]:
    """File -> SHA-256 in a run's manifest. A broken manifest has a digest that no file has."""
    try:
        return Manifest.read(folder / MANIFEST).files
    except EvengroundError:
        return {MANIFEST: ""}


def _indexed(run: Run, root: Path) -> WantedRun:
    """The entry of a planned run: as it was recorded, else as its last attempt ended."""
    if (root / RUNS / run.path / MANIFEST).is_file():
        return _recorded_run(run, root)
    outcomes = list((root / ATTEMPTS / run.path).glob(f"*/{OUTCOME}"))
    if not outcomes:
        return _entry(run, {"status": "missing"})
    last = AttemptOutcome.read(max(outcomes, key=lambda path: int(path.parent.name)))
    # A run that finished and was taken away since is missing, too.
    status = "failed" if last.reason else "missing"
    return _entry(run, {"status": status, "reason": last.reason, "attempts": last.attempt})


def _recorded_run(run: Run, root: Path) -> WantedRun:
    """The entry of a recorded run: finished, or failed if its records cannot be read."""
    folder = RUNS / run.path
    check_run(root / folder)
    outcome = AttemptOutcome.read(root / folder / OUTCOME, _again(root / folder))
    attempts = {"attempts": outcome.attempt}
    try:
        read_folder(root / folder, Expected())
    except RecordError as error:
        return _entry(run, attempts | {"status": "failed", "reason": unreadable(error)})
    sha256 = sha256_file(root / folder / MANIFEST)
    recorded = {"status": "finished", "path": folder.as_posix(), "manifest_sha256": sha256}
    return _entry(run, attempts | recorded)


def _entry(run: Run, outcome: dict[str, Any]) -> WantedRun:
    return WantedRun.model_validate(run.model_dump(exclude={"machine"}) | outcome)


def _refuse_two_images(recorded: Sequence[tuple[WantedRun, Environment]]) -> None:
    """Two builds of one recipe are two images: raises EvengroundError for runs made in both."""
    first: dict[str, tuple[str, str]] = {}
    for run, environment in recorded:
        image = environment.image
        if image is None:
            continue
        # Arms of one engine share its image.
        lock = image.labels.get(LOCK_LABEL, run.engine)
        digest, path = first.setdefault(lock, (image.sha256, str(run.path)))
        if digest != image.sha256:
            raise EvengroundError(
                f"runs of '{run.engine}' were made in two images: sha256:{digest[:12]} "
                f"({path}) and sha256:{image.sha256[:12]}",
                str(run.path),
                "set those of one of them aside, which loses nothing: "
                f"./evenground aside {run.path} ...",
            )


def _calibration(path: str, root: Path) -> FileBeside | None:
    """Path and digest of the sampler's calibration on this class of machine; None without one."""
    # DVC requires the folder, one of its outputs, though a foreign class may have no calibration.
    (root / CALIBRATIONS).mkdir(parents=True, exist_ok=True)
    return file_beside(path, root)


def file_beside(path: str, root: Path) -> FileBeside | None:
    """How an index names a file beside the runs; None if there is no such file."""
    if not (root / path).is_file():
        return None
    return FileBeside(path=path, sha256=sha256_file(root / path))
