"""Why trainings wait: one extra native training per engine and dataset under tracers, counted nowhere."""

from evenground.explain.places import EXPLAINED, FOLDER, explained_file, explained_runs

if EXPLAINS and CLUSTER:
    fix = "leave --executor and --jobs away: snakemake --cores all explain_idle"
    raise WorkflowError(f"error: explain_idle traces trainings on this machine only (on a cluster): {fix}")


def trained_parts():
    """The parts on this class of machine: a recorded class is not trained here."""
    return [part for part in STUDY.parts if part.plan.trains]


def explained(part):
    """The extra trainings of a part, one per engine and dataset."""
    return [str(explained_file(part.results, run)) for run in explained_runs(part.plan)]


def all_explained(wildcards=None):
    """Those of all parts; raises WorkflowError if none is trained here."""
    if not trained_parts():
        what = f"explain_idle makes trainings, and none is made here ('{PLAN.machine}' is another machine)"
        raise WorkflowError(f"error: {what}: set machine: here")
    return [path for part in trained_parts() for path in explained(part)]


def run_to_explain(wildcards):
    """The path of the run that an extra training stands for."""
    for run in explained_runs(part_of(wildcards).plan):
        if (run.dataset, run.engine) == (wildcards.dataset, wildcards.engine):
            return run.path


rule explain:
    input:
        ancient(wanted_environments()),
        ancient(wanted_datasets()),
        ancient(marker("explain")),
        experiment=ancient("results/{part}/experiment.json"),
    output:
        f"results/{{part}}/{FOLDER}/{{dataset}}/{{engine}}/{{key}}/{{number,[0-9]+}}/{EXPLAINED}",
    params:
        run=run_to_explain,
        python=interpreter,
        variables=lambda wildcards: variables(wildcards.engine),
        py_spy=f"{env_dir('explain')}/bin/py-spy",
    log:
        "results/logs/explain/{part}/{dataset}/{engine}/{key}/{number}.log",
    threads: all_cores
    shell:
        r"""
        exec {CLEAN} {params.variables:q} {PYTHON:q} -s scripts/explain_idle.py \
            --experiment {input.experiment:q} \
            --run {params.run:q} \
            --python={params.python:q} \
            --py-spy {params.py_spy:q} \
            --output {output:q} \
            --pipeline {PIPELINE} \
            2> >(tee {log:q} >&2)
        """


rule idle_causes:
    """The table of what the engines of a part waited for."""
    input:
        code(*ANALYSIS, "explain"),
        again("idle_causes"),
        explained=lambda wildcards: explained(part_of(wildcards)),
    output:
        expand("results/{{part}}/{folder}/idle_causes.{form}", folder=FOLDER, form=["csv", "md"]),
        made=made("idle_causes"),
    log:
        "results/logs/idle_causes/{part}.log",
    shell:
        r"""
        {PYTHON:q} scripts/idle_causes.py \
            --explained {input.explained:q} \
            --output-dir $(dirname {output[0]:q}) \
            --made {output.made:q} \
            --of {input:q} \
            2>&1 | tee {log:q}
        """


rule explain_idle:
    """Why engines wait while the CPU is idle; fails after all tables if an extra training failed."""
    input:
        tables=lambda wildcards: [str(part.results / FOLDER / "idle_causes.md") for part in trained_parts()],
        explained=all_explained,
    log:
        "results/logs/explain_idle.log",
    shell:
        r"""
        {PYTHON:q} scripts/idle_causes.py \
            --explained {input.explained:q} \
            --written {input.tables:q} \
            2>&1 | tee {log:q}
        """
