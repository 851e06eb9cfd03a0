"""The plan: which runs an experiment wants, in which order, under which key; which are missing."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from evenground.config import Experiment
from evenground.containers.images import CUDA
from evenground.datasets.registry import DatasetEntry, find_dataset, load_registry
from evenground.engines import Engine, load_engines
from evenground.errors import EvengroundError
from evenground.records import plan as records
from evenground.records.dataset import prepared_folder
from evenground.records.gpus import Accelerator
from evenground.records.manifest import MANIFEST
from evenground.records.node import Node
from evenground.records.outcome import MARK, OUTCOME
from evenground.records.plan import (
    Absent,
    Dataset,
    Parameters,
    PlannedCondition,
    Report,
    Run,
)
from evenground.records.spec import Specification
from evenground.runs.installed import failed_checks, newest_pythons, too_new_for
from evenground.runs.keys import Code, specification
from evenground.runs.machine import Machine, this_machine
from evenground.validation import first_fault, has_gpu

HERE = "here"
RESULTS = Path("results")
RUNS, ATTEMPTS = RESULTS / "runs", RESULTS / "attempts"
ASIDE = RESULTS / "aside"
CALIBRATIONS, NODES = RESULTS / "calibration", RESULTS / "nodes"
CONTACT_SHEETS = RESULTS / "contact_sheets"
REGISTRY = Path("data/registry.yaml")


@dataclass(frozen=True)
class LeftOut:
    """An engine that is not installed on this machine; its missing runs are not wanted."""

    name: str
    label: str
    reason: str
    runs: int
    """How many runs are not wanted."""


@dataclass(frozen=True)
class Plan:
    """One value of each parameter on one machine class, resolved against registry and engines."""

    experiment: Experiment
    code: Code = field(compare=False)
    machine: str
    """The class of machine of all its runs."""
    here: Machine
    trains: bool
    """Whether this invocation trains on that class of machine; if not, its runs are only drawn."""
    description: str
    engines: tuple[Engine, ...]
    datasets: Mapping[str, DatasetEntry]
    runs: tuple[Run, ...] = ()
    specs: Mapping[str, Specification] = field(default_factory=dict, compare=False)
    """Key -> specification of the runs that have it."""
    left_out: tuple[LeftOut, ...] = ()

    @property
    def root(self) -> Path:
        """The working copy."""
        return self.code.root

    @property
    def absent(self) -> list[LeftOut]:
        """The engines left out that have no recorded run either."""
        present = {engine.name for engine in self.engines}
        return [engine for engine in self.left_out if engine.name not in present]

    @property
    def asks(self) -> bool:
        """Whether engines are checked for being installed; an image has what its engine needs."""
        here = self.machine == self.here.name
        return here and self.trains and self.experiment.deployment == "native"

    @cached_property
    def pending(self) -> dict[Path, int]:
        """Path of each wanted run that is not finished -> number of its next attempt, in order."""
        return {
            run.path: next_attempt(self.root, run.path)
            for run in self.runs
            if not (self.root / RUNS / run.path / MANIFEST).is_file()
        }

    def engine(self, name: str) -> Engine:
        """The engine of that name."""
        return next(engine for engine in self.engines if engine.name == name)

    @property
    def accelerator(self) -> Accelerator:
        """Where engines compute that can compute on a GPU."""
        if self.experiment.accelerator != "auto":
            return self.experiment.accelerator
        return "cuda" if has_gpu(self.machine) else "cpu"

    def accelerator_of(self, engine: Engine) -> Accelerator:
        """Where this engine computes. It is passed to the engine, which must not choose."""
        return "cpu" if engine.has_no_gpu else self.accelerator

    def environment(self, engine: Engine) -> str | None:
        """Name of the engine's lock: its CUDA variant, if there is one, to compute on a GPU."""
        name = engine.file.environment
        if name and self.accelerator_of(engine) == "cuda":
            variant = f"{name}{CUDA}"
            if (self.root / "envs" / f"{variant}.txt").is_file():
                return variant
        return name

    def spec(self, dataset: str, engine: Engine) -> Specification:
        """The specification of an engine's runs on a dataset."""
        return specification(
            experiment=self.experiment,
            dataset=self.datasets[dataset],
            engine=engine,
            accelerator=self.accelerator_of(engine),
            lock=self.environment(engine),
            code=self.code,
        )

    @property
    def environments(self) -> list[str]:
        """The environments of all engines, by name; an engine in another language may have none."""
        names = {self.environment(engine) for engine in self.engines}
        return sorted(name for name in names if name)

    def prepared(self, dataset: str) -> Path:
        """Folder of the prepared arrays, named by what decides them."""
        return prepared_folder(dataset, self.code.prepared(self.datasets[dataset]))

    def contact_sheet(self, dataset: str) -> Path:
        """File with the few examples that a figure shows, named like their prepared arrays."""
        return CONTACT_SHEETS / f"{dataset}-{self.prepared(dataset).name}.json"

    def raw(self, dataset: str) -> Path:
        """Folder of the files as fetched, named by their checksums."""
        return Path("data/raw", dataset, self.datasets[dataset].fingerprint())

    @cached_property
    def calibration(self) -> Path:
        """The file of the sampler's calibration on this class of machine and in this deployment."""
        return calibration_file(self.code, self.machine, self.experiment.deployment)

    @property
    def design(self) -> Literal["blocks", "independent"]:
        """Whether a repetition is a block of one machine: a cluster has several nodes."""
        return "independent" if self.experiment.nodes else "blocks"

    def record(self, values: Mapping[str, Any]) -> PlannedCondition:
        """What a plan's file says of it; `values`: those of the swept parameters.

        Raises EvengroundError for text that no table could show.
        """
        absent = [Absent.model_validate(engine, from_attributes=True) for engine in self.absent]
        try:
            return PlannedCondition(
                machine=records.Machine(class_name=self.machine, description=self.description),
                deployment=self.experiment.deployment,
                values=dict(values),
                report=self._report(),
                parameters=self._parameters(),
                engines=tuple(self._engine(engine) for engine in self.engines),
                absent=tuple(absent),
                datasets=tuple(self._dataset(name) for name in self.datasets),
                calibration=self.calibration.as_posix(),
                runs=self.runs,
            )
        except ValidationError as error:
            fix = "correct it in the configuration, engine.yaml or the registry"
            raise EvengroundError(
                f"not to be recorded: {first_fault(error)}", "plan", fix
            ) from None

    def _report(self) -> Report:
        looks = self.experiment.looks
        return Report(
            grid_s=self.experiment.grid_s,
            stand_ins=self.experiment.stand_ins,
            looks=looks if isinstance(looks, str) else tuple(looks),
            design=self.design,
        )

    def _parameters(self) -> Parameters:
        shown = self.experiment.model_dump(include=set(Parameters.model_fields))
        return Parameters.model_validate(shown | {"accelerator": self.accelerator})

    def _engine(self, engine: Engine) -> records.Engine:
        return records.Engine(
            name=engine.name,
            label=engine.label,
            colour=engine.colour,
            arm_of=engine.arm_of,
            train_limit=engine.train_limit,
            options=engine.changed,
            environment=self.environment(engine),
            wait_policy=engine.file.wait_policy,
        )

    def _dataset(self, name: str) -> Dataset:
        entry = self.datasets[name]
        return Dataset(
            name=name,
            title=entry.title,
            network=entry.network,
            train_examples=entry.train_examples,
            prepared=self.prepared(name).as_posix(),
        )


