"""What the rules ask of a job: paths, programs and options that follow from its wildcards.

`wildcards` is Snakemake's object, with an attribute for each wildcard of the rule's output.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from evenground.containers.images import ENGINE_PYTHON, RUNNER_PYTHON
from evenground.environments.build import MARKER, env_dir
from evenground.records.values import path_of_run
from evenground.runs.plan import ATTEMPTS, RESULTS
from evenground.runs.variables import of_a_step
from evenground.workflow.planned import Planned

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
        """Whether every part can be trained in this invocation."""
        return all(part.trains for part in self.planned.parts.values())

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

    def contact_sheets_of_part(self, wildcards: Any) -> list[str]:
        """The same for an index; none where nothing is trained, whose runs may bring them."""
        part = self.planned.parts[wildcards.part]
        return self.contact_sheets if part.trains else []

    def fetched(self, wildcards: Any) -> str:
        """The record of a dataset's files."""
        return f"{self.planned.datasets[wildcards.dataset].raw}/fetched.json"

    def of_parts(self, name: str) -> list[str]:
        """The file of that name of each part."""
        return [str(RESULTS / part / name) for part in self.planned.parts]

    @property
    def calibrations(self) -> list[str] | Callable[[Any], list[str]]:
        """The sampler's calibration on the class of machine of a training, made before it."""
        parts = [part for part in self.planned.parts.values() if part.trains]
        by_class = {part.machine: [part.calibration] for part in parts}
        if len(by_class) > 1:
            return lambda wildcards: by_class[wildcards.machine]
        # A function would be evaluated for each of many jobs.
        return [calibration for own in by_class.values() for calibration in own]

    def calibration_of_part(self, wildcards: Any) -> list[str]:
        """The calibration on the class of machine of a part; none where nothing is trained."""
        part = self.planned.parts[wildcards.part]
        return [part.calibration] if part.trains else []

    @cached_property
    def _attempts(self) -> dict[str, list[str]]:
        """Part -> the outcomes of all trainings that are made of it."""
        attempts: dict[str, list[str]] = {part: [] for part in self.planned.parts}
        for run_path, run in self.planned.runs.items():
            attempts[run.part].append(f"{ATTEMPTS}/{run_path}/{run.attempt}/outcome.json")
        return attempts

    def attempts(self, wildcards: Any) -> list[str]:
        """Outcomes that a part's index waits for: of every wanted run that is missing."""
        return self._attempts[wildcards.part]

    @cached_property
    def _priorities(self) -> Mapping[str, int]:
        count = len(self.planned.runs)
        return {run_path: count - rank for rank, run_path in enumerate(self.planned.runs)}

    def priority(self, wildcards: Any) -> int:
        """The earlier a training is in order, the higher; jobs that train nothing have 0."""
        return self._priorities[run_path_of(wildcards)]

    def _environment(self, part: str, engine: str) -> str:
        """The lock of an engine on the class of machine of a part; empty without one."""
        return self.planned.parts[part].environments[engine] or ""

    def container(self, wildcards: Any) -> str:
        """The image file of a training's engine."""
        part = self.planned.runs[run_path_of(wildcards)].part
        return self.planned.images[self._environment(part, wildcards.engine)].file

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
        """The Python of an engine's environment; empty for an engine in another language."""
        if self.planned.images:
            return ENGINE_PYTHON
        return f"{env_path(environment)}/bin/python" if environment else ""

    def training(self, wildcards: Any) -> list[str]:
        """The options of one training, all at once: Snakemake evaluates each of many parameters."""
        run = self.planned.runs[run_path_of(wildcards)]
        # In a sweep messages have the part's name.
        part = ""
        if len(self.planned.parts) > 1:
            part = Path(run.part).name
        options = [f"--number={run.number}", f"--part={part}"]
        options.append(f"--warm-up={_yes_or_no(run.warm_up)}")
        options.append(f"--cold-start={_yes_or_no(run.cold_start)}")
        return options + self._of_engine(run.part, wildcards.engine) + self._of_invocation

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
        return self._of_engine(wildcards.part, wildcards.engine)

    def _of_engine(self, part: str, engine: str) -> list[str]:
        environment = self._environment(part, engine)
        image = self.planned.images.get(environment)
        options = [f"--engine-dir={self.planned.engines[engine].folder}"]
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


def _yes_or_no(value: bool) -> str:
    return "yes" if value else "no"
