"""A whole experiment: one plan for each machine class and each value of its swept parameters."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from evenground.config import SWEPT, Experiment, load_experiments
from evenground.errors import EvengroundError
from evenground.records.plan import Run
from evenground.runs.plan import (
    HERE,
    NODES,
    RESULTS,
    RUNS,
    Plan,
    classes_of_nodes,
    installed,
    make_plans,
    recorded_classes,
    refuse_foreign_training,
    write_changed,
    write_plan,
)

RECORDED = "recorded"
PARTS = "parts"


@dataclass(frozen=True)
class Part:
    """One machine class and one value of each parameter: an index or a table is of one part."""

    name: str
    """Its folder below `results`; the deployment's own if the experiment has one part only."""
    settings: Mapping[str, Any]
    """The values of the swept parameters."""
    plan: Plan

    @property
    def results(self) -> Path:
        """The folder of its index and of all that follows from it."""
        return RESULTS / self.name


@dataclass(frozen=True)
class Study:
    """The parts of an experiment, and what holds for all of them."""

    config: Mapping[str, Any]
    """The whole configuration, with its lists."""
    parts: tuple[Part, ...]

    @property
    def first(self) -> Plan:
        """Any of the plans: they have the same engines and datasets."""
        return self.parts[0].plan

    @property
    def results(self) -> Path:
        """The folder of tables, figures and report of the whole; each deployment has its own."""
        return RESULTS / self.first.experiment.deployment

    @cached_property
    def by_path(self) -> dict[Path, tuple[Part, Run]]:
        """Path of each wanted run -> its part and the run, in the order in which they are trained.

        A repetition is a block over all parts, shuffled from the seed: what changes in a machine
        with time falls on all parts alike. An experiment of one part has the order of its plan.
        """
        blocks: dict[int, list[tuple[Part, Run]]] = {}
        for part in self.parts:
            for run in part.plan.runs:
                blocks.setdefault(run.repetition, []).append((part, run))
        order_seed = self.first.experiment.order_seed
        runs = {}
        for repetition, block in sorted(blocks.items()):
            # The plan of a single part has shuffled it already.
            if len(self.parts) > 1:
                random.Random(f"{order_seed}:{repetition}").shuffle(block)
            for part, run in block:
                runs[run.path] = (part, run)
        return runs

    @cached_property
    def pending(self) -> dict[Path, int]:
        """Path of each unfinished run that can be trained now -> number of its next attempt."""
        pending = {}
        for run_path, (part, _) in self.by_path.items():
            if part.plan.trains and run_path in part.plan.pending:
                pending[run_path] = part.plan.pending[run_path]
        return pending

    @cached_property
    def ranks(self) -> dict[Path, int]:
        """Path of each wanted run -> how many are trained before it."""
        return {run_path: rank for rank, run_path in enumerate(self.by_path)}

    @property
    def warm_ups(self) -> frozenset[Path]:
        """Paths of the runs that have a warm-up before them."""
        return self._cold if self.first.experiment.warm_up_examples else frozenset()

    @property
    def cold_starts(self) -> frozenset[Path]:
        """Paths of the runs that would need a warm-up and have none."""
        return self._cold - self.warm_ups

    @cached_property
    def _cold(self) -> frozenset[Path]:
        """Paths of the runs that are the first of their engine in this invocation, or all of them.

        Each container mounts its image again, and what an earlier one read is not in memory any
        more; on a cluster each training may come to another node.
        """
        experiment = self.first.experiment
        if experiment.deployment == "apptainer" or experiment.nodes:
            return frozenset(self.pending)
        first: dict[str, Path] = {}
        for run_path in self.pending:
            _, run = self.by_path[run_path]
            first.setdefault(run.engine, run_path)
        return frozenset(first.values())

    @cached_property
    def environments(self) -> list[str]:
        """The environments of all engines on all machine classes, by name."""
        names: set[str] = set()
        for part in self.parts:
            names.update(part.plan.environments)
        return sorted(names)

    @property
    def machines(self) -> list[str]:
        """The machine classes, in order."""
        return list(dict.fromkeys(part.plan.machine for part in self.parts))

    @property
    def swept(self) -> list[str]:
        """The parameters that are lists, in the order of the configuration."""
        return list(self.parts[0].settings)

    def content(self) -> dict[str, Any]:
        """The content of `parts.json` of an experiment of several parts."""
        parts = []
        for part in self.parts:
            content = {
                "name": Path(part.name).name,
                "folder": part.results.as_posix(),
                "machine": part.plan.machine,
                "settings": dict(part.settings),
            }
            parts.append(content)
        return {
            "schema": 1,
            "deployment": self.first.experiment.deployment,
            "swept": self.swept,
            "machines": self.machines,
            "parts": parts,
        }


