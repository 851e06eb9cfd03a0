"""What an invocation does before there is any rule: plan, pass the gate, clear up."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from evenground import logs
from evenground.config import load_experiment
from evenground.containers.apptainer import Told, prepare_environ, refuse, with_always
from evenground.containers.build import images
from evenground.containers.images import Image
from evenground.containers.launcher import Launcher
from evenground.environments.build import forget_broken
from evenground.environments.cache import cache_dir
from evenground.environments.site_settings import steers_python, steers_shell
from evenground.errors import EvengroundError
from evenground.files import drop_lost_links, free
from evenground.invocation import caller, end_with, hand_on, handed_on, hold
from evenground.made import STEPS, begin_again, record_of
from evenground.preflight.gate import gate
from evenground.records.dataset import PREPARED_DATA
from evenground.runs.links import (
    folders_elsewhere,
    outside_of,
    refuse_lost_links,
    refuse_outside_of_dvc,
)
from evenground.runs.lost import record_lost
from evenground.runs.machine import hold as hold_card
from evenground.runs.machine import this_machine
from evenground.runs.plan import CALIBRATIONS, CONTACT_SHEETS
from evenground.runs.record import source_state
from evenground.runs.repeat import COMMAND, command_of
from evenground.runs.study import Study, make_study, write_study
from evenground.surroundings.mounts import mounted_below
from evenground.workflow.planned import Planned, plan_jobs

# Invocations that only print something, or only free the folder.
WITHOUT_JOBS = {"-n", "--dry-run", "--dryrun", "--unlock", "-l", "--list-rules", "--list", "-S"}
WITHOUT_JOBS |= {"--summary", "-D", "--detailed-summary", "--dag", "--rulegraph", "--filegraph"}
# The step that makes the table of extra trainings.
EXPLAINING = "idle_causes"
# Targets that look at machines and change nothing else.
LOOKS_ONLY = {"preflight", "nodes"}


@dataclass(frozen=True)
class Call:
    """How Snakemake was called; in a job's process also by the invocation that it belongs to."""

    root: Path
    config: Mapping[str, Any]
    args: Sequence[str]
    """Its command line. Snakemake knows its targets only after it has read the rules."""
    is_main: bool
    """Whether this is the invocation itself, or else one of its jobs, maybe on another machine."""
    is_on_cluster: bool
    uses_containers: bool
    apptainer_args: str
    bound: Sequence[str]
    """Folders of Snakemake's own that Apptainer binds."""
    launcher_of: Callable[[Told], Launcher]
    environ: MutableMapping[str, str] = field(default_factory=lambda: os.environ)

    @property
    def explains(self) -> bool:
        """Whether extra trainings are made to explain idle time."""
        return "explain_idle" in self.args

    @property
    def probes(self) -> bool:
        """Whether a cluster's kinds of node are looked at."""
        return "nodes" in self.args

    @property
    def only_looks(self) -> bool:
        """Whether nothing but machines is looked at."""
        return bool(LOOKS_ONLY.intersection(self.args))

    @property
    def starts_jobs(self) -> bool:
        """Whether jobs may follow. Without any no container is started and no GPU is used."""
        return not WITHOUT_JOBS.intersection(self.args)

    @cached_property
    def settings(self) -> dict[str, Any]:
        """The configuration, with the deployment that Snakemake's own options choose."""
        settings = dict(self.config)
        if self.uses_containers or "containers" in self.args:
            settings["deployment"] = "apptainer"
        return settings


@dataclass(frozen=True)
class Begun:
    """An invocation that has begun, or a job of it."""

    planned: Planned
    told: Told | None
    """What Apptainer gets in addition to image and command; None natively."""
    study: Study | None = None
    """Only the invocation itself has it."""
    held: Any = None
    """The lock of the working copy, held for as long as this object lives."""
    only_looks: bool = False

    @property
    def told_text(self) -> str:
        """The same as text, for a script's command line; empty natively."""
        return self.told.text() if self.told else ""

    @property
    def records(self) -> list[str]:
        """The records that the steps of the whole invocation leave."""
        if self.study is None:
            return []
        return [str(record_of(self.study.results, step)) for step in STEPS]

    def record_lost(self) -> None:
        """Record what became of trainings that an earlier invocation lost."""
        if self.study is None or self.only_looks:
            return
        unfinished = [path for plan in self.study.plans for path in plan.pending]
        for message in record_lost(self.study.first.root, unfinished):
            logs.warning(message)


