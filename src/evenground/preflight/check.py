"""All checks for one experiment, in the order in which a person would ask."""

from __future__ import annotations

import os
from collections.abc import Sequence

import psutil

from evenground.containers.build import images
from evenground.containers.launcher import Launcher
from evenground.containers.pins import load_pins
from evenground.environments.build import env_dir, fault
from evenground.environments.cache import cache_dir
from evenground.preflight import containers, cpus, experiment, gpu, machine, repetitions
from evenground.preflight.experiment import Reachable
from evenground.preflight.finding import Finding, ok, passed
from evenground.runs.plan import Plan
from evenground.runs.study import Study


def check(
    study: Study, launcher: Launcher | None, mirrors: Sequence[str], reachable: Reachable
) -> list[Finding]:
    """Run all checks for one experiment.

    `launcher`: how Apptainer is launched for a training; None for native trainings. `reachable`:
    returns whether an address answers.
    """
    plans = study.plans
    root, here = plans[0].root, plans[0].here
    found = [
        ok("machine", f"{here.description}; class {here.name}"),
        machine.memory(psutil.virtual_memory().available),
        machine.load(os.getloadavg()[0], here.cores),
    ]
    found += cpus.findings(plans)
    found += _gpu(plans)
    found += experiment.engines(plans)
    # An experiment has environments or images; some engines need neither.
    wanted = images(study.first.experiment.deployment, study.environments)
    if wanted:
        found += containers.findings(plans, wanted, launcher)
    elif study.environments:
        found += _environments(study.environments)
    for name in plans[0].datasets:
        found.append(experiment.dataset(plans[0], name, mirrors, reachable))
    found.append(machine.disk("disk for data and results", root, experiment.disk_bytes(plans)))
    found.append(experiment.duration(plans))
    return found + repetitions.findings(plans)


def _gpu(plans: Sequence[Plan]) -> list[Finding]:
    found = gpu.findings(plans, load_pins(plans[0].root))
    # CUDA is tried only if nothing else is wrong with the card.
    if passed(found):
        found += gpu.context(plans)
    return found


def _environments(names: Sequence[str]) -> list[Finding]:
    faults = {name: fault(env_dir(name)) for name in names}
    return [
        experiment.environments(faults),
        machine.disk("disk for environments", cache_dir(), experiment.environment_bytes(faults)),
    ]
