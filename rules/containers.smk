"""The engines' container images, built if they are missing."""

from evenground.containers.images import RECORDS
from evenground.preflight.containers import recorded_digests


rule image:
    output:
        str(RECORDS / "{environment}-{content,[0-9a-f]{12}}.json"),
    params:
        recorded=lambda wildcards: recorded_digests(
            [part.plan for part in STUDY.parts], wildcards.environment),
        told=TOLD.text() if TOLD else "",
    log:
        "results/logs/image/{environment}-{content}.log",
    threads: all_cores
    resources:
        builds=1,
    shell:
        r"""
        {PYTHON:q} scripts/image.py {wildcards.environment:q} \
            --record {output:q} \
            --log {log:q} \
            --experiment {EXPERIMENT:q} \
            --told={params.told:q} \
            --recorded {params.recorded:q}
        """


rule containers:
    """All images of the experiment, and no training."""
    input:
        image_records(),