def calibration_file(code: Code, machine: str, deployment: str = "native") -> Path:
    """Path of a calibration in a working copy: one per machine class, version and deployment.

    A container may be refused what the machine itself grants the sampler (a cgroup, a real-time
    priority).
    """
    name = code.calibration()[:12]
    if deployment != "native":
        name = f"{name}-{deployment}"
    return CALIBRATIONS / machine / f"{name}.json"


def next_attempt(root: Path, run_path: Path) -> int:
    """One more than the number of the run's last attempt that began or has an outcome."""
    last = 0
    for file in (root / ATTEMPTS / run_path).glob("*/*.json"):
        if file.name in (MARK, OUTCOME):
            last = max(last, int(file.parent.name))
    return last + 1


def make_plans(experiments: Sequence[Experiment], root: Path) -> list[Plan]:
    """Resolve points of one experiment, which differ in swept parameters and the machine only.

    The runs of engines that may not be installed are there. Raises EvengroundError for an unknown
    dataset, engine or machine.
    """
    first = experiments[0]
    code = Code(root)
    registry = load_registry(root / REGISTRY, first.registry)
    datasets = {name: find_dataset(registry, name) for name in first.datasets}
    engines = tuple(load_engines(first.engines, root))
    here = this_machine(first.gpu)
    # Class -> description, of the machines that trainings come to.
    trainable = {here.name: here.description}
    if first.nodes:
        trainable = classes_of_nodes(first, root)
    plans = []
    for experiment in experiments:
        machine = experiment.machine
        if machine == HERE:
            machine = here.name
        plan = Plan(
            experiment=experiment,
            code=code,
            machine=machine,
            here=here,
            trains=machine in trainable,
            description=trainable.get(machine, machine),
            engines=engines,
            datasets=datasets,
        )
        _refuse_no_gpu_of_its_own(plan)
        _refuse_no_step(plan)
        plans.append(_with_runs(plan))
    return plans


