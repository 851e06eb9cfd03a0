"""A whole experiment: one plan for each machine class and each value of its swept parameters."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from evenground.config import SWEPT, Experiment, load_experiments
from evenground.errors import EvengroundError
from evenground.runs.keys import SCHEMA
from evenground.runs.plan import (
    HERE,
    NODES,
    RESULTS,
    RUNS,
    Plan,
    Run,
    classes_of_nodes,
    installed,
    make_plans,
    refuse_foreign_training,
    write_changed,
    write_plan,
)

RECORDED = "recorded"
PARTS = "parts"


@dataclass(frozen=True)
class Part:
    """One machine class and one value of each parameter: all that an index, a table or a figure speaks of."""

    name: str
    """Its folder below `results`: the deployment's own where the experiment has one part only."""
    settings: Mapping[str, Any]
    """The values of the swept parameters."""
    plan: Plan

    @property
    def results(self) -> Path:
        """Where its index and all that follows from it stand."""
        return RESULTS / self.name


@dataclass(frozen=True)
class Study:
    """The parts of an experiment, and what holds over all of them."""

    given: Mapping[str, Any]
    """The whole configuration, lists as they were given."""
    parts: tuple[Part, ...]

    @property
    def first(self) -> Plan:
        """Any of the plans: they have the same engines and datasets."""
        return self.parts[0].plan

    @property
    def results(self) -> Path:
        """Where tables, figures and the report of the whole stand: each deployment has its own."""
        return RESULTS / self.first.experiment.deployment

    @cached_property
    def by_name(self) -> dict[str, Part]:
        """Name -> part."""
        return {part.name: part for part in self.parts}

    @cached_property
    def by_path(self) -> dict[Path, tuple[Part, Run]]:
        """Place of each wanted run -> its part and the run, in the order in which they are trained.

        A repetition is a block over all parts, shuffled from the seed: what changes in a machine with time
        falls on all parts alike. An experiment of one part has the order of its plan.
        """
        if len(self.parts) == 1:
            return {run.path: (self.parts[0], run) for run in self.first.runs}
        blocks: dict[int, list[tuple[Part, Run]]] = {}
        for part in self.parts:
            for run in part.plan.runs:
                blocks.setdefault(run.repetition, []).append((part, run))
        order_seed = self.first.experiment.order_seed
        for repetition, block in blocks.items():
            random.Random(f"{order_seed}:{repetition}").shuffle(block)
        return {run.path: (part, run) for _, block in sorted(blocks.items()) for part, run in block}

    @cached_property
    def pending(self) -> dict[Path, int]:
        """Place of each unfinished run that can be trained in this invocation -> number of its next attempt."""
        return {
            run_path: part.plan.pending[run_path]
            for run_path, (part, _) in self.by_path.items()
            if part.plan.trains and run_path in part.plan.pending
        }

    @cached_property
    def ranks(self) -> dict[Path, int]:
        """Place of each wanted run -> how many are trained before it."""
        return {run_path: rank for rank, run_path in enumerate(self.by_path)}

    @property
    def warm_ups(self) -> frozenset[Path]:
        """Places of the runs that have a warm-up before them."""
        return self._cold if self.first.experiment.warm_up_examples else frozenset()

    @property
    def cold_starts(self) -> frozenset[Path]:
        """Places of the runs that lack one."""
        return self._cold - self.warm_ups

    @cached_property
    def _cold(self) -> frozenset[Path]:
        """Places of the runs that are the first of their engine in this invocation; of all where each starts cold.

        Each container mounts its image anew, and what an earlier one read is not in memory any more; on a
        cluster each training may come to another node.
        """
        given = self.first.experiment
        if given.deployment == "apptainer" or given.nodes:
            return frozenset(self.pending)
        first: dict[str, Path] = {}
        for run_path in self.pending:
            first.setdefault(self.by_path[run_path][1].engine, run_path)
        return frozenset(first.values())

    @cached_property
    def environments(self) -> list[str]:
        """The environments of all engines on all machine classes, by name."""
        return sorted({name for plan in self._by_class.values() for name in plan.environments})

    @cached_property
    def _by_class(self) -> dict[str, Plan]:
        return {part.plan.machine: part.plan for part in self.parts}

    @property
    def machines(self) -> list[str]:
        """The machine classes, in order."""
        return list(self._by_class)

    @property
    def swept(self) -> list[str]:
        """The parameters that are lists, in the order of the configuration."""
        return [name for name in SWEPT if name in self.parts[0].settings]

    def content(self) -> dict[str, Any]:
        """What `parts.json` says of an experiment of several parts."""
        parts = [
            {
                "name": Path(part.name).name,
                "folder": part.results.as_posix(),
                "machine": part.plan.machine,
                "settings": dict(part.settings),
            }
            for part in self.parts
        ]
        about = {"deployment": self.first.experiment.deployment, "swept": self.swept}
        return {"schema": SCHEMA, **about, "machines": self.machines, "parts": parts}


