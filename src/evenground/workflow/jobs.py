"""What the rules ask of a job: paths, programs and options that follow from its wildcards.

`wildcards` is Snakemake's object, with an attribute for each wildcard of the rule's output.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

from evenground.containers.images import ENGINE_PYTHON, RUNNER_PYTHON
from evenground.environments.build import MARKER, env_dir
from evenground.records.values import path_of_run
from evenground.runs.plan import ATTEMPTS, RESULTS
from evenground.runs.variables import of_a_step
from evenground.workflow.planned import Planned, PlannedMachine

# Nothing of the caller's environment, nor of an image's: a step gets all its variables as arguments.
CLEAN = "/usr/bin/env -i"
# Apptainer's name of the image that it runs; empty natively.
CONTAINER = '--container="${APPTAINER_CONTAINER:-}"'


@dataclass(frozen=True)
class Jobs:
    """The jobs of one invocation."""

    planned: Planned
    python: str
    """The Python of the pipeline itself."""
    pipeline: Sequence[int]
    """Processes that trainings end with."""
    number: str
    """The number of the invocation."""
    job: str = ""
    """The scheduler's number of this job; empty without a scheduler."""

    @property
    def results(self) -> str:
        """The folder of tables, figures and report of the whole."""
        return str(RESULTS / self.planned.deployment)

    @property
    def is_trained_here(self) -> bool:
        """Whether all conditions can be trained in this invocation."""
        return all(machine.trains for machine in self.planned.machines.values())

    @property
    def runner(self) -> str:
        """What starts and measures a training: in an image it is the image's own Python."""
        return RUNNER_PYTHON if self.planned.images else self.python

    @property
    def images(self) -> list[str]:
        """The records of all images of the experiment; none natively."""
        return [image.record for image in self.planned.images.values()]

    @cached_property
    def environments(self) -> list[str]:
        """What all engines run in, as files: markers of environments in the cache, or images."""
        return self.images or [marker(name) for name in self.planned.environments]

    @cached_property
    def datasets(self) -> list[str]:
        """The prepared datasets of the experiment."""
        folders = [dataset.prepared for dataset in self.planned.datasets.values()]
        return [f"{folder}/dataset.json" for folder in folders]

    @property
    def contact_sheets(self) -> list[str]:
        """The contact sheets of the datasets."""
        return [dataset.contact_sheet for dataset in self.planned.datasets.values()]

    def fetched(self, wildcards: Any) -> str:
        """The record of a dataset's files."""
        return f"{self.planned.datasets[wildcards.dataset].raw}/fetched.json"

    @property
    def calibrations(self) -> list[str] | Callable[[Any], list[str]]:
        """The sampler's calibration on the class of machine of a training, made before it."""
        by_class = {name: [machine.calibration] for name, machine in self._training.items()}
        if len(by_class) > 1:
            return lambda wildcards: by_class[wildcards.machine]
        # A function would be evaluated for each of many jobs.
        return [calibration for own in by_class.values() for calibration in own]

    @property
    def _training(self) -> dict[str, PlannedMachine]:
        """The classes of machine that trainings of this invocation come to."""
        machines = self.planned.machines
        return {name: machine for name, machine in machines.items() if machine.trains}

    @property
    def beside_runs(self) -> list[str]:
        """Calibrations and contact sheets of the index; those of adopted runs came with them."""
        calibrations = [machine.calibration for machine in self._training.values()]
        return calibrations + (self.contact_sheets if self._training else [])

    @property
    def attempts(self) -> list[str]:
        """Outcomes that the index waits for: of every wanted run that is missing."""
        runs = self.planned.runs
        return [f"{ATTEMPTS}/{path}/{runs[path].attempt}/outcome.json" for path in runs]

    @cached_property
    def _priorities(self) -> Mapping[str, int]:
        count = len(self.planned.runs)
        return {run_path: count - rank for rank, run_path in enumerate(self.planned.runs)}

    def priority(self, wildcards: Any) -> int:
        """The earlier a training is in order, the higher; jobs that train nothing have 0."""
        return self._priorities[run_path_of(wildcards)]

    def _condition(self, machine: str, key: str) -> str:
        """What tells a run's condition from the others; empty for an experiment of one."""
        return self.planned.machines[machine].conditions[key]

    def _environment(self, machine: str, engine: str) -> str:
        """The lock of an engine on a class of machine; empty without one."""
        return self.planned.machines[machine].environments[engine] or ""

    def container(self, wildcards: Any) -> str:
        """The image file of a training's engine."""
        environment = self._environment(wildcards.machine, wildcards.engine)
        return self.planned.images[environment].file

    def any_container(self, wildcards: Any) -> str | None:
        """The image to calibrate the sampler in: any, for they have the same sampler and Python."""
        for image in self.planned.images.values():
            return image.file
        return None

    def variables(self, wildcards: Any) -> list[str]:
        """All variables of a training, as arguments of `env`."""
        return self._variables[wildcards.engine]

    @cached_property
    def variables_of_none(self) -> list[str]:
        """The same for a step that measures without an engine."""
        return _as_arguments((), bool(self.planned.images))

    @cached_property
    def _variables(self) -> dict[str, list[str]]:
        in_image = bool(self.planned.images)
        engines = self.planned.engines
        return {name: _as_arguments(engines[name].programs, in_image) for name in engines}

    def _interpreter(self, environment: str) -> str:
        """The Python of an engine's environment."""
        if self.planned.images:
            return ENGINE_PYTHON
        return f"{env_path(environment)}/bin/python"

    def training(self, wildcards: Any) -> list[str]:
        """The options of one training, all at once: Snakemake evaluates each of many parameters."""
        run = self.planned.runs[run_path_of(wildcards)]
        condition = self._condition(wildcards.machine, wildcards.key)
        options = [f"--number={run.number}", f"--condition={condition}"]
        if run.cold:
            options.append("--cold")
        of_engine = self._of_engine(wildcards.machine, wildcards.engine)
        return options + of_engine + self._of_invocation

    @cached_property
    def _of_invocation(self) -> list[str]:
        """The options that all trainings get alike."""
        return [
            f"--source={json.dumps(self.planned.source)}",
            f"--invocation={self.number}",
            f"--job={self.job}",
            "--mounted",
            *self.planned.mounted,
            "--pipeline",
            *map(str, self.pipeline),
        ]

    def explained(self, wildcards: Any) -> list[str]:
        """The options of one extra training that is made to explain idle time."""
        # It is made on this machine, without a scheduler.
        (machine,) = self._training
        condition = self._condition(machine, wildcards.key)
        return self._of_engine(machine, wildcards.engine) + [f"--condition={condition}"]

    def _of_engine(self, machine: str, engine: str) -> list[str]:
        environment = self._environment(machine, engine)
        image = self.planned.images.get(environment)
        options = [f"--engine-dir={self.planned.engines[engine].folder}"]
        # An engine in another language has none.
        if environment:
            options.append(f"--python={self._interpreter(environment)}")
        options.append(f"--gpu={self.planned.gpu}")
        options.append(f"--time-limit-s={self.planned.time_limit_s}")
        if image:
            options.append(f"--image={image.record}")
        return options


def run_path_of(wildcards: Any) -> str:
    """The path of a training's run below `results/runs` and `results/attempts`."""
    of = wildcards
    return path_of_run(of.machine, of.dataset, of.engine, of.key, of.rep)


def marker(environment: str) -> str:
    """The file that marks an environment as complete."""
    return f"{env_path(environment)}/{MARKER}"


# The same for thousands of jobs.
env_path = cache(env_dir)


def _as_arguments(programs: Sequence[str], in_image: bool) -> list[str]:
    variables = of_a_step(programs, in_image)
    return [f"{name}={value}" for name, value in variables.items()]
