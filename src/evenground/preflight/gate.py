"""The gate: what is looked at before the first job of every call."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from evenground.cpus.judge import lacking_cores
from evenground.datasets.prepare import RECORD, empty_class_lines
from evenground.datasets.storage import check_arrays
from evenground.errors import EvengroundError
from evenground.files import read_json
from evenground.images import Image
from evenground.pins import load_pins
from evenground.preflight.call import Call
from evenground.preflight.containers import findings
from evenground.preflight.cpus import record_of
from evenground.preflight.finding import Finding
from evenground.preflight.gpu import context, trained
from evenground.preflight.gpu import findings as gpu_findings
from evenground.runs.index import check_runs
from evenground.runs.lost import refuse_at_work
from evenground.runs.plan import Plan


def gate(
    plans: Sequence[Plan],
    images: Sequence[Image],
    call: Call | None = None,
    refuse: bool = True,
    starts: bool = True,
) -> None:
    """Say which engines are left out, and that cores lack; EvengroundError for what lets no training run.

    `call`: how Apptainer is called for a training in one of `images`. Without `starts` this call runs no job:
    the GPU is not touched, and no scheduler is asked.

    Data and runs that are not what was recorded are refused first. Cores, GPU and containers are looked at
    only where something will be trained here: recorded runs can be drawn without. Without `refuse` nothing
    is looked at.
    """
    for line in dict.fromkeys(line for plan in plans for line in left_out(plan)):
        print(line, file=sys.stderr, flush=True)
    if not refuse:
        return
    first = plans[0]
    for name in first.datasets:
        folder = first.root / first.prepared(name)
        if (folder / RECORD).is_file():
            check_arrays(folder)
            for line in empty_class_lines(read_json(folder / RECORD)):
                print(line, file=sys.stderr, flush=True)
    check_runs(plans)
    if starts:
        for plan in plans:
            refuse_at_work(plan.root, plan.pending)
    for line in lacking(plans):
        print(line, file=sys.stderr, flush=True)
    if trained(plans):
        refuse_gpu(plans, starts)
    if images and any(plan.pending and plan.trains for plan in plans):
        found = findings(plans, images, call)
        say_what_flags(found)
        refuse_lacks(found, "deployment: apptainer")


def left_out(plan: Plan) -> list[str]:
    """A line for each engine that is not installed here."""
    names = {engine.name for engine in plan.engines}
    beside = " (its recorded runs stay)"
    return [
        f"{e.name} left out{beside if e.name in names else ''}: {e.reason}" for e in plan.left_out
    ]


def lacking(plans: Sequence[Plan]) -> list[str]:
    """A line for each number of threads that will be trained here, and that this machine has no cores for."""
    here = [
        plan for plan in plans if plan.pending and plan.trains and plan.machine == plan.here.name
    ]
    found = [lacking_cores(record_of(plan.experiment.threads)) for plan in here]
    return list(
        dict.fromkeys(f"too few cores: {f.text}: runs will be flagged" for f in found if f.size)
    )


def refuse_gpu(plans: Sequence[Plan], starts: bool) -> None:
    """EvengroundError where nothing can be trained on the GPU that is wanted; what is odd of it is said."""
    where = f"accelerator: {trained(plans)[0][0].experiment.accelerator}"
    found = gpu_findings(plans, load_pins(plans[0].root))
    for finding in found:
        if finding.state == "warning":
            say(finding)
    refuse_lacks(found, where)
    if starts:
        refuse_lacks(context(plans), where)


def say_what_flags(found: Sequence[Finding]) -> None:
    """A line for each that will be a finding of every run."""
    for finding in found:
        if finding.flags_runs:
            say(finding)


def refuse_lacks(found: Sequence[Finding], where: str) -> None:
    """EvengroundError for the first that lets no training run; `where`: the setting that asks for it."""
    for finding in found:
        if finding.state == "lack":
            raise EvengroundError(f"{finding.what}: {finding.seen}", where, finding.fix)


def say(finding: Finding) -> None:
    """One line on standard error."""
    print(f"{finding.what}: {finding.seen}: {finding.fix}", file=sys.stderr, flush=True)
