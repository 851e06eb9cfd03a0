"""evenground: train the same network in several frameworks on even ground, and measure each training.

The rules are in rules/, one theme a file; the experiment is in params.yaml; README.md says how to start.
"""

import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.settings.types import DeploymentMethod
from snakemake.utils import min_version

min_version("9.0")
sys.path[:0] = ["src", "scripts"]

from environment import MARKER, env_dir
from evenground.call import caller, end_with, hold
from evenground.config import load_experiment
from evenground.errors import EvengroundError
from evenground.images import RECORDS
from evenground.preflight.containers import recorded_digests
from evenground.preflight.gate import gate
from evenground.runs.plan import CALIBRATIONS, make_plan, write_plan
from image import images


configfile: "params.yaml"


PYTHON = sys.executable

try:
    if workflow.is_main_process:
        HELD = hold(Path.cwd(), unlock="--unlock" in sys.argv)
        # Jobs at work come to their end, trainings are ended: they watch the caller too.
        end_with(caller())
    # Snakemake itself knows its targets only after it has read this file.
    if DeploymentMethod.APPTAINER in workflow.deployment_settings.deployment_method or "containers" in sys.argv:
        config["deployment"] = "apptainer"
    PLAN = make_plan(load_experiment(config), Path.cwd())
    IMAGES = {image.environment: image for image in images(PLAN)}
    if workflow.is_main_process:
        write_plan(PLAN)
        gate(PLAN, list(IMAGES.values()), refuse="preflight" not in sys.argv)
except EvengroundError as error:
    raise WorkflowError(f"error: {error}") from None

OUT = str(PLAN.results)
EXPERIMENT = f"{OUT}/experiment.json"


include: "rules/common.smk"
include: "rules/environments.smk"
include: "rules/containers.smk"
include: "rules/preflight.smk"
include: "rules/data.smk"
include: "rules/training.smk"
include: "rules/analysis.smk"
include: "rules/report.smk"


localrules: all, figures, preflight, containers, data


rule all:
    default_target: True
    input:
        [f"{OUT}/complete.json", *shown_in_report()],


rule figures:
    """Tables and figures of whatever has run, without the verdict on what has not."""
    input:
        expand(OUT + "/{name}", name=["tables/runs.csv", "tables/verdicts.csv", "report.html"]),