def classes_of_nodes(experiment: Experiment, root: Path) -> dict[str, str]:
    """Machine class -> description, of the cluster's kinds of node that were probed."""
    classes = {}
    for kind in experiment.nodes:
        file = root / NODES / f"{kind}.json"
        if file.is_file():
            node = Node.read(file)
            classes[node.class_name] = node.description
    return classes


def installed(plans: Sequence[Plan]) -> list[Plan]:
    """The plans without the missing runs of engines that are not installed here.

    The order of the others stays: a run has the same number with and without an engine. Raises
    EvengroundError if no engine is left.
    """
    why = _not_installed(plans)
    return [_without(plan, why) if plan.asks and why else plan for plan in plans]


def _not_installed(plans: Sequence[Plan]) -> dict[str, str]:
    """Engine -> why it cannot train here. Checked once, and only if runs of it are missing."""
    root = plans[0].root
    newest = newest_pythons(root)
    why = {}
    checked: dict[str, tuple[Engine, Accelerator]] = {}
    for plan in plans:
        # Plans of another class of machine may compute elsewhere.
        if not plan.asks:
            continue
        missing = {run.engine for run in plan.runs if run.path in plan.pending}
        for engine in plan.engines:
            if engine.name not in missing:
                continue
            too_new = too_new_for(newest.get(plan.environment(engine) or ""))
            if too_new:
                why[engine.name] = too_new
            else:
                checked[engine.name] = (engine, plan.accelerator_of(engine))
    chosen = plans[0].here.choice.chosen
    card = chosen.uuid if chosen else None
    return why | failed_checks(checked.values(), root, card)


def _without(plan: Plan, why: Mapping[str, str]) -> Plan:
    """The plan without the missing runs of the engines in `why`, nor engines left with no run."""
    kept = [run for run in plan.runs if run.engine not in why or run.path not in plan.pending]
    gone = set(why) - {run.engine for run in kept}
    reasons = dict(why)
    for arm in plan.engines:
        # An arm is only compared with its engine, and left out with it.
        if arm.arm_of and arm.arm_of in gone:
            gone.add(arm.name)
            reasons.setdefault(arm.name, why[arm.arm_of])
    engines = tuple(engine for engine in plan.engines if engine.name not in gone)
    if not engines:
        name, reason = next(iter(why.items()))
        raise EvengroundError(
            "no engine of the experiment is installed on this machine",
            f"{name}: {reason}",
            "fix that, or add to `engines` one that is installed",
        )
    kept = [run for run in kept if run.engine not in gone]
    lost = Counter(run.engine for run in plan.runs) - Counter(run.engine for run in kept)
    left_out = tuple(
        LeftOut(name=e.name, label=e.label, reason=reasons[e.name], runs=lost[e.name])
        for e in plan.engines
        if e.name in reasons
    )
    return replace(plan, engines=engines, runs=tuple(kept), left_out=left_out)


