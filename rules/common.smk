"""Helpers of the rules: paths that follow from the plan. No work is done here."""

import json
import os
import re
from functools import cache

from evenground.containers.images import ENGINE_PYTHON, RUNNER_PYTHON
from evenground.invocation import caller
from evenground.runs.lines import thesis_files
from evenground.made import again_of, record_of
from evenground.runs.variables import of_a_step, programs_of

PARTS = {part.name: part for part in STUDY.parts}

wildcard_constraints:
    part="|".join(map(re.escape, PARTS)),


# What starts and measures a training: in an image it is the image's own Python.
RUNNER = RUNNER_PYTHON if IMAGES else PYTHON
# Nothing of the caller's environment, nor of an image's: a step gets all its variables from `variables`.
CLEAN = "/usr/bin/env -i"
# Apptainer's name of the image that it runs; empty natively.
CONTAINER = '--container="${APPTAINER_CONTAINER:-}"'
# A training ends with the first of these processes; in a container its parent is Apptainer.
PIPELINE = [os.getpid()] + caller()


def marker(environment):
    """The file that marks an environment as complete."""
    return f"{env_dir(environment)}/{MARKER}"


def image_records():
    """The records of all images of the experiment; none natively."""
    return [str(image.record) for image in IMAGES.values()]


def wanted_environments():
    """What all engines of the experiment run in: environments in the cache, or images."""
    return image_records() or [marker(name) for name in STUDY.environments]


def environment_of(wildcards):
    """The environment of a training's engine, on its class of machine."""
    plan = part_of(wildcards).plan
    return plan.environment(plan.engine(wildcards.engine))


def container_of(wildcards):
    """The image file of a training's engine, for Snakemake."""
    return str(IMAGES[environment_of(wildcards)].file)


def any_container(wildcards):
    """The image in which the sampler is calibrated: any, for they have the same sampler and Python."""
    for image in IMAGES.values():
        return str(image.file)
    return None


def wanted_datasets(wildcards=None):
    """The prepared datasets of the experiment."""
    return [f"{PLAN.prepared(name)}/dataset.json" for name in PLAN.datasets]


def interpreter(wildcards):
    """The Python of an engine's environment; empty for an engine in another language."""
    name = environment_of(wildcards)
    if IMAGES:
        return ENGINE_PYTHON
    return f"{env_dir(name)}/bin/python" if name else ""


@cache
def variables(engine=None):
    """All variables of a step that trains the engine, or measures without one, as arguments of `env`."""
    programs = programs_of(PLAN.engine(engine)) if engine else []
    return [f"{name}={value}" for name, value in of_a_step(programs, bool(IMAGES)).items()]


path_of = cache(Path)


def run_path(wildcards):
    """The path of a run below results/runs and results/attempts."""
    return path_of(wildcards.machine, wildcards.dataset, wildcards.engine, wildcards.key, f"r{wildcards.rep}")


def training_options(wildcards):
    """The options of one training, all at once: Snakemake evaluates each parameter of each of many jobs."""
    path = run_path(wildcards)
    image = IMAGES[environment_of(wildcards)].record if IMAGES else ""
    options = ["--experiment", str(part_of(wildcards).results / "experiment.json")]
    options += ["--run", str(path), "--attempt", wildcards.attempt]
    options += ["--warm-up", "yes" if path in STUDY.warm_ups else "no"]
    options += ["--cold-start", "yes" if path in STUDY.cold_starts else "no"]
    options += [f"--python={interpreter(wildcards)}", f"--image={image}", "--mounted"]
    if TOLD:
        options += TOLD.mounted
    return options + OF_THIS_INVOCATION


def part_of(wildcards):
    """The part of a training, or of anything made of its index."""
    if hasattr(wildcards, "part"):
        return PARTS[wildcards.part]
    part, _ = STUDY.by_path[run_path(wildcards)]
    return part


def calibrations_of(part):
    """The sampler's calibration on a part's class of machine: made before anything is measured there."""
    return [str(part.plan.calibration)] if part.plan.trains else []


def calibrations(wildcards):
    """The same for the part of a training or an index."""
    return calibrations_of(part_of(wildcards))


def attempts_to_make(wildcards):
    """Outcomes that a part's index waits for: of every wanted run that is missing and can be trained."""
    plan = part_of(wildcards).plan
    if not plan.trains:
        return []
    return [f"results/attempts/{path}/{attempt}/outcome.json" for path, attempt in plan.pending.items()]


def order_priority(wildcards):
    """The earlier a run is in order, the higher its priority; jobs that train nothing have 0."""
    return len(STUDY.ranks) - STUDY.ranks[run_path(wildcards)]


def of_parts(name):
    """The file of that name of each part."""
    return [str(part.results / name) for part in STUDY.parts]


def made(step):
    """The record of the files that a step of a part made, and of what."""
    return str(record_of(Path("results/{part}"), step))


def again(step):
    """The file that is new when a step of a part has to be made again."""
    return str(again_of(Path("results/{part}"), step))


# What reads and judges recorded runs: packages and single modules.
ANALYSIS = ("cpus", "gpus", "judged", "records", "surroundings", "analysis")


def code(*rooms):
    """The core's modules that a step is made of: its results are made again when one changes."""
    return files(*(f"src/evenground/{room}{rest}" for room in rooms for rest in (".py", "/**/*.py")))


def files(*patterns):
    """The files, other than modules, that a step is made of."""
    return sorted(str(path) for pattern in patterns for path in Path().glob(pattern))
