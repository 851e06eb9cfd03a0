"""Why trainings wait: one extra native training per engine and dataset under tracers, counted nowhere."""

from evenground.explain.places import EXPLAINED as EXPLAINED_FILE
from evenground.explain.places import FOLDER
from evenground.workflow.jobs import env_path, marker


rule explain:
    input:
        ancient(JOBS.environments),
        ancient(JOBS.datasets),
        ancient(marker("explain")),
        # Written with the plan, before there is any rule.
        spec=ancient("results/specs/{key}.json"),
    output:
        f"{OUT}/{FOLDER}/{{dataset}}/{{engine}}/{{key}}/{{number,[0-9]+}}/{EXPLAINED_FILE}",
    params:
        options=JOBS.explained,
        variables=JOBS.variables,
        py_spy=f"{env_path('explain')}/bin/py-spy",
    log:
        "results/logs/explain/{dataset}/{engine}/{key}/{number}.log",
    threads: NODES.all_cores
    shell:
        r"""
        exec {CLEAN} {params.variables:q} {PYTHON:q} -s scripts/explain_idle.py \
            {params.options:q} \
            --spec {input.spec:q} \
            --py-spy {params.py_spy:q} \
            --output {output:q} \
            --pipeline {PIPELINE} \
            2> >(tee {log:q} >&2)
        """


rule idle_causes:
    """The table of what the engines waited for."""
    input:
        f"{OUT}/made/idle_causes.again.json",
        # Another experiment has other conditions, of trainings that may be there already.
        f"{OUT}/plan.json",
        code=modules(*ANALYSIS, "explain"),
        explained=EXPLAINED.files,
    output:
        expand(OUT + "/{folder}/idle_causes.{form}", folder=FOLDER, form=FORMS),
        made=f"{OUT}/made/idle_causes.json",
    params:
        options=EXPLAINED.options,
    log:
        "results/logs/idle_causes.log",
    shell:
        r"""
        {PYTHON:q} scripts/idle_causes.py \
            --explained {input.explained:q} \
            {params.options:q} \
            --output-dir $(dirname {output[0]:q}) \
            --made {output.made:q} \
            --of {input.code:q} {input.explained:q} \
            2>&1 | tee {log:q}
        """


rule explain_idle:
    """Why engines wait while the CPU is idle; fails after the table if an extra training failed."""
    input:
        table=f"{OUT}/{FOLDER}/idle_causes.md",
        explained=EXPLAINED.files,
    params:
        options=EXPLAINED.options,
    log:
        "results/logs/explain_idle.log",
    shell:
        r"""
        {PYTHON:q} scripts/idle_causes.py \
            --explained {input.explained:q} \
            {params.options:q} \
            --written {input.table:q} \
            2>&1 | tee {log:q}
        """
