"""The invocation: what is trained and drawn, resolved before there is any rule."""

import os
from pathlib import Path

from contain import launcher_of
from evenground.errors import EvengroundError
from evenground.invocation import INVOCATION, caller
from evenground.workflow.begin import Call, begin
from evenground.workflow.explained import Explained
from evenground.workflow.jobs import CLEAN, CONTAINER, Jobs
from evenground.workflow.nodes import Nodes
from evenground.workflow.sources import ANALYSIS, files, modules
from snakemake.exceptions import WorkflowError
from snakemake.settings.types import DeploymentMethod

PYTHON = sys.executable
# The executor is not known yet, but only one that hands jobs to others is given a number of them.
CLUSTER = workflow.remote_exec or workflow.resource_settings.nodes is not None
DEPLOYMENT = workflow.deployment_settings
# A training ends with the first of these processes; in a container its parent is Apptainer.
PIPELINE = [os.getpid(), *caller()]

try:
    BEGUN = begin(
        Call(
            root=Path.cwd(),
            config=config,
            args=sys.argv,
            is_main=workflow.is_main_process,
            is_on_cluster=CLUSTER,
            uses_containers=DeploymentMethod.APPTAINER in DEPLOYMENT.deployment_method,
            apptainer_args=DEPLOYMENT.apptainer_args,
            # Only the invocation itself looks at them: a job on another machine has no other folders.
            bound=[str(path) for path in workflow.runtime_paths] if workflow.is_main_process else [],
            launcher_of=launcher_of,
        )
    )
    JOBS = Jobs(
        planned=BEGUN.planned,
        python=PYTHON,
        pipeline=PIPELINE,
        number=os.environ[INVOCATION],
        # Inside an interactive allocation it is the allocation's, not that of a job of this invocation.
        job=os.environ.get("SLURM_JOB_ID", "") if workflow.remote_exec else "",
    )
    # Snakemake has no number of cores for an invocation that hands its jobs to others.
    CORES = None if CLUSTER else workflow.cores
    NODES = Nodes(planned=BEGUN.planned, root=Path.cwd(), cores_here=CORES)
    if CLUSTER and workflow.is_main_process:
        NODES.refuse(sys.argv[1:])
except EvengroundError as error:
    raise WorkflowError(f"error: {error}") from None

if BEGUN.told:
    DEPLOYMENT.imply_deployment_method(DeploymentMethod.APPTAINER)
    DEPLOYMENT.apptainer_args = BEGUN.told.arguments

OUT = JOBS.results
EXPERIMENT = f"{OUT}/experiment.json"
EXPLAINED = Explained(BEGUN.study)
