"""evenground: train the same network in several frameworks on even ground, and measure each training.

The rules are in rules/, one theme a file; the experiment is in params.yaml; README.md says how to start.
"""

import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.utils import min_version

min_version("9.0")
sys.path[:0] = ["src", "scripts"]

from environment import MARKER, env_dir
from evenground.config import load_experiment
from evenground.errors import EvengroundError
from evenground.runs.plan import CALIBRATIONS, calibration_file, make_plan, write_plan


configfile: "params.yaml"


PYTHON = sys.executable
EXPERIMENT = "results/experiment.json"

try:
    PLAN = make_plan(load_experiment(config), Path.cwd())
    if workflow.is_main_process:
        write_plan(PLAN)
except EvengroundError as error:
    raise WorkflowError(f"error: {error}") from None


include: "rules/common.smk"
include: "rules/environments.smk"
include: "rules/preflight.smk"
include: "rules/data.smk"
include: "rules/training.smk"
include: "rules/analysis.smk"


localrules:
    all,
    figures,
    preflight,


rule all:
    default_target: True
    input:
        "results/complete.json",


rule figures:
    """Tables and figures of whatever has run, without the verdict on what has not."""
    input:
        "results/figures/figures.json",
