"""Trainings, one at a time in the plan's order, and the index of what became of them."""

from evenground.runs.lines import thesis_files
from evenground.runs.plan import CALIBRATIONS
from evenground.workflow.nodes import PROBE_LIMIT_MIN


onstart:
    # Snakemake does not call this in a dry run, nor if there is nothing to do.
    BEGUN.record_lost()


rule calibrate:
    """The sampler against known loads, once per machine class and version; alone, on all cores."""
    # Natively it has no inputs: Snakemake would make it again after an input was made, ancient or not.
    input:
        ancient(JOBS.images),
    output:
        str(CALIBRATIONS / "{machine}" / "{code}.json"),
    log:
        "results/logs/calibrate/{machine}-{code}.log",
    threads: NODES.cores
    resources:
        **NODES.resources(PROBE_LIMIT_MIN),
    params:
        variables=JOBS.variables_of_none,
        gpu=JOBS.planned.gpu,
    container:
        JOBS.any_container
    shell:
        r"""
        exec {CLEAN} {params.variables:q} {JOBS.runner:q} -s scripts/calibrate.py \
            --output {output:q} \
            --machine {wildcards.machine:q} \
            --gpu {params.gpu:q} \
            --pipeline {PIPELINE} \
            > >(tee {log:q}) 2>&1
        """


rule train:
    # All environments and datasets before the first training: nothing is prepared during one.
    input:
        ancient(JOBS.environments),
        ancient(JOBS.datasets),
        ancient(JOBS.calibrations),
    output:
        "results/attempts/{machine}/{dataset}/{engine}/{key}/r{rep}/{attempt}/outcome.json",
    params:
        options=JOBS.training,
        variables=JOBS.variables,
    log:
        "results/logs/train/{machine}/{dataset}/{engine}/{key}/r{rep}/{attempt}.log",
    threads: NODES.cores
    resources:
        **NODES.resources(NODES.training_minutes),
    priority: JOBS.priority
    container:
        JOBS.container if JOBS.images else None
    shell:
        r"""
        exec {CLEAN} {params.variables:q} {JOBS.runner:q} -s scripts/train.py \
            --spec results/specs/{wildcards.key}.json \
            --machine {wildcards.machine:q} \
            --repetition {wildcards.rep} \
            --attempt {wildcards.attempt} \
            {CONTAINER} \
            {params.options:q} \
            2> >(tee {log:q} >&2)
        """


rule index:
    """What became of every wanted run, made when all that can be trained has been tried."""
    input:
        JOBS.attempts,
        ancient(JOBS.beside_runs),
        f"{OUT}/made/index.again.json",
        lines=["data/published/thesis-code.csv", *thesis_files(Path())],
        plan=f"{OUT}/plan.json",
    output:
        index=f"{OUT}/index.json",
        made=f"{OUT}/made/index.json",
    log:
        "results/logs/index.log",
    shell:
        r"""
        {PYTHON:q} scripts/index.py \
            --plan {input.plan:q} \
            --output {output.index:q} \
            --made {output.made:q} \
            --of {input.lines:q} \
            2>&1 | tee {log:q}
        """


rule complete:
    """Name the tables and figures; fails after everything was drawn if a wanted run failed."""
    input:
        index=f"{OUT}/index.json",
        tables=f"{OUT}/tables/runs.csv",
        figures=f"{OUT}/figures/figures.json",
        verdicts=f"{OUT}/tables/verdicts.csv",
        report=f"{OUT}/report.html",
        records=BEGUN.records,
    output:
        f"{OUT}/complete.json",
    params:
        machine="this" if JOBS.is_trained_here else "another",
    log:
        "results/logs/complete.log",
    shell:
        r"""
        {PYTHON:q} scripts/complete.py \
            --index {input.index:q} \
            --figures {input.figures:q} \
            --records {input.records:q} \
            --output {output:q} \
            --machine {params.machine} \
            2>&1 | tee {log:q}
        """
