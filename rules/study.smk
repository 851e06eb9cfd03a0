"""The experiment, resolved before there is any rule: its parts, what they run in, and the gate before all of it."""

import os
from pathlib import Path

from contain import launcher_of
from environment import MARKER, cache_dir, env_dir, forget_broken
from evenground import logs
from evenground.apptainer import Told, prepare_environ, refuse, with_always
from evenground.invocation import INVOCATION, caller, end_with, hand_on, handed_on, hold
from evenground.errors import EvengroundError
from evenground.files import drop_lost_links, free
from evenground.made import STEPS, STEPS_OF_WHOLE, begin_again
from evenground.preflight.gate import gate
from evenground.runs.links import folders_elsewhere, outside_of, refuse_lost_links, refuse_outside_of_dvc
from evenground.runs.machine import hold as hold_card
from evenground.runs.machine import this_machine
from evenground.runs.plan import CALIBRATIONS
from evenground.runs.record import source_state
from evenground.runs.repeat import COMMAND, command_of
from evenground.runs.study import make_study, write_study
from evenground.surroundings.mounts import mounted_below
from image import images
from site_settings import steers_python, steers_shell
from snakemake.exceptions import WorkflowError
from snakemake.settings.types import DeploymentMethod

PYTHON = sys.executable
# What is set for the caller's Python and shell stays the caller's: no step and no engine sees it.
for name in list(os.environ):
    if steers_python(name) or steers_shell(name):
        del os.environ[name]


# Which executor there will be is not known yet, but only one that hands jobs to others is given a number of them.
CLUSTER = workflow.remote_exec or workflow.resource_settings.nodes is not None
# Targets that look at machines and change nothing else.
LOOKS_ONLY = {"preflight", "nodes"}.intersection(sys.argv)
# Invocations that only say something, or only free the folder.
WITHOUT_JOBS = {"-n", "--dry-run", "--dryrun", "--unlock", "-l", "--list-rules", "--list", "-S", "--summary"}


def tell_apptainer():
    """What Apptainer is told in this invocation: binds for all that lies outside, and no variable of a site's.

    Snakemake gives its jobs the environment and the arguments as they stand after this.
    """
    workflow.deployment_settings.imply_deployment_method(DeploymentMethod.APPTAINER)
    arguments = with_always(workflow.deployment_settings.apptainer_args)
    workflow.deployment_settings.apptainer_args = arguments
    sources = [path for engine in PLAN.engines for path in engine.sources(PLAN.root)]
    ours = sorted({*outside_of(PLAN.root, sources), *folders_elsewhere(PLAN.root)})
    refuse(arguments, os.getcwd())
    prepare_environ(os.environ, ours, os.getcwd())
    # Only the invocation itself asks about them: a job on another machine knows no other folders.
    bound = [str(path) for path in workflow.runtime_paths] if workflow.is_main_process else []
    return Told(arguments, bound, ours, mounted_below(PLAN.root.resolve()))


def chains_of_parts():
    """The steps from the index of each part to its page, in order."""
    more = ["idle_causes"] if "explain_idle" in sys.argv else []
    return [[(part.results, step) for step in (*STEPS, *more)] for part in STUDY.parts]


def chain_of_whole():
    """The steps that set the parts beside each other; none of an experiment of one part."""
    return [(STUDY.results, step) for step in STEPS_OF_WHOLE] if len(STUDY.parts) > 1 else []


try:
    if workflow.is_main_process:
        HELD = hold(Path.cwd(), unlock="--unlock" in sys.argv)
        # Jobs at work come to their end, trainings are ended: they watch the caller too.
        end_with(caller())
    if set("{}").intersection(str(cache_dir())):
        refused = ("Snakemake takes what stands in braces for a wildcard", str(cache_dir()))
        raise EvengroundError(*refused, "point EVENGROUND_CACHE to a folder without braces in its path")
    # Snakemake itself knows its targets only after it has read this file.
    if DeploymentMethod.APPTAINER in workflow.deployment_settings.deployment_method or "containers" in sys.argv:
        config["deployment"] = "apptainer"
    if "explain_idle" in sys.argv and config.get("deployment") == "apptainer":
        refused = ("explain_idle traces native trainings only", "in containers", "leave --use-singularity away")
        raise EvengroundError(*refused)
    # Of what class nodes are is asked by a job of the same invocation: until then this machine stands for them.
    asking = {"nodes": {}, "machine": "here"} if "nodes" in sys.argv else {}
    # What is planned for a single job, on whatever machine, is what the invocation planned.
    main = workflow.is_main_process
    if main:
        refuse_lost_links(Path.cwd())
        STUDY, SOURCE = make_study({**config, **asking}, Path.cwd()), source_state(Path.cwd())
    else:
        STUDY, SOURCE = handed_on(Path.cwd())
    PLAN = STUDY.first
    # On a cluster each node has its own cards, also one of this machine's class, and its job chooses there.
    if main and not CLUSTER:
        hold_card(PLAN.here)
    elif not main:
        hold_card(this_machine(PLAN.experiment.gpu))
    IMAGES = {image.environment: image for image in images(STUDY)}
    TOLD = tell_apptainer() if IMAGES else None
    if main:
        if caller():
            refuse_outside_of_dvc(Path.cwd(), STUDY.results)
        write_study(STUDY)
        # For the page, which is made by a process of this one's.
        os.environ[COMMAND] = command_of(sys.argv, Path.cwd())
        plans = [part.plan for part in STUDY.parts]
        # An invocation that runs no job starts no container and uses no GPU: another working copy may be training.
        starts = not WITHOUT_JOBS.intersection(sys.argv)
        launcher = launcher_of(TOLD) if TOLD and starts else None
        gate(plans, list(IMAGES.values()), launcher, refuse=not LOOKS_ONLY, starts=starts)
        if any(part.plan.pending and part.plan.trains for part in STUDY.parts) and not IMAGES:
            forget_broken(STUDY.environments)
        if "explain_idle" in sys.argv:
            forget_broken(["explain"])
        hand_on(Path.cwd(), (STUDY, SOURCE))
        for line in begin_again(chains_of_parts(), chain_of_whole(), STUDY.results / "complete.json"):
            logs.info(line)
        # Snakemake can replace no file that is read-only, as DVC's hard links are, nor a link that leads nowhere.
        free(Path.cwd() / STUDY.results)
        for folder in (STUDY.results, CALIBRATIONS, Path("data/prepared")):
            drop_lost_links(Path.cwd() / folder)
except EvengroundError as error:
    raise WorkflowError(f"error: {error}") from None

OUT = str(STUDY.results)
EXPERIMENT = f"{OUT}/experiment.json"
