"""Trainings, one at a time in the plan's order, and the index of what became of them."""

from evenground.runs.lost import record_lost
from evenground.runs.plan import CALIBRATIONS


onstart:
    # Snakemake does not call this in a dry run, nor if there is nothing to do.
    if MAIN and not LOOKS_ONLY:
        unfinished = [path for part in STUDY.parts for path in part.plan.pending]
        for message in record_lost(PLAN.root, unfinished):
            logs.warning(message)


rule calibrate:
    """The sampler against known loads, once per machine class and version; alone, on all cores."""
    # Natively it has no inputs: Snakemake would make it again after an input was made, ancient or not.
    input:
        ancient(image_records()),
    output:
        str(CALIBRATIONS / "{machine}" / "{code}.json"),
    log:
        "results/logs/calibrate/{machine}-{code}.log",
    threads: NODE_CORES
    resources:
        **node_of_its_own(PROBE_LIMIT_MIN),
    params:
        variables=variables(),
    container:
        any_container
    shell:
        r"""
        exec {CLEAN} {params.variables:q} {RUNNER:q} -s scripts/calibrate.py \
            --output {output:q} \
            --machine {wildcards.machine:q} \
            --gpu {PLAN.experiment.gpu:q} \
            --pipeline {PIPELINE} \
            > >(tee {log:q}) 2>&1
        """


rule train:
    # All environments and datasets before the first training: nothing is prepared during one.
    input:
        ancient(wanted_environments()),
        ancient(wanted_datasets()),
        # A function is evaluated for each of many jobs, and is needed for several classes only.
        ancient(calibrations if len(STUDY.machines) > 1 else calibrations_of(STUDY.parts[0])),
        ancient(EXPERIMENT),
    output:
        "results/attempts/{machine}/{dataset}/{engine}/{key}/r{rep}/{attempt}/outcome.json",
    params:
        options=training_options,
        variables=lambda wildcards: variables(wildcards.engine),
    log:
        "results/logs/train/{machine}/{dataset}/{engine}/{key}/r{rep}/{attempt}.log",
    threads: NODE_CORES
    resources:
        **node_of_its_own(training_min),
    priority: order_priority
    container:
        container_of if IMAGES else None
    shell:
        r"""
        exec {CLEAN} {params.variables:q} {RUNNER:q} -s scripts/train.py \
            {params.options:q} \
            {CONTAINER} \
            2> >(tee {log:q} >&2)
        """


rule index:
    """What became of every wanted run of a part, made when all that can be trained has been tried."""
    input:
        attempts_to_make,
        ancient(calibrations),
        again("index"),
        lines=["data/published/thesis-code.csv", *thesis_files(Path())],
        plan="results/{part}/plan.json",
    output:
        index="results/{part}/index.json",
        made=made("index"),
    log:
        "results/logs/index/{part}.log",
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
        indexes=of_parts("index.json"),
        tables=f"{OUT}/tables/runs.csv",
        figures=f"{OUT}/figures/figures.json",
        verdicts=f"{OUT}/tables/verdicts.csv",
        report=f"{OUT}/report.html",
        records=[str(record_of(*step)) for chain in (*chains_of_parts(), chain_of_whole()) for step in chain],
    output:
        f"{OUT}/complete.json",
    params:
        machine="this" if all(part.plan.trains for part in STUDY.parts) else "another",
    log:
        "results/logs/complete.log",
    shell:
        r"""
        {PYTHON:q} scripts/complete.py \
            --index {input.indexes:q} \
            --figures {input.figures:q} \
            --records {input.records:q} \
            --output {output:q} \
            --machine {params.machine} \
            2>&1 | tee {log:q}
        """