def make_study(
    given: Mapping[str, Any], root: Path, where: str = "params.yaml", check: bool = True
) -> Study:
    """Resolve a whole configuration; EvengroundError as by `load_experiments` and `make_plan`.

    `check` asks engines whether they are installed here, as `make_plan` does.
    """
    points = load_experiments(given, where)
    plans = list(_without_twins(_on_machines(points, root)))
    if check:
        plans = installed(plans)
    names = [name for name in SWEPT if isinstance(given.get(name), list)]
    classes = len({plan.machine for plan in plans})
    parts = tuple(_part(plan, names, classes > 1, len(plans) > 1) for plan in plans)
    lists = {name: given[name] for name in (*names, "machine") if isinstance(given.get(name), list)}
    return Study({**points[0].model_dump(mode="json"), **lists}, parts)


def _on_machines(points: Sequence[Experiment], root: Path) -> Iterator[Plan]:
    """A plan for each point on each machine class that it stands for."""
    asked: list[tuple[str, Experiment]] = []
    for word in dict.fromkeys(point.machine for point in points):
        mine = [point for point in points if point.machine == word]
        classes = _classes(mine[0], root)
        asked += [(word, p.model_copy(update={"machine": one})) for one in classes for p in mine]
    words, plans = [word for word, _ in asked], make_plans([point for _, point in asked], root)
    kept = [
        (word, plan)
        for word, plan in zip(words, plans, strict=True)
        if word != RECORDED or _has_run(plan)
    ]
    if RECORDED in words and RECORDED not in {word for word, _ in kept}:
        raise EvengroundError(
            "no run of this experiment is recorded, of any machine class",
            str(root / RUNS),
            "set machine: here to train, or copy recorded runs there",
        )
    for _, plan in kept:
        refuse_foreign_training(plan)
        yield plan


def _has_run(plan: Plan) -> bool:
    return len(plan.pending) < len(plan.runs)


def _classes(point: Experiment, root: Path) -> list[str]:
    """The machine classes that the word in `machine` stands for; `here` stays, it is this machine's own."""
    if point.machine == RECORDED:
        return sorted(path.name for path in (root / RUNS).glob("*") if path.is_dir()) or [HERE]
    if point.machine != HERE or not point.nodes:
        return [point.machine]
    for kind in point.nodes:
        if not (root / NODES / f"{kind}.json").is_file():
            raise EvengroundError(
                f"of what class nodes of the kind '{kind}' are is not known yet",
                f"no {NODES}/{kind}.json",
                "ask one: the same call with the target `nodes`, once",
            )
    return list(classes_of_nodes(point, root))


def _without_twins(plans: Iterator[Plan]) -> Iterator[Plan]:
    """Each once: `here` and its class, or two words for one, are the same."""
    seen = set()
    for plan in plans:
        known = plan.experiment.model_copy(update={"machine": plan.machine}).model_dump_json()
        if known not in seen:
            seen.add(known)
            yield plan


def _part(plan: Plan, swept: Sequence[str], by_class: bool, several: bool) -> Part:
    settings = {name: getattr(plan.experiment, name) for name in swept}
    if not several:
        return Part(plan.experiment.deployment, settings, plan)
    words = [
        *([plan.machine] if by_class else []),
        *(f"{name}-{value}" for name, value in settings.items()),
    ]
    name = f"{plan.experiment.deployment}/{PARTS}/{'_'.join(words)}"
    return Part(name, settings, plan)


def write_study(study: Study) -> None:
    """Write what each part and the whole want, where it differs."""
    root = study.first.root
    # One of DVC's outputs, which must be there.
    (root / study.results / PARTS).mkdir(parents=True, exist_ok=True)
    for part in study.parts:
        write_plan(part.plan, part.results)
    listed = root / study.results / "parts.json"
    if len(study.parts) > 1:
        write_changed(root / study.results / "experiment.json", study.given)
        write_changed(listed, study.content())
    else:
        listed.unlink(missing_ok=True)
