"""evenground: train the same network in several frameworks on even ground, and measure each training.

The rules are in rules/, one theme a file; the experiment is in params.yaml; README.md says how to start.
"""

import sys

from snakemake.utils import min_version

min_version("9.0")
sys.path[:0] = ["src", "scripts"]


configfile: "params.yaml"


include: "rules/study.smk"
include: "rules/nodes.smk"
include: "rules/environments.smk"
include: "rules/containers.smk"
include: "rules/preflight.smk"
include: "rules/data.smk"
include: "rules/training.smk"
include: "rules/analysis.smk"
include: "rules/explain.smk"
include: "rules/report.smk"
include: "rules/closing.smk"


localrules: all, runs, figures, preflight, containers, data, nodes, environment, image, fetch, complete
localrules: contact_sheet, explain_idle


rule all:
    default_target: True
    input:
        [f"{OUT}/complete.json", *SHOWN],


rule runs:
    """All trainings, and the index of what became of them."""
    input:
        f"{OUT}/index.json",


rule figures:
    """Tables and figures of whatever has run, without the verdict on what has not."""
    input:
        expand(OUT + "/{name}", name=["tables/runs.csv", "tables/verdicts.csv", "report.html"]),
