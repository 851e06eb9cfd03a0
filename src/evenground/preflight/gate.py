"""The gate: what is checked before the first job of every invocation."""

from __future__ import annotations

from collections.abc import Sequence

from evenground import logs
from evenground.containers.images import Image
from evenground.containers.launcher import Launcher
from evenground.containers.pins import load_pins
from evenground.cpus.judge import lacking_cores
from evenground.datasets.storage import check_arrays
from evenground.errors import EvengroundError
from evenground.preflight.containers import findings
from evenground.preflight.cpus import record_of
from evenground.preflight.finding import Finding
from evenground.preflight.gpu import context, trained
from evenground.preflight.gpu import findings as gpu_findings
from evenground.preflight.probe import probe, wanted_of
from evenground.records.contact_sheet import ContactSheet
from evenground.records.dataset import PREPARED, Prepared
from evenground.runs.index import check_runs
from evenground.runs.lost import refuse_at_work
from evenground.runs.plan import Plan


def gate(
    plans: Sequence[Plan],
    images: Sequence[Image],
    launcher: Launcher | None = None,
    refuse: bool = True,
    starts: bool = True,
) -> None:
    """Print which engines are left out and what will flag runs; raises EvengroundError for errors.

    `launcher`: how Apptainer is launched for a training in one of `images`. Without `starts` this
    invocation runs no job, and the GPU is not touched. Without `refuse` nothing is checked.

    Data and runs that are not what was recorded are refused first. Cores, GPU and containers are
    checked only where something will be trained here: recorded runs can be drawn without them.
    """
    for line in dict.fromkeys(line for plan in plans for line in left_out(plan)):
        logs.info(line)
    if not refuse:
        return
    first = plans[0]
    for name in first.datasets:
        folder = first.root / first.prepared(name)
        if (folder / PREPARED).is_file():
            check_arrays(folder)
            for line in Prepared.read(folder / PREPARED).empty_class_lines:
                logs.warning(line)
        sheet = first.root / first.contact_sheet(name)
        if sheet.is_file():
            ContactSheet.read(sheet)
    check_runs(plans)
    if starts:
        for plan in plans:
            refuse_at_work(plan.root, plan.pending)
    for line in lacking(plans):
        logs.warning(line)
    if trained(plans):
        refuse_gpu(plans, starts)
    if images and any(plan.pending and plan.trains for plan in plans):
        refuse_containers(findings(plans, images, launcher))


def left_out(plan: Plan) -> list[str]:
    """Return a line for each engine that is not installed here."""
    names = {engine.name for engine in plan.engines}
    beside = " (its recorded runs stay)"
    return [
        f"{e.name} left out{beside if e.name in names else ''}: {e.reason}" for e in plan.left_out
    ]


def lacking(plans: Sequence[Plan]) -> list[str]:
    """Return a line for each number of threads that will be trained here with too few cores."""
    here = [
        plan for plan in plans if plan.pending and plan.trains and plan.machine == plan.here.name
    ]
    found = [lacking_cores(record_of(plan.experiment.threads)) for plan in here]
    return list(
        dict.fromkeys(f"too few cores: {f.text}: runs will be flagged" for f in found if f.size)
    )


def refuse_gpu(plans: Sequence[Plan], starts: bool) -> None:
    """Print warnings about the GPU; raises EvengroundError if nothing can be trained on it."""
    where = f"accelerator: {trained(plans)[0][0].experiment.accelerator}"
    found = gpu_findings(plans, load_pins(plans[0].root))
    for finding in found:
        if finding.state == "warning":
            say(finding)
    refuse_errors(found, where)
    if starts:
        refuse_errors(context(plans), where)


def try_image(image: Image, plans: Sequence[Plan], launcher: Launcher) -> None:
    """Try in an image what trainings need; raises EvengroundError if something is missing."""
    refuse_containers([probe(image, wanted_of(plans), launcher)])


def refuse_containers(found: Sequence[Finding]) -> None:
    """Print each finding for which every run will be flagged; raises EvengroundError for errors."""
    for finding in found:
        if finding.flags_runs:
            say(finding)
    refuse_errors(found, "deployment: apptainer")


def refuse_errors(found: Sequence[Finding], where: str) -> None:
    """Raise EvengroundError for the first error; `where`: the setting that needs it."""
    for finding in found:
        if finding.state == "error":
            raise EvengroundError(f"{finding.what}: {finding.seen}", where, finding.fix)


def say(finding: Finding) -> None:
    """Log it as a warning."""
    logs.warning(f"{finding.what}: {finding.seen}: {finding.fix}")
