"""One locked Python environment per engine, in the cache, named by its lock."""

from evenground.workflow.jobs import MARKER, env_path


rule environment:
    input:
        lock=ancient("envs/{environment}.txt"),
    output:
        str(env_path("uv").parent / "{environment}-{lock_hash,[0-9a-f]{12}}" / MARKER),
    log:
        "results/logs/environment/{environment}-{lock_hash}.log",
    threads: NODES.all_cores
    resources:
        builds=1,
    shell:
        r"""
        {PYTHON:q} scripts/environment.py {wildcards.environment:q} \
            2>&1 | tee {log:q}
        """