def _with_runs(plan: Plan) -> Plan:
    """The plan with its runs, in the order in which they are made, and their specifications."""
    specs = {}
    wanted = {}
    for dataset in plan.datasets:
        for engine in plan.engines:
            if engine.datasets is None or dataset in engine.datasets:
                specs[dataset, engine.name] = plan.spec(dataset, engine)
                wanted[engine.name] = engine.repetitions or plan.experiment.repetitions
    runs = _ordered(plan, {pair: spec.key for pair, spec in specs.items()}, wanted)
    return replace(plan, runs=runs, specs={spec.key: spec for spec in specs.values()})


def _ordered(
    plan: Plan, keys: Mapping[tuple[str, str], str], wanted: Mapping[str, int]
) -> tuple[Run, ...]:
    """Randomised complete blocks: a repetition is a block of all pairs, shuffled by the seed.

    `keys`: dataset and engine -> key of its runs. `wanted`: engine -> how many repetitions.
    """
    runs: list[Run] = []
    for repetition in range(1, max(wanted.values()) + 1):
        block = sorted(pair for pair in keys if repetition <= wanted[pair[1]])
        # A seed for each repetition: more repetitions do not change the order of the first ones.
        random.Random(f"{plan.experiment.order_seed}:{repetition}").shuffle(block)
        for dataset, name in block:
            runs.append(
                Run(
                    machine=plan.machine,
                    dataset=dataset,
                    engine=name,
                    key=keys[dataset, name],
                    repetition=repetition,
                    order=len(runs) + 1,
                )
            )
    return tuple(runs)


def _refuse_no_gpu_of_its_own(plan: Plan) -> None:
    """Refuse to train an engine on a GPU with an option that cannot compute there."""
    if plan.experiment.accelerator != "cuda":
        return
    for engine in plan.engines:
        if engine.has_no_gpu:
            raise EvengroundError(
                f"'{engine.name}' computes on the processor only, with {engine.has_no_gpu}",
                "accelerator: cuda",
                "set accelerator: auto, and it trains there beside the others, or leave it out",
            )


def _refuse_no_step(plan: Plan) -> None:
    """Refuse fewer examples than a batch: no step would be made."""
    batch_size = plan.experiment.batch_size
    for dataset in plan.datasets.values():
        if dataset.train_examples < batch_size:
            count = f"{dataset.train_examples:,} training examples"
            raise EvengroundError(
                f"'{dataset.name}' has {count}, less than one batch",
                f"batch_size is {batch_size:,}",
                "give a smaller batch_size: a short last batch is dropped",
            )
    for engine in plan.engines:
        if engine.train_limit is not None and engine.train_limit < batch_size:
            raise EvengroundError(
                f"'{engine.name}' has a train_limit of {engine.train_limit}, less than one batch",
                f"batch_size is {batch_size}",
                "set train_limit to some batches: the time is extrapolated from the later steps",
            )


def refuse_foreign_training(plan: Plan) -> None:
    """Raises EvengroundError if no run is recorded for a machine class that is not trained here."""
    if plan.trains or len(plan.pending) < len(plan.runs):
        return
    classes = recorded_classes(plan.root)
    raise EvengroundError(
        f"no wanted run is recorded for the machine class '{plan.machine}' "
        "and none can be trained here",
        f"this machine is '{plan.here.name}'",
        f"set machine: here, or a recorded class; there are: {', '.join(classes) or 'none'}",
    )


def recorded_classes(root: Path) -> list[str]:
    """The machine classes of the recorded runs."""
    return sorted(path.name for path in (root / RUNS).glob("*") if path.is_dir())
