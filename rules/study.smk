"""The experiment, resolved before there is any rule: its parts, their images, and the gate before them."""

import os
from pathlib import Path

from contain import launcher_of
from evenground import logs
from evenground.containers.apptainer import Told, prepare_environ, refuse, with_always
from evenground.containers.build import images
from evenground.environments.build import MARKER, env_dir, forget_broken
from evenground.environments.cache import cache_dir
from evenground.environments.site_settings import steers_python, steers_shell
from evenground.errors import EvengroundError
from evenground.files import drop_lost_links, free
from evenground.invocation import INVOCATION, caller, end_with, hand_on, handed_on, hold
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
from snakemake.exceptions import WorkflowError
from snakemake.settings.types import DeploymentMethod

PYTHON = sys.executable
# Settings for the caller's Python and shell are the caller's alone: no step and no engine gets them.
for name in list(os.environ):
    if steers_python(name) or steers_shell(name):
        del os.environ[name]

ROOT = Path.cwd()
# Whether this is the invocation itself, or else one of its jobs, maybe on another machine.
MAIN = workflow.is_main_process
# The executor is not known yet, but only one that hands jobs to others is given a number of them.
CLUSTER = workflow.remote_exec or workflow.resource_settings.nodes is not None
# Snakemake knows its targets only after it has read this file, so they are looked for in the arguments.
EXPLAINS, PROBES = "explain_idle" in sys.argv, "nodes" in sys.argv
# Targets that look at machines and change nothing else.
LOOKS_ONLY = {"preflight", "nodes"}.intersection(sys.argv)
# Invocations that only print something, or only free the folder.
WITHOUT_JOBS = {"-n", "--dry-run", "--dryrun", "--unlock", "-l", "--list-rules", "--list", "-S", "--summary"}


def prepare_apptainer():
    """Let Apptainer bind all that lies outside the working copy, and obey no variable of a site's.

    Snakemake gives its jobs the environment and the arguments as they are after this.
    """
    workflow.deployment_settings.imply_deployment_method(DeploymentMethod.APPTAINER)
    arguments = with_always(workflow.deployment_settings.apptainer_args)
    workflow.deployment_settings.apptainer_args = arguments
    sources = [path for engine in PLAN.engines for path in engine.sources(ROOT)]
    ours = sorted({*outside_of(ROOT, sources), *folders_elsewhere(ROOT)})
    refuse(arguments, str(ROOT))
    prepare_environ(os.environ, ours, str(ROOT))
    # Only the invocation itself looks at them: a job on another machine has no other folders.
    bound = [str(path) for path in workflow.runtime_paths] if MAIN else []
    mounted = mounted_below(ROOT.resolve())
    return Told(arguments=arguments, bound=bound, ours=ours, mounted=mounted)


def chains_of_parts():
    """The steps from the index of each part to its page, in order."""
    steps = list(STEPS)
    if EXPLAINS:
        steps.append("idle_causes")
    return [[(part.results, step) for step in steps] for part in STUDY.parts]


def chain_of_whole():
    """The steps that set the parts side by side; none for an experiment of one part."""
    if len(STUDY.parts) == 1:
        return []
    return [(STUDY.results, step) for step in STEPS_OF_WHOLE]


def choose_deployment():
    """Set the deployment of the experiment by Snakemake's options; refuse what cannot be done there."""
    if set("{}").intersection(str(cache_dir())):
        what = "Snakemake takes what stands in braces for a wildcard"
        fix = "point EVENGROUND_CACHE to a folder without braces in its path"
        raise EvengroundError(what, str(cache_dir()), fix)
    if DeploymentMethod.APPTAINER in workflow.deployment_settings.deployment_method or "containers" in sys.argv:
        config["deployment"] = "apptainer"
    if EXPLAINS and config.get("deployment") == "apptainer":
        what = "explain_idle traces native trainings only"
        raise EvengroundError(what, "in containers", "leave --use-singularity away")


def plan_study():
    """The study and the state of its source; a job gets those of its invocation, on whatever machine."""
    if not MAIN:
        return handed_on(ROOT)
    refuse_lost_links(ROOT)
    settings = dict(config)
    if PROBES:
        # The machine classes of nodes are not known before their probes: this machine stands for them.
        settings |= {"nodes": {}, "machine": "here"}
    return make_study(settings, ROOT), source_state(ROOT)


def begin():
    """What an invocation does before its first job: write the plan, pass the gate, clear up."""
    if caller():
        refuse_outside_of_dvc(ROOT, STUDY.results)
    write_study(STUDY)
    # For the page, which is made by a job of this process.
    os.environ[COMMAND] = command_of(sys.argv, ROOT)
    plans = [part.plan for part in STUDY.parts]
    # Without jobs no container is started and no GPU is used: another working copy may be training.
    starts = not WITHOUT_JOBS.intersection(sys.argv)
    launcher = launcher_of(TOLD) if TOLD and starts else None
    gate(plans, list(IMAGES.values()), launcher, refuse=not LOOKS_ONLY, starts=starts)
    if not IMAGES and any(plan.pending and plan.trains for plan in plans):
        forget_broken(STUDY.environments)
    if EXPLAINS:
        forget_broken(["explain"])
    hand_on(ROOT, (STUDY, SOURCE))
    for line in begin_again(chains_of_parts(), chain_of_whole(), STUDY.results / "complete.json"):
        logs.info(line)
    # Snakemake cannot replace a read-only file, as DVC's hard links are, nor a link that leads nowhere.
    free(ROOT / STUDY.results)
    for folder in (STUDY.results, CALIBRATIONS, Path("data/prepared")):
        drop_lost_links(ROOT / folder)


try:
    if MAIN:
        HELD = hold(ROOT, unlock="--unlock" in sys.argv)
        # Snakemake's running jobs finish first, but trainings are ended: they watch the caller, too.
        end_with(caller())
    choose_deployment()
    STUDY, SOURCE = plan_study()
    PLAN = STUDY.first
    # On a cluster each node has its own cards, also one of this machine's class, and its job chooses there.
    if not MAIN:
        hold_card(this_machine(PLAN.experiment.gpu))
    elif not CLUSTER:
        hold_card(PLAN.here)
    IMAGES = {image.environment: image for image in images(PLAN.experiment.deployment, STUDY.environments)}
    TOLD = prepare_apptainer() if IMAGES else None
    if MAIN:
        begin()
except EvengroundError as error:
    raise WorkflowError(f"error: {error}") from None

OUT = str(STUDY.results)
EXPERIMENT = f"{OUT}/experiment.json"
