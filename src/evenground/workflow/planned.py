"""What an invocation hands on to its jobs, which may run on other machines.

A job reads the Snakefile again, perhaps on another class of machine and when half of the runs are
recorded: it must do what its invocation planned.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar, Literal

from evenground.config import NodeRequest
from evenground.containers.images import Image
from evenground.engines import Engine
from evenground.records.base import Fields, Record
from evenground.runs.plan import Plan
from evenground.runs.study import Study
from evenground.runs.variables import programs_of


class PlannedMachine(Fields):
    """What jobs on one class of machine need to know."""

    trains: bool
    """Whether this invocation trains on that class of machine."""
    calibration: str
    """The file of the sampler's calibration there."""
    environments: dict[str, str | None]
    """Engine -> its lock there."""
    conditions: dict[str, str]
    """Key -> what tells its condition from the others; empty for an experiment of one."""


class PlannedEngine(Fields):
    """What the jobs of an engine need to know of it."""

    folder: str
    programs: tuple[str, ...]
    """What it starts that the system may not have."""


class PlannedDataset(Fields):
    """Where a dataset's files are: two folders, and a file."""

    raw: str
    prepared: str
    contact_sheet: str


class PlannedImage(Fields):
    """A container image, and the record of its file."""

    file: str
    record: str


class PlannedRun(Fields):
    """One training of this invocation."""

    attempt: int
    number: str
    """Its place in the order of the experiment, as `3/40`."""
    cold: bool
    """Whether what it reads may not be in memory yet: then it needs a warm-up."""


class Planned(Record):
    """An experiment, resolved to what its jobs need."""

    WHAT: ClassVar[str] = "record of the invocation"

    source: dict[str, Any]
    """Commit of the working copy and whether it was changed: `record.source_state`."""
    deployment: Literal["native", "apptainer"]
    gpu: str
    time_limit_s: float
    warm_up_examples: int
    """0: there are no warm-ups."""
    threads: int | Literal["all"]
    """The most that any training gets."""
    nodes: dict[str, NodeRequest]
    """The kinds of node of a cluster."""
    machines: dict[str, PlannedMachine]
    """The classes of machine by name."""
    engines: dict[str, PlannedEngine]
    datasets: dict[str, PlannedDataset]
    environments: tuple[str, ...]
    """The locks of all engines on all classes of machine."""
    images: dict[str, PlannedImage]
    """Environment -> its image; none natively."""
    ours: tuple[str, ...]
    """What lies outside the working copy and is bound in containers."""
    mounted: tuple[str, ...]
    """Where the machine has something mounted below the working copy."""
    runs: dict[str, PlannedRun]
    """Path of each run that is trained now, in order."""


def plan_jobs(
    study: Study,
    nodes: dict[str, NodeRequest],
    source: dict[str, Any],
    images: Iterable[Image],
    ours: Iterable[str],
    mounted: Iterable[str],
) -> Planned:
    """What the jobs of a study's invocation need; the rest is what `Planned` says."""
    first = study.first
    engines = {engine.name: engine for plan in study.plans for engine in plan.engines}
    return Planned(
        source=source,
        deployment=first.experiment.deployment,
        gpu=first.experiment.gpu,
        time_limit_s=first.experiment.time_limit_s,
        warm_up_examples=first.experiment.warm_up_examples,
        threads=_most_threads(study),
        nodes=nodes,
        machines={plan.machine: _machine(study, plan.machine) for plan in study.plans},
        engines={name: _engine(engine) for name, engine in engines.items()},
        datasets={name: _dataset(first, name) for name in first.datasets},
        environments=tuple(study.environments),
        images={image.environment: _image(image) for image in images},
        ours=tuple(ours),
        mounted=tuple(mounted),
        runs=_runs(study),
    )


def _most_threads(study: Study) -> int | Literal["all"]:
    """The largest number of threads of any condition, or "all" if any says so.

    One number for all jobs: the machine class depends on how many cores a job can see.
    """
    numbers = []
    for plan in study.plans:
        threads = plan.experiment.threads
        if threads == "all":
            return "all"
        numbers.append(threads)
    return max(numbers)


def _machine(study: Study, machine: str) -> PlannedMachine:
    environments: dict[str, str | None] = {}
    conditions: dict[str, str] = {}
    own = [each for each in study.conditions if each.plan.machine == machine]
    for condition in own:
        plan = condition.plan
        # An engine that is not installed may have recorded runs of one value and none of another.
        environments |= {engine.name: plan.environment(engine) for engine in plan.engines}
        conditions |= dict.fromkeys(plan.specs, condition.name)
    return PlannedMachine(
        trains=own[0].plan.trains,
        calibration=str(own[0].plan.calibration),
        environments=environments,
        conditions=conditions,
    )


def _engine(engine: Engine) -> PlannedEngine:
    return PlannedEngine(folder=str(engine.folder), programs=tuple(programs_of(engine)))


def _dataset(plan: Plan, name: str) -> PlannedDataset:
    return PlannedDataset(
        raw=str(plan.raw(name)),
        prepared=str(plan.prepared(name)),
        contact_sheet=str(plan.contact_sheet(name)),
    )


def _image(image: Image) -> PlannedImage:
    return PlannedImage(file=str(image.file), record=str(image.record))


def _runs(study: Study) -> dict[str, PlannedRun]:
    runs = {}
    for run_path, attempt in study.pending.items():
        _, run = study.by_path[run_path]
        runs[str(run_path)] = PlannedRun(
            attempt=attempt,
            number=f"{run.order}/{len(study.by_path)}",
            cold=run_path in study.cold,
        )
    return runs
