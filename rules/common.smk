"""Named helpers of the rules: paths that follow from the plan. No work is done here."""

import json
import os

from evenground.call import caller
from evenground.images import ENGINE_PYTHON, RUNNER_PYTHON
from evenground.lines import thesis_files
from evenground.runs.command import GPU_CHOICE
from evenground.runs.record import source_state

# What starts and measures a training: in an image it is the image's own Python.
RUNNER = RUNNER_PYTHON if IMAGES else PYTHON
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
    return image_records() or [marker(name) for name in PLAN.environments]


def image_of_engine(wildcards):
    """The image an engine's training runs in; None of a native one."""
    return IMAGES.get(PLAN.environment(PLAN.engine(wildcards.engine)))


def container_of(wildcards):
    """The file of that image, for Snakemake."""
    image = image_of_engine(wildcards)
    return str(image.file) if image else None


def any_container(wildcards):
    """The image the sampler is calibrated in: what measures is the same in all."""
    return next((str(image.file) for image in IMAGES.values()), None)


def tell_apptainer():
    """Let the choice of GPUs into containers, and what lies outside of the working copy: links, engines."""
    chosen = {name: os.environ[name] for name in GPU_CHOICE if name in os.environ}
    os.environ |= {f"APPTAINERENV_{name}": value for name, value in chosen.items()}
    folders = [Path(name) for name in ("data", "results")]
    folders += [path for folder in folders for path in sorted(folder.glob("*"))]
    folders += [path for engine in PLAN.engines for path in engine.sources(PLAN.root)]
    outside = {str(path.resolve()) for path in folders if not path.resolve().is_relative_to(PLAN.root.resolve())}
    given = os.environ.get("APPTAINER_BIND")
    if outside:
        os.environ["APPTAINER_BIND"] = ",".join([*([given] if given else []), *sorted(outside)])


def wanted_datasets(wildcards=None):
    """The prepared datasets of the experiment."""
    return [f"{PLAN.prepared(name)}/dataset.json" for name in PLAN.datasets]


def interpreter(wildcards):
    """The Python of an engine's environment; none for an engine in another language."""
    name = PLAN.environment(PLAN.engine(wildcards.engine))
    if IMAGES:
        return ENGINE_PYTHON
    return f"{env_dir(name)}/bin/python" if name else ""


def place(wildcards):
    """Where a run stands below results/runs and results/attempts."""
    return Path(wildcards.machine, wildcards.dataset, wildcards.engine, wildcards.key, f"r{wildcards.rep}")


def calibrations(wildcards):
    """The sampler's calibration on this machine, before anything is measured with it here."""
    return [PLAN.calibration] if PLAN.machine == PLAN.here else []


def attempts_to_make(wildcards):
    """Outcomes the index waits for: of every wanted run that is not finished, on its own machine."""
    if PLAN.machine != PLAN.here:
        return []
    return [f"results/attempts/{place}/{number}/outcome.json" for place, number in PLAN.todo.items()]


def order_priority(wildcards):
    """The earlier a run stands in the plan, the higher its priority; above all that is no training."""
    return 1 + PLAN.runs[-1].order - PLAN.by_place[place(wildcards)].order


def code(*rooms):
    """The core's modules a step is made of: a change in them makes its results anew."""
    return sorted(str(path) for room in rooms for path in Path("src/evenground", room).rglob("*.py"))
