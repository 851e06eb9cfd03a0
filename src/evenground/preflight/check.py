"""All findings for one experiment, in the order in which a person would ask."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import psutil

from evenground.pins import load_pins
from evenground.preflight import experiment, machine
from evenground.preflight.experiment import Reachable, Stored
from evenground.preflight.finding import Finding
from evenground.runs.machine import this_machine
from evenground.runs.plan import Plan


def check(
    plan: Plan, markers: Mapping[str, Path], cache: Path, mirrors: Sequence[str], reachable: Reachable
) -> list[Finding]:
    """Look at everything; trains nothing and changes nothing.

    `markers` names the environments of the experiment, `cache` the folder they are built in.
    """
    here, pins = this_machine(), load_pins(plan.root)
    stored = [
        (entry, Stored(plan.root / plan.raw(n), plan.root / plan.prepared(n)))
        for n, entry in plan.datasets.items()
    ]
    local_bytes = experiment.data_bytes(stored) + experiment.results_bytes(plan)
    driver = machine.driver(here.driver, pins.driver, experiment.recorded_drivers(plan.runs, plan.root))
    return [
        Finding("machine", "ok", f"{here.description}; class {here.name}"),
        machine.memory(psutil.virtual_memory().available),
        machine.load(os.getloadavg()[0], here.cores),
        machine.gpu(here, plan.experiment.accelerator),
        *([driver] if driver else []),
        experiment.environments(markers),
        machine.disk("disk for environments", cache, experiment.environment_bytes(markers)),
        *(experiment.dataset(entry, where, mirrors, reachable) for entry, where in stored),
        machine.disk("disk for data and results", plan.root, local_bytes),
        machine.apptainer(),
        machine.user_namespaces(),
        experiment.duration(plan),
    ]
