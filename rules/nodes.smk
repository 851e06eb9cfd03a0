"""A cluster's nodes: of what class they are, and what is asked for a training; on this machine nothing is asked."""

from functools import cache

from evenground.config import load_experiment
from evenground.runs.lost import begun, mark_unbegun
from evenground.runs.plan import ATTEMPTS, NODES
from evenground.runs.request import cores_to_ask, lengths_of, minutes_to_ask, request_of
from evenground.runs.slurm import job_state

# In an allocation of somebody's own the number would be that of all he does in it.
JOB = os.environ.get("SLURM_JOB_ID", "") if workflow.remote_exec else ""
THIS_CALL = os.environ[CALL]
OF_THIS_CALL = ["--source", json.dumps(SOURCE), "--call", THIS_CALL, f"--job={JOB}"]
OF_THIS_CALL += ["--pipeline", *map(str, PIPELINE)]
# A job that was lost is tried once more, by the call itself: not by what runs it on its node.
RETRIES = 1 if workflow.is_main_process else 0
ALONE_MIN, SETTLING_MIN = 20, 10
SETTLING_MB = 1000
# A call that asks of what class they are is planned as if there were none.
KINDS = load_experiment({"nodes": config.get("nodes", {})}).nodes
node_request = cache(lambda machine: request_of(KINDS, machine, PLAN.root))


def request_for(wildcards):
    """What is asked for a job that is a kind of node's or comes to a class of machine."""
    kind = getattr(wildcards, "kind", None)
    return KINDS[kind] if kind else node_request(wildcards.machine)


def all_cores(wildcards):
    """Of this machine, or as many as the call was given: one such job at a time."""
    return os.cpu_count() if CLUSTER else workflow.cores


def attempt_of(wildcards):
    """The folder of a training's attempt; None of what is no training."""
    trains = getattr(wildcards, "rep", None) is not None
    return Path(ATTEMPTS, place(wildcards), wildcards.attempt) if trains else None


def begun_before(wildcards):
    """The mark of an earlier job of this call that began the training and was lost; None of what trains not."""
    folder = attempt_of(wildcards)
    return begun(folder, THIS_CALL) if folder else None


def settles(wildcards, attempt):
    """Whether a job's second try only has to write down what became of the first, which takes no node."""
    folder = attempt_of(wildcards) if attempt > 1 else None
    if folder is None:
        return False
    # So the executor comments such a job.
    comment = "_".join(["rule_train_wildcards", *wildcards])
    return begun(folder, THIS_CALL) is not None or never_begun(folder, comment)


@cache
def never_begun(folder, comment):
    """The same where the scheduler ended the first while it waited, which it remembers for some minutes."""
    return workflow.is_main_process and mark_unbegun(folder, THIS_CALL, comment)


def node_cores(wildcards, attempt):
    """Cores of a training, and of what is measured or asked like one."""
    return 1 if settles(wildcards, attempt) else cores_to_ask(request_for(wildcards).cores, most_threads())


@cache
def most_threads():
    """As many as any part wants: a class of machine is told by the cores that its jobs see."""
    wanted = [part.plan.experiment.threads for part in STUDY.parts]
    return "all" if "all" in wanted else max(wanted)


def asked(name):
    """The resource `name` of a node's kind, as a function for a rule; where it is None nothing is asked."""

    def of_job(wildcards, attempt):
        return None if settles(wildcards, attempt) else getattr(request_for(wildcards), name)

    return of_job


def node_mb(wildcards, attempt):
    """Memory of such a job; 0 asks for nothing: Snakemake takes no None here."""
    if settles(wildcards, attempt):
        return SETTLING_MB
    return asked("mem_mb")(wildcards, attempt) or 0


def exclusive(wildcards, attempt):
    """A node of its own."""
    return None if settles(wildcards, attempt) else "--exclusive"


def training_min(wildcards, attempt):
    """The scheduler's time limit of a training, in minutes."""
    if settles(wildcards, attempt):
        return SETTLING_MIN
    limit_s, warm_up = PLAN.experiment.time_limit_s, place(wildcards) in STUDY.warm_ups
    return minutes_to_ask(lengths_of(PLAN.root, place(wildcards)), limit_s, warm_up)


def node_of_its_own(minutes):
    """The resources of a job that has a whole node; on this machine itself nothing is asked."""
    if not CLUSTER:
        return {}
    # What no kind of node names is no resource at all: Snakemake works out each of each of many jobs.
    named = {"gpus": "gpu", "slurm_partition": "slurm_partition", "constraint": "constraint"}
    words = {word: asked(key) for key, word in named.items() if any(getattr(k, key) for k in KINDS.values())}
    return {"mem_mb": node_mb, "slurm_extra": exclusive, "runtime": minutes, **words}


NODE_CORES = node_cores if CLUSTER else workflow.cores


def scheduler_state(wildcards):
    """The scheduler's word for the lost job that began this training; empty where there is none."""
    mark = begun_before(wildcards)
    return job_state(mark.job) if mark and mark.job else ""


def refuse_unknown_cores():
    """EvengroundError where the scheduler would be asked for other cores than the experiment names."""
    # For a dry run Snakemake itself sets them.
    if any(word.startswith(("--cores", "-c")) for word in sys.argv[1:]):
        what = "--cores would limit what every job asks the scheduler for"
        raise EvengroundError(what, "with --jobs", "leave --cores away")
    if "nodes" in sys.argv:
        for request in KINDS.values():
            cores_to_ask(request.cores, most_threads())
        return
    for part in STUDY.parts:
        if part.plan.trains and part.plan.pending:
            cores_to_ask(node_request(part.plan.machine).cores, most_threads())


if CLUSTER and workflow.is_main_process:
    try:
        refuse_unknown_cores()
    except EvengroundError as error:
        raise WorkflowError(f"error: {error}") from None


rule node:
    """A node of each kind says of what class it is, with the cores and cards that a training gets there."""
    output:
        str(NODES / "{kind}.json"),
    log:
        "results/logs/node/{kind}.log",
    threads: NODE_CORES
    retries: RETRIES
    resources:
        **node_of_its_own(ALONE_MIN),
    shell:
        "{PYTHON:q} scripts/node.py --output {output:q} --gpu {PLAN.experiment.gpu:q} 2>&1 | tee {log:q}"


rule nodes:
    """Of what class all kinds of node are, and no training."""
    input:
        [str(NODES / f"{kind}.json") for kind in KINDS],