def make_study(config: Mapping[str, Any], root: Path, where: str = "params.yaml") -> Study:
    """Resolve a whole configuration, without missing runs of engines that are not installed here.

    `where`: the file of the configuration, for messages. Raises EvengroundError as
    `load_experiments` and `make_plan` do, and if nothing is recorded for `machine: recorded`.
    """
    points = load_experiments(config, where)
    plans = installed(_distinct(_on_machines(points, root)))
    swept = [name for name in SWEPT if isinstance(config.get(name), list)]
    lists = {name: config[name] for name in swept}
    if isinstance(config.get("machine"), list):
        lists["machine"] = config["machine"]
    by_class = len({plan.machine for plan in plans}) > 1
    parts = []
    for plan in plans:
        settings = {name: getattr(plan.experiment, name) for name in swept}
        name: str = plan.experiment.deployment
        if len(plans) > 1:
            labels = [f"{parameter}-{value}" for parameter, value in settings.items()]
            if by_class:
                labels.insert(0, plan.machine)
            name = f"{name}/{PARTS}/{'_'.join(labels)}"
        parts.append(Part(name=name, settings=settings, plan=plan))
    whole = points[0].model_dump(mode="json") | lists
    return Study(config=whole, parts=tuple(parts))


def _on_machines(points: Sequence[Experiment], root: Path) -> list[Plan]:
    """A plan for each point on each machine class that its `machine` stands for."""
    values = []
    resolved = []
    for value in dict.fromkeys(point.machine for point in points):
        same = [point for point in points if point.machine == value]
        for machine in _classes(same[0], root):
            values += [value] * len(same)
            resolved += [point.model_copy(update={"machine": machine}) for point in same]
    plans = []
    is_recorded = False
    for value, plan in zip(values, make_plans(resolved, root), strict=True):
        if value == RECORDED:
            # Other experiments are recorded, too: a class without a run of this one is left out.
            if len(plan.pending) == len(plan.runs):
                continue
            is_recorded = True
        plans.append(plan)
    if RECORDED in values and not is_recorded:
        raise EvengroundError(
            "no run of this experiment is recorded, of any machine class",
            str(root / RUNS),
            "set machine: here to train, or copy recorded runs there",
        )
    for plan in plans:
        refuse_foreign_training(plan)
    return plans


def _classes(point: Experiment, root: Path) -> list[str]:
    """The machine classes that `machine` stands for; `here` stays, unless there are `nodes`."""
    if point.machine == RECORDED:
        # Without any record `here` stands in for them, and is found to have no run.
        return recorded_classes(root) or [HERE]
    if point.machine != HERE or not point.nodes:
        return [point.machine]
    for kind in point.nodes:
        if not (root / NODES / f"{kind}.json").is_file():
            raise EvengroundError(
                f"machine class of node kind '{kind}' is unknown",
                f"no {NODES}/{kind}.json",
                "probe it: the same command with the target `nodes`, once",
            )
    return list(classes_of_nodes(point, root))


def _distinct(plans: Iterable[Plan]) -> list[Plan]:
    """Each plan once: `here` and the name of its class are the same machine."""
    distinct: dict[str, Plan] = {}
    for plan in plans:
        same = plan.experiment.model_copy(update={"machine": plan.machine})
        distinct.setdefault(same.model_dump_json(), plan)
    return list(distinct.values())


def write_study(study: Study) -> None:
    """Write the plans of the parts, and the list of several parts; only what differs."""
    root = study.first.root
    # DVC requires the folder, which is one of its outputs.
    (root / study.results / PARTS).mkdir(parents=True, exist_ok=True)
    for part in study.parts:
        write_plan(part.plan, part.results)
    listed = root / study.results / "parts.json"
    if len(study.parts) > 1:
        write_changed(root / study.results / "experiment.json", study.config)
        write_changed(listed, study.content())
    else:
        # Left by an earlier experiment of several parts.
        listed.unlink(missing_ok=True)
