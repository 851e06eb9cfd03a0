"""All checks for one experiment, in the order in which a person would ask."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from evenground.containers.build import images
from evenground.containers.images import Image
from evenground.containers.launcher import Launcher
from evenground.containers.pins import load_pins
from evenground.environments.build import env_dir, fault
from evenground.environments.cache import cache_dir
from evenground.preflight import containers, cpus, experiment, gpu, machine, repetitions
from evenground.preflight.experiment import Reachable, stored_in
from evenground.preflight.finding import Finding, ok, passed
from evenground.runs.plan import Plan
from evenground.runs.study import Study


@dataclass(frozen=True)
class Prepared:
    """What the trainings of an experiment run in: environments or images, built or not."""

    faults: Mapping[str, str]
    """Environment -> why it cannot be used, empty if it can; no environments in containers."""
    images: Sequence[Image]
    cache: Path
    """Folder of the environments."""
    launcher: Launcher | None = None
    """How Apptainer is launched for a training; None for native trainings."""


def prepared(study: Study, launcher: Launcher | None) -> Prepared:
    """The experiment's environments, or with `deployment: apptainer` its images."""
    wanted = images(study.first.experiment.deployment, study.environments)
    faults = {}
    if not wanted:
        faults = {name: fault(env_dir(name)) for name in study.environments}
    return Prepared(faults=faults, images=wanted, cache=cache_dir(), launcher=launcher)


def check(
    plans: Sequence[Plan],
    prepared: Prepared,
    mirrors: Sequence[str],
    reachable: Reachable,
) -> list[Finding]:
    """Run all checks; `plans` are the parts of one experiment.

    `reachable`: returns whether an address answers.
    """
    root, here = plans[0].root, plans[0].here
    found = [
        ok("machine", f"{here.description}; class {here.name}"),
        machine.memory(psutil.virtual_memory().available),
        machine.load(os.getloadavg()[0], here.cores),
    ]
    found += cpus.findings(plans)
    found += _gpu(plans)
    found += experiment.engines(plans)
    # An experiment has environments or images.
    if prepared.faults:
        found += _environments(prepared)
    if prepared.images:
        found += containers.findings(plans, prepared.images, prepared.launcher)
    for name, entry in plans[0].datasets.items():
        stored = stored_in(plans[0], name)
        found.append(experiment.dataset(entry, stored, mirrors, reachable))
    found.append(machine.disk("disk for data and results", root, experiment.disk_bytes(plans)))
    found.append(experiment.duration(plans))
    return found + repetitions.findings(plans)


def _gpu(plans: Sequence[Plan]) -> list[Finding]:
    found = gpu.findings(plans, load_pins(plans[0].root))
    # CUDA is tried only if nothing else is wrong with the card.
    if passed(found):
        found += gpu.context(plans)
    return found


def _environments(prepared: Prepared) -> list[Finding]:
    needed_bytes = experiment.environment_bytes(prepared.faults)
    return [
        experiment.environments(prepared.faults),
        machine.disk("disk for environments", prepared.cache, needed_bytes),
    ]
