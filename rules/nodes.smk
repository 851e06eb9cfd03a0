"""A cluster's nodes: of what class they are, and what is asked for a training; on this machine nothing is asked."""

from evenground.config import load_experiment
from evenground.runs.plan import NODES
from evenground.runs.request import ALONE_MIN, EXCLUSIVE, Requests, memory_mb, named_resources, refuse_cores_option

# Inside an interactive allocation SLURM_JOB_ID is the allocation's, not that of a job of this invocation.
JOB = os.environ.get("SLURM_JOB_ID", "") if workflow.remote_exec else ""
OF_THIS_INVOCATION = ["--source", json.dumps(SOURCE), "--invocation", os.environ[INVOCATION], f"--job={JOB}"]
OF_THIS_INVOCATION += ["--pipeline", *map(str, PIPELINE)]
# The target `nodes` probes machine classes, so its plan knows no kinds: they come from the configuration itself.
KINDS = load_experiment({"nodes": config.get("nodes", {})}).nodes
REQUESTS = Requests(kinds=KINDS, study=STUDY, root=PLAN.root)


def all_cores(wildcards):
    """Of this machine, or as many as the invocation was given: one such job at a time."""
    return os.cpu_count() if CLUSTER else workflow.cores


def request_for(wildcards):
    """What a probe asks for, by its kind of node, or a calibration or training, by its machine class."""
    if hasattr(wildcards, "kind"):
        return KINDS[wildcards.kind]
    return REQUESTS.of_class(wildcards.machine)


def node_cores(wildcards):
    return REQUESTS.cores(request_for(wildcards))


def node_mb(wildcards):
    return memory_mb(request_for(wildcards))


def training_min(wildcards):
    return REQUESTS.minutes(run_path(wildcards))


def asked(key):
    """A function for a rule: the value of `key` of a job's kind of node; where it is None nothing is asked."""
    return lambda wildcards: getattr(request_for(wildcards), key)


def node_of_its_own(minutes):
    """The resources of a job that has a whole node; on this machine itself nothing is asked."""
    if not CLUSTER:
        return {}
    named = {word: asked(key) for word, key in named_resources(KINDS).items()}
    return {"mem_mb": node_mb, "slurm_extra": EXCLUSIVE, "runtime": minutes, **named}


NODE_CORES = node_cores if CLUSTER else workflow.cores

if CLUSTER and workflow.is_main_process:
    try:
        # The option is looked for in the arguments: for a dry run Snakemake itself sets `workflow.cores`.
        refuse_cores_option(sys.argv[1:])
        REQUESTS.refuse_unknown_cores(probes="nodes" in sys.argv)
    except EvengroundError as error:
        raise WorkflowError(f"error: {error}") from None


rule node:
    """A node of each kind says of what class it is, with the cores and cards that a training gets there."""
    output:
        str(NODES / "{kind}.json"),
    log:
        "results/logs/node/{kind}.log",
    threads: NODE_CORES
    resources:
        **node_of_its_own(ALONE_MIN),
    shell:
        "{PYTHON:q} scripts/node.py --output {output:q} --gpu {PLAN.experiment.gpu:q} 2>&1 | tee {log:q}"


rule nodes:
    """Of what class all kinds of node are, and no training."""
    input:
        [str(NODES / f"{kind}.json") for kind in KINDS],
