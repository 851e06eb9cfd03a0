"""All findings for one experiment, in the order in which a person would ask."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from evenground.images import Image
from evenground.pins import load_pins
from evenground.preflight import containers, cpus, experiment, gpu, machine, repetitions
from evenground.preflight.call import Call
from evenground.preflight.experiment import Reachable, Stored
from evenground.preflight.finding import Finding, passed
from evenground.runs.plan import Plan


@dataclass(frozen=True)
class Prepared:
    """What trainings of an experiment run in, built or to be built: environments or container images."""

    markers: Mapping[str, Path]
    """Environment -> the file that stands when it is complete."""
    images: Sequence[Image]
    cache: Path
    """The folder the environments are built in."""
    call: Call | None = None
    """How Apptainer is called for a training."""


def check(
    plans: Sequence[Plan],
    prepared: Prepared,
    mirrors: Sequence[str],
    reachable: Reachable,
) -> list[Finding]:
    """Look at everything; trains nothing and changes nothing. `plans` are the parts of one experiment."""
    plan, runs = plans[0], [run for part in plans for run in part.runs]
    here, recorded = plan.here, experiment.recorded_drivers(runs, plan.root)
    stored = [
        (entry, Stored(plan.root / plan.raw(n), plan.root / plan.prepared(n)))
        for n, entry in plan.datasets.items()
    ]
    local_bytes = experiment.data_bytes(stored) + sum(map(experiment.results_bytes, plans))
    return [
        Finding("machine", "ok", f"{here.description}; class {here.name}"),
        machine.memory(psutil.virtual_memory().available),
        machine.load(os.getloadavg()[0], here.cores),
        *cpus.findings(plans),
        *_gpu(gpu.findings(plans, load_pins(plan.root), recorded), plans),
        *experiment.engines(plans),
        *_environments(prepared),
        *containers.findings(plans, prepared.images, prepared.call),
        *(experiment.dataset(entry, where, mirrors, reachable) for entry, where in stored),
        machine.disk("disk for data and results", plan.root, local_bytes),
        experiment.duration(plans),
        *repetitions.findings(plans),
    ]


def _gpu(found: list[Finding], plans: Sequence[Plan]) -> list[Finding]:
    """CUDA is tried only where nothing speaks against it."""
    return [*found, *gpu.context(plans)] if passed(found) else found


def _environments(prepared: Prepared) -> list[Finding]:
    """None of an experiment whose engines are in images."""
    if not prepared.markers:
        return []
    needed_bytes = experiment.environment_bytes(prepared.markers)
    return [
        experiment.environments(prepared.markers),
        machine.disk("disk for environments", prepared.cache, needed_bytes),
    ]