def begin(call: Call) -> Begun:
    """Begin an invocation, or a job of one; raises EvengroundError for whatever prevents it."""
    drop_settings(call.environ)
    _refuse(call)
    if not call.is_main:
        return _begin_job(call)
    held = hold(call.root, unlock="--unlock" in call.args)
    # Snakemake's running jobs finish first, but trainings are ended: they watch the caller, too.
    end_with(caller())
    refuse_lost_links(call.root)
    study = make_study(_planned(call), call.root)
    if call.explains and not any(plan.trains for plan in study.plans):
        machine = study.first.machine
        what = "explain_idle makes trainings, and none is made here"
        raise EvengroundError(what, f"'{machine}' is another machine", "set machine: here")
    # On a cluster each node has its own cards, also one of this machine's class.
    if not call.is_on_cluster:
        hold_card(study.first.here, call.environ)
    built = images(study.first.experiment.deployment, study.environments)
    given = plan_jobs(
        study=study,
        # The target `nodes` probes machine classes, so its plan knows no kinds.
        nodes=load_experiment({"nodes": call.settings.get("nodes", {})}).nodes,
        source=source_state(call.root),
        images=built,
        ours=_ours(study, call.root) if built else [],
        mounted=mounted_below(call.root.resolve()) if built else [],
    )
    told = _tell_apptainer(call, given)
    _begin_jobs(call, study, built, told)
    hand_on(call.root, given)
    return Begun(planned=given, told=told, study=study, held=held, only_looks=call.only_looks)


def drop_settings(environ: MutableMapping[str, str]) -> None:
    """Remove settings for the caller's Python and shell: no step and no engine gets them."""
    for name in list(environ):
        if steers_python(name) or steers_shell(name):
            del environ[name]


def _refuse(call: Call) -> None:
    """Raise EvengroundError for what cannot be done as it was called."""
    if set("{}").intersection(str(cache_dir())):
        what = "Snakemake takes what stands in braces for a wildcard"
        fix = "point EVENGROUND_CACHE to a folder without braces in its path"
        raise EvengroundError(what, str(cache_dir()), fix)
    if not call.explains:
        return
    if call.settings.get("deployment") == "apptainer":
        what = "explain_idle traces native trainings only"
        raise EvengroundError(what, "in containers", "leave --use-singularity away")
    if call.is_on_cluster:
        what = "explain_idle traces trainings on this machine only"
        fix = "leave --executor and --jobs away: snakemake --cores all explain_idle"
        raise EvengroundError(what, "on a cluster", fix)


def _begin_job(call: Call) -> Begun:
    """What a job on another machine does: it gets all that its invocation has planned."""
    given = Planned.read(handed_on(call.root))
    hold_card(this_machine(given.gpu), call.environ)
    return Begun(planned=given, told=_tell_apptainer(call, given))


def _planned(call: Call) -> dict[str, Any]:
    """The configuration to plan."""
    if not call.probes:
        return call.settings
    # The machine classes of nodes are not known before their probes: this machine stands for them.
    return call.settings | {"nodes": {}, "machine": "here"}


def _ours(study: Study, root: Path) -> list[str]:
    """What lies outside the working copy and is bound in containers."""
    sources = [path for engine in study.first.engines for path in engine.sources(root)]
    return sorted({*outside_of(root, sources), *folders_elsewhere(root)})


def _tell_apptainer(call: Call, given: Planned) -> Told | None:
    """Let Apptainer bind all that lies outside the working copy, and obey no variable of a site's.

    Snakemake gives its jobs the environment and the arguments as they are after this.
    """
    if not given.images:
        return None
    arguments = with_always(call.apptainer_args)
    refuse(arguments, str(call.root))
    prepare_environ(call.environ, given.ours, str(call.root))
    return Told(
        arguments=arguments,
        bound=list(call.bound),
        ours=list(given.ours),
        mounted=list(given.mounted),
    )


def _begin_jobs(call: Call, study: Study, built: Sequence[Image], told: Told | None) -> None:
    """Write the plan, pass the gate, and clear up what would stop jobs."""
    root = call.root
    if caller():
        refuse_outside_of_dvc(root, study.results)
    write_study(study)
    # For the page, which is made by a job of this process.
    call.environ[COMMAND] = command_of(call.args, root)
    launcher = call.launcher_of(told) if told and call.starts_jobs else None
    plans = study.plans
    gate(plans, built, launcher, refuse=not call.only_looks, starts=call.starts_jobs)
    # Who only looks changes nothing.
    if call.only_looks:
        return
    if not built and any(plan.pending and plan.trains for plan in plans):
        forget_broken(study.environments)
    if call.explains:
        forget_broken(["explain"])
    chains = [STEPS]
    if call.explains:
        chains.append((EXPLAINING,))
    for line in begin_again(study.results, chains, study.results / "complete.json"):
        logs.info(line)
    # Snakemake cannot replace a read-only file, as DVC's hard links are, nor a link that leads
    # nowhere.
    free(root / study.results)
    for folder in (study.results, CALIBRATIONS, CONTACT_SHEETS, PREPARED_DATA):
        drop_lost_links(root / folder)
