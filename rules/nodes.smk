"""A cluster's nodes: their machine classes."""

from evenground.runs.plan import NODES as NODES_DIR
from evenground.workflow.nodes import PROBE_LIMIT_MIN


rule node:
    """Probe a node of a kind: its machine class, with the cores and cards that a training gets there."""
    output:
        str(NODES_DIR / "{kind}.json"),
    params:
        gpu=JOBS.planned.gpu,
    log:
        "results/logs/node/{kind}.log",
    threads: NODES.cores
    resources:
        **NODES.resources(PROBE_LIMIT_MIN),
    shell:
        r"""
        {PYTHON:q} scripts/node.py \
            --output {output:q} \
            --gpu {params.gpu:q} \
            2>&1 | tee {log:q}
        """


rule nodes:
    """The machine classes of all kinds of node, and no training."""
    input:
        expand(str(NODES_DIR / "{kind}.json"), kind=JOBS.planned.nodes),
