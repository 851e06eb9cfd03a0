"""A cluster's nodes: their machine classes, and what a job asks the scheduler for; on this machine nothing."""

from evenground.config import load_experiment
from evenground.runs.plan import NODES
from evenground.runs.request import PROBE_LIMIT_MIN, EXCLUSIVE, Requests, named_resources, refuse_cores_option

# Inside an interactive allocation SLURM_JOB_ID is the allocation's, not that of a job of this invocation.
JOB = os.environ.get("SLURM_JOB_ID", "") if workflow.remote_exec else ""
OF_THIS_INVOCATION = ["--source", json.dumps(SOURCE), "--invocation", os.environ[INVOCATION], f"--job={JOB}"]
OF_THIS_INVOCATION += ["--pipeline"] + [str(pid) for pid in PIPELINE]
# The target `nodes` probes machine classes, so its plan knows no kinds: they come from the configuration itself.
KINDS = load_experiment({"nodes": config.get("nodes", {})}).nodes
REQUESTS = Requests(kinds=KINDS, study=STUDY)


def all_cores(wildcards):
    """All cores of this machine, or as many as this invocation may use: one such job runs at a time."""
    return os.cpu_count() if CLUSTER else workflow.cores


def request_for(wildcards):
    """Request of a probe, by its kind of node, or of a calibration or training, by its machine class."""
    if hasattr(wildcards, "kind"):
        return KINDS[wildcards.kind]
    return REQUESTS.of_class(wildcards.machine)


def node_cores(wildcards):
    return REQUESTS.cores(request_for(wildcards))


def node_mb(wildcards):
    # 0 asks for nothing: Snakemake takes no None for memory.
    return request_for(wildcards).mem_mb or 0


def training_min(wildcards):
    return REQUESTS.minutes(run_path(wildcards))


def requested(key):
    """A function for a rule: the value of `key` of a job's kind of node; None asks for nothing."""
    return lambda wildcards: getattr(request_for(wildcards), key)


def node_of_its_own(minutes):
    """The resources of a job that gets a whole node; none on this machine."""
    if not CLUSTER:
        return {}
    resources = {"mem_mb": node_mb, "slurm_extra": EXCLUSIVE, "runtime": minutes}
    for resource, key in named_resources(KINDS).items():
        resources[resource] = requested(key)
    return resources


NODE_CORES = node_cores if CLUSTER else workflow.cores

if CLUSTER and MAIN:
    try:
        # Looked for in the arguments: for a dry run Snakemake itself sets `workflow.cores`.
        refuse_cores_option(sys.argv[1:])
        REQUESTS.refuse_unknown_cores(probes=PROBES)
    except EvengroundError as error:
        raise WorkflowError(f"error: {error}") from None


rule node:
    """Probe a node of a kind: its machine class, with the cores and cards that a training gets there."""
    output:
        str(NODES / "{kind}.json"),
    log:
        "results/logs/node/{kind}.log",
    threads: NODE_CORES
    resources:
        **node_of_its_own(PROBE_LIMIT_MIN),
    shell:
        r"""
        {PYTHON:q} scripts/node.py \
            --output {output:q} \
            --gpu {PLAN.experiment.gpu:q} \
            2>&1 | tee {log:q}
        """


rule nodes:
    """The machine classes of all kinds of node, and no training."""
    input:
        [str(NODES / f"{kind}.json") for kind in KINDS],
