"""Trainings, one at a time in the plan's order, and the index of what became of them."""

from evenground.runs.plan import CALIBRATIONS


rule calibrate:
    """The sampler against known loads, once per machine class and version; alone, on all cores."""
    # Natively it has no inputs: Snakemake would make it anew after an input had to be made, ancient or not.
    input:
        ancient(image_records()),
    output:
        str(CALIBRATIONS / "{machine}" / "{code}.json"),
    log:
        "results/logs/calibrate/{machine}-{code}.log",
    threads: node_cores
    retries: 1
    resources:
        mem_mb=node_mb,
        gpu=asked("gpus"),
        slurm_partition=asked("slurm_partition"),
        constraint=asked("constraint"),
        slurm_extra=exclusive,
        runtime=ALONE_MIN if CLUSTER else 0,
    container:
        any_container
    shell:
        "exec {RUNNER:q} scripts/calibrate.py --output {output:q} --machine {wildcards.machine:q}"
        " --pipeline {PIPELINE} > >(tee {log:q}) 2>&1"


rule train:
    # All environments and datasets before the first training: nothing is prepared beside one.
    input:
        ancient(wanted_environments()),
        ancient(wanted_datasets()),
        ancient(calibrations),
        experiment=lambda wildcards: ancient(experiment_of(wildcards)),
    output:
        "results/attempts/{machine}/{dataset}/{engine}/{key}/r{rep}/{attempt}/outcome.json",
    params:
        place=place,
        python=interpreter,
        warm_up=lambda wildcards: "yes" if place(wildcards) in STUDY.warm_ups else "no",
        image=lambda wildcards: image_of_engine(wildcards).record if IMAGES else "",
        source=json.dumps(source_state(PLAN.root)),
        call=os.environ[CALL],
        job=JOB,
        state=scheduler_state,
    log:
        "results/logs/train/{machine}/{dataset}/{engine}/{key}/r{rep}/{attempt}.log",
    threads: node_cores
    # Whatever ended a training without a word: the second try writes down what became of the first.
    retries: 1
    resources:
        mem_mb=node_mb,
        gpu=asked("gpus"),
        slurm_partition=asked("slurm_partition"),
        constraint=asked("constraint"),
        slurm_extra=exclusive,
        runtime=training_min,
    priority: order_priority
    container:
        container_of
    shell:
        "exec {RUNNER:q} scripts/train.py --experiment {input.experiment:q} --place {params.place:q}"
        " --attempt {wildcards.attempt:q} --python={params.python:q} --warm-up {params.warm_up:q}"
        " --image={params.image:q} --source {params.source:q} --call {params.call:q} --job={params.job:q}"
        " --state={params.state:q} --pipeline {PIPELINE}"
        " 2> >(tee {log:q} >&2)"


rule index:
    input:
        attempts_to_make,
        ancient(calibrations),
        "data/published/thesis-code.csv",
        thesis_files(Path()),
        plan="results/{part}/plan.json",
    output:
        "results/{part}/index.json",
    log:
        "results/logs/index/{part}.log",
    shell:
        "{PYTHON:q} scripts/index.py --plan {input.plan:q} --output {output:q} 2>&1 | tee {log:q}"


rule complete:
    """Name the tables and figures; fail when a wanted run failed, after everything was drawn."""
    input:
        indexes=of_parts("index.json"),
        tables=f"{OUT}/tables/runs.csv",
        figures=f"{OUT}/figures/figures.json",
        verdicts=f"{OUT}/tables/verdicts.csv",
        report=f"{OUT}/report.html",
    output:
        f"{OUT}/complete.json",
    params:
        machine="this" if all(part.plan.trains for part in STUDY.parts) else "another",
    log:
        "results/logs/complete.log",
    shell:
        "{PYTHON:q} scripts/complete.py --index {input.indexes:q} --figures {input.figures:q}"
        " --output {output:q} --machine {params.machine} 2>&1 | tee {log:q}"
