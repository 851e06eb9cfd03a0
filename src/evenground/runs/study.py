"""An experiment: a plan for each condition, one machine class and one value of each parameter."""

from __future__ import annotations

import random
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from evenground.config import SWEPT, Experiment, load_experiments
from evenground.errors import EvengroundError
from evenground.files import json_text, write_json
from evenground.records.plan import PLAN, PlanFile, Run, names_of
from evenground.records.spec import spec_file
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
)

RECORDED = "recorded"


@dataclass(frozen=True)
class Condition:
    """One machine class and one value of each swept parameter, planned."""

    name: str
    """What tells it from the others; empty for a single one."""
    values: Mapping[str, Any]
    """The values of the swept parameters."""
    plan: Plan


@dataclass(frozen=True)
class Study:
    """The conditions of an experiment, and what holds for all of them."""

    config: Mapping[str, Any]
    """The whole configuration, with its lists."""
    conditions: tuple[Condition, ...]

    @property
    def first(self) -> Plan:
        """Any of the plans: they have the same engines and datasets."""
        return self.conditions[0].plan

    @property
    def plans(self) -> list[Plan]:
        """The plans of all conditions."""
        return [condition.plan for condition in self.conditions]

    @property
    def results(self) -> Path:
        """The folder of index, tables, figures and report; each deployment has its own."""
        return RESULTS / self.first.experiment.deployment

    @cached_property
    def by_path(self) -> dict[Path, tuple[Condition, Run]]:
        """Path of each wanted run -> its condition and the run, in the order of training."""
        pairs = [(each, run) for each in self.conditions for run in each.plan.runs]
        pairs.sort(key=lambda pair: pair[1].order)
        return {run.path: (each, run) for each, run in pairs}

    @cached_property
    def pending(self) -> dict[Path, int]:
        """Path of each unfinished run that can be trained now -> number of its next attempt."""
        pending = {}
        for run_path, (condition, _) in self.by_path.items():
            plan = condition.plan
            if plan.trains and run_path in plan.pending:
                pending[run_path] = plan.pending[run_path]
        return pending

    @cached_property
    def cold(self) -> frozenset[Path]:
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
        for plan in self.plans:
            names.update(plan.environments)
        return sorted(names)

    def record(self) -> PlanFile:
        """What is written to `plan.json`: all that the index and all after it depend on.

        Raises EvengroundError for text that no table could show.
        """
        first = self.first
        sheets = {name: first.contact_sheet(name).as_posix() for name in first.datasets}
        sources: dict[str, tuple[str, ...]] = {}
        for plan in self.plans:
            for engine in plan.engines:
                sources[engine.name] = tuple(map(str, engine.sources(Path())))
        return PlanFile(
            swept=tuple(self.conditions[0].values),
            conditions=tuple(each.plan.record(each.values) for each in self.conditions),
            contact_sheets=sheets,
            sources=sources,
            written_unix_ns=time.time_ns(),
        )


def make_study(config: Mapping[str, Any], root: Path, where: str = "params.yaml") -> Study:
    """Resolve a whole configuration, without missing runs of engines that are not installed here.

    `where`: the file of the configuration, for messages. Raises EvengroundError as
    `load_experiments` and `make_plans` do, and if nothing is recorded for `machine: recorded`.
    """
    points = load_experiments(config, where)
    # In order first: a run has the same number with and without an engine.
    plans = installed(_in_order(_distinct(_on_machines(points, root))))
    swept = [name for name in SWEPT if isinstance(config.get(name), list)]
    lists = {name: config[name] for name in swept}
    if isinstance(config.get("machine"), list):
        lists["machine"] = config["machine"]
    values = [{name: getattr(plan.experiment, name) for name in swept} for plan in plans]
    classes = [plan.machine for plan in plans]
    names = names_of(list(zip(classes, values, strict=True)))
    conditions = []
    for name, of_plan, plan in zip(names, values, plans, strict=True):
        conditions.append(Condition(name=name, values=of_plan, plan=plan))
    whole = points[0].model_dump(mode="json") | lists
    return Study(config=whole, conditions=tuple(conditions))


def _in_order(plans: Sequence[Plan]) -> list[Plan]:
    """The plans with their runs in the order of the whole experiment.

    A repetition is a block over all conditions, shuffled from the seed: what changes in a machine
    with time falls on all of them alike.
    """
    # The plan of a single condition has shuffled its runs already.
    if len(plans) == 1:
        return list(plans)
    blocks: dict[int, list[Path]] = {}
    for plan in plans:
        for run in plan.runs:
            blocks.setdefault(run.repetition, []).append(run.path)
    orders: dict[Path, int] = {}
    for repetition, block in sorted(blocks.items()):
        random.Random(f"{plans[0].experiment.order_seed}:{repetition}").shuffle(block)
        for run_path in block:
            orders[run_path] = len(orders) + 1
    return [_with_orders(plan, orders) for plan in plans]


def _with_orders(plan: Plan, orders: Mapping[Path, int]) -> Plan:
    runs = [run.model_copy(update={"order": orders[run.path]}) for run in plan.runs]
    return replace(plan, runs=tuple(sorted(runs, key=lambda run: run.order)))


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
    """Write the plan, the configuration and the specifications; only what differs.

    Snakemake takes a file rewritten with the same bytes for unchanged, and then does not make the
    missing inputs of an unchanged index. So the plan has the time when it was written, which alone
    is no difference.
    """
    root = study.first.root
    record = study.record()
    path = root / study.results / PLAN
    if any(plan.pending for plan in study.plans) or _differs(record, path):
        record.write(path)
    write_changed(root / study.results / "experiment.json", study.config)
    for plan in study.plans:
        for key, spec in plan.specs.items():
            write_changed(root / spec_file(key), spec.content())


def _differs(record: PlanFile, path: Path) -> bool:
    """Whether the last plan has other content, not counting its time; a broken one has."""
    try:
        before = PlanFile.read(path)
    except EvengroundError:
        return True
    return record != before.model_copy(update={"written_unix_ns": record.written_unix_ns})


def write_changed(path: Path, content: Any) -> None:
    """Write JSON only if it differs, so that nothing is made again because of it."""
    if not path.is_file() or path.read_bytes() != json_text(content).encode():
        write_json(path, content)
