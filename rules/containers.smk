"""The engines' container images, built if they are missing."""

from evenground.containers.images import RECORDS


rule image:
    output:
        str(RECORDS / "{environment}-{content,[0-9a-f]{12}}.json"),
    params:
        told=BEGUN.told_text,
    log:
        "results/logs/image/{environment}-{content}.log",
    threads: NODES.all_cores
    resources:
        builds=1,
    shell:
        r"""
        {PYTHON:q} scripts/image.py {wildcards.environment:q} \
            --record {output:q} \
            --log {log:q} \
            --experiment {EXPERIMENT:q} \
            --told={params.told:q}
        """


rule containers:
    """All images of the experiment, and no training."""
    input:
        JOBS.images,
