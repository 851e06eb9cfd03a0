"""Named helpers of the rules: paths that follow from the plan. No work is done here."""

import json
import os
import re
from functools import cache

from evenground.invocation import caller
from evenground.images import ENGINE_PYTHON, RUNNER_PYTHON
from evenground.lines import thesis_files
from evenground.made import again_of, record_of
from evenground.runs.variables import of_a_step, programs_of

wildcard_constraints:
    part="|".join(map(re.escape, STUDY.by_name)),


# What starts and measures a training: in an image it is the image's own Python.
RUNNER = RUNNER_PYTHON if IMAGES else PYTHON
# With nothing of the caller's environment, nor of an image's: a training's own is given whole.
CLEAN = "/usr/bin/env -i"
# What Apptainer calls the image that it runs; natively there is none.
CONTAINER = '--container="${APPTAINER_CONTAINER:-}"'
# A training ends with the first of these processes; in a container its parent is Apptainer.
PIPELINE = [os.getpid(), *caller()]


def marker(environment):
    """The file that stands when an environment is complete."""
    return f"{env_dir(environment)}/{MARKER}"


def image_records():
    """The records of all images of the experiment; none of a native one."""
    return [str(image.record) for image in IMAGES.values()]


def wanted_environments():
    """What all engines of the experiment run in: environments in the cache, or images."""
    return image_records() or [marker(name) for name in STUDY.environments]


def environment_of(wildcards):
    """The environment a training's engine runs in, on its class of machine."""
    plan = part_of(wildcards).plan
    return plan.environment(plan.engine(wildcards.engine))


def image_of_engine(wildcards):
    """The image an engine's training runs in; None of a native one."""
    return IMAGES.get(environment_of(wildcards))


def container_of(wildcards):
    """The file of that image, for Snakemake."""
    image = image_of_engine(wildcards)
    return str(image.file) if image else None


def any_container(wildcards):
    """The image the sampler is calibrated in: what measures is the same in all."""
    return next((str(image.file) for image in IMAGES.values()), None)


def wanted_datasets(wildcards=None):
    """The prepared datasets of the experiment."""
    return [f"{PLAN.prepared(name)}/dataset.json" for name in PLAN.datasets]


def interpreter(wildcards):
    """The Python of an engine's environment; none for an engine in another language."""
    name = environment_of(wildcards)
    if IMAGES:
        return ENGINE_PYTHON
    return f"{env_dir(name)}/bin/python" if name else ""


@cache
def variables(engine=None):
    """The whole environment of a step that trains the engine, or measures without one, as words of `env`."""
    programs = programs_of(PLAN.engine(engine)) if engine else []
    return [f"{name}={value}" for name, value in of_a_step(programs, bool(IMAGES)).items()]


path_of = cache(Path)


def run_path(wildcards):
    """Where a run stands below results/runs and results/attempts."""
    return path_of(wildcards.machine, wildcards.dataset, wildcards.engine, wildcards.key, f"r{wildcards.rep}")


def work(wildcards):
    """The options of one training; all at once, as Snakemake works out each parameter of each of many jobs."""
    path = run_path(wildcards)
    image = image_of_engine(wildcards).record if IMAGES else ""
    return [
        *("--experiment", str(part_of(wildcards).results / "experiment.json")),
        *("--run", str(path), "--attempt", wildcards.attempt),
        *("--warm-up", "yes" if path in STUDY.warm_ups else "no"),
        *("--cold-start", "yes" if path in STUDY.cold_starts else "no"),
        *(f"--python={interpreter(wildcards)}", f"--image={image}"),
        *("--mounted", *(TOLD.mounted if TOLD else [])),
        *OF_THIS_INVOCATION,
    ]


def part_of(wildcards):
    """The part that a training or anything made of its index belongs to."""
    named = getattr(wildcards, "part", None)
    return STUDY.by_name[named] if named else STUDY.by_path[run_path(wildcards)][0]


def calibrations_of(part):
    """The sampler's calibration on a part's class of machine, before anything is measured with it there."""
    return [str(part.plan.calibration)] if part.plan.trains else []


def calibrations(wildcards):
    """The same of the part that a training or an index belongs to."""
    return calibrations_of(part_of(wildcards))


def attempts_to_make(wildcards):
    """Outcomes the part's index waits for: of every wanted run that is not finished and can be trained."""
    plan = part_of(wildcards).plan
    wanted = plan.pending if plan.trains else {}
    return [f"results/attempts/{place}/{number}/outcome.json" for place, number in wanted.items()]


def order_priority(wildcards):
    """The earlier a run is in order, the higher its priority; above all that is no training."""
    return len(STUDY.ranks) - STUDY.ranks[run_path(wildcards)]


def of_parts(name):
    """A file of that name of each part."""
    return [str(part.results / name) for part in STUDY.parts]


def made(step):
    """The record of what a step of a part made, and of what."""
    return str(record_of(Path("results/{part}"), step))


def again(step):
    """The file that is new when a step of a part has to be made again."""
    return str(again_of(Path("results/{part}"), step))


# What reads and judges recorded runs, whole rooms and single modules.
ANALYSIS = ("cpus", "gpus", "judged", "records", "surroundings", "analysis")


def code(*rooms):
    """The core's modules a step is made of: a change in them makes its results anew."""
    return files(*(f"src/evenground/{room}{rest}" for room in rooms for rest in (".py", "/**/*.py")))


def files(*patterns):
    """The files that a step is made of beside modules."""
    return sorted(str(path) for pattern in patterns for path in Path().glob(pattern))
