"""Trainings, one at a time in the plan's order, and the index of what became of them."""

from evenground.runs.lost import record_lost
from evenground.runs.plan import CALIBRATIONS


onstart:
    # Not of a dry run, nor of an invocation that has nothing to do.
    if workflow.is_main_process and not LOOKS_ONLY:
        unfinished = [place for part in STUDY.parts for place in part.plan.pending]
        for line in record_lost(PLAN.root, unfinished):
            logs.warning(line)


rule calibrate:
    """The sampler against known loads, once per machine class and version; alone, on all cores."""
    # Natively it has no inputs: Snakemake would make it anew after an input had to be made, ancient or not.
    input:
        ancient(image_records()),
    output:
        str(CALIBRATIONS / "{machine}" / "{code}.json"),
    log:
        "results/logs/calibrate/{machine}-{code}.log",
    threads: NODE_CORES
    resources:
        **node_of_its_own(ALONE_MIN),
    params:
        variables=variables(),
    container:
        any_container
    shell:
        "exec {CLEAN} {params.variables:q} {RUNNER:q} -s scripts/calibrate.py"
        " --output {output:q} --machine {wildcards.machine:q} --gpu {PLAN.experiment.gpu:q}"
        " --pipeline {PIPELINE} > >(tee {log:q}) 2>&1"


rule train:
    # All environments and datasets before the first training: nothing is prepared beside one.
    input:
        ancient(wanted_environments()),
        ancient(wanted_datasets()),
        ancient(calibrations if len(STUDY.machines) > 1 else calibrations_of(STUDY.parts[0])),
        ancient(EXPERIMENT),
    output:
        "results/attempts/{machine}/{dataset}/{engine}/{key}/r{rep}/{attempt}/outcome.json",
    params:
        work=work,
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
        "exec {CLEAN} {params.variables:q} {RUNNER:q} -s scripts/train.py"
        " {params.work:q} {CONTAINER} 2> >(tee {log:q} >&2)"


rule index:
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
        "{PYTHON:q} scripts/index.py --plan {input.plan:q} --output {output.index:q}"
        " --made {output.made:q} --of {input.lines:q} 2>&1 | tee {log:q}"


rule complete:
    """Name the tables and figures; fail when a wanted run failed, after everything was drawn."""
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
        "{PYTHON:q} scripts/complete.py --index {input.indexes:q} --figures {input.figures:q} --records {input.records:q}"
        " --output {output:q} --machine {params.machine} 2>&1 | tee {log:q}"
