"""The plan: which runs an experiment wants, in which order, under which key, and which are still to do."""

from __future__ import annotations

import json
import random
import time
from collections import Counter
from collections.abc import Mapping, Sequence, Set
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from evenground.config import Experiment
from evenground.datasets.registry import DatasetEntry, find_dataset, load_registry
from evenground.engines import Engine, load_engines
from evenground.errors import EvengroundError
from evenground.files import json_text, read_json, write_json
from evenground.gpus.record import Accelerator
from evenground.images import CUDA
from evenground.runs.installed import newest_pythons, reasons, too_new_for
from evenground.runs.keys import SCHEMA, Code, run_key
from evenground.runs.machine import Machine, this_machine
from evenground.validation import has_gpu

HERE = "here"
RESULTS = Path("results")
RUNS, ATTEMPTS = RESULTS / "runs", RESULTS / "attempts"
MARK, OUTCOME = "started.json", "outcome.json"
"""In an attempt's folder: written when its training begins, and when it has ended."""
REGISTRY = Path("data/registry.yaml")
WRITTEN = "written_unix_ns"
# The parameters that tables and captions may speak of.
SHOWN = (
    *("repetitions", "epochs", "batch_size", "learning_rate", "seed", "threads", "accelerator"),
    *("sampling_rate_hz", "linger_s"),
)
CALIBRATIONS, NODES = RESULTS / "calibration", RESULTS / "nodes"


@dataclass(frozen=True)
class Run:
    """One wanted training."""

    machine: str
    dataset: str
    engine: str
    key: str
    repetition: int
    order: int

    @property
    def path(self) -> Path:
        """Its folder below `results/runs` and `results/attempts`."""
        return Path(self.machine, self.dataset, self.engine, self.key, f"r{self.repetition}")


@dataclass(frozen=True)
class LeftOut:
    """An engine that is not installed on this machine, and why; its unfinished runs are not wanted."""

    name: str
    label: str
    reason: str
    runs: int
    """How many they are."""


@dataclass(frozen=True)
class Plan:
    """One value of each parameter on one machine class, resolved against the registry and the engines."""

    experiment: Experiment
    code: Code = field(compare=False)
    machine: str
    """The class that all runs are of."""
    here: Machine
    trains: bool
    """Whether a training of this invocation comes to a machine of that class; else its runs are only drawn."""
    description: str
    engines: tuple[Engine, ...]
    datasets: Mapping[str, DatasetEntry]
    runs: tuple[Run, ...] = ()
    left_out: tuple[LeftOut, ...] = ()

    @property
    def root(self) -> Path:
        """The working copy."""
        return self.code.root

    @property
    def absent(self) -> list[LeftOut]:
        """Those of the engines left out that have no recorded run either."""
        there = {engine.name for engine in self.engines}
        return [engine for engine in self.left_out if engine.name not in there]

    @property
    def asks(self) -> bool:
        """Whether engines are asked if they are installed: in containers the image is the installation."""
        return (
            self.experiment.deployment == "native"
            and self.trains
            and self.machine == self.here.name
        )

    @cached_property
    def pending(self) -> dict[Path, int]:
        """Place of each wanted run that is not finished -> number of its next attempt, in order."""
        return {
            run.path: next_attempt(self.root, run.path)
            for run in self.runs
            if not (self.root / RUNS / run.path / "manifest.json").is_file()
        }

    def engine(self, name: str) -> Engine:
        """The engine of that name."""
        return next(engine for engine in self.engines if engine.name == name)

    @cached_property
    def by_path(self) -> dict[Path, Run]:
        """Place of each wanted run -> the run, in order."""
        return {run.path: run for run in self.runs}

    def find(self, run_path: Path) -> Run:
        """The wanted run at `run_path`; EvengroundError when files changed so that it is no longer wanted."""
        if run_path not in self.by_path:
            raise EvengroundError(
                "this run is not in the plan any more",
                str(run_path),
                "a source changed during the invocation: run again",
            )
        return self.by_path[run_path]

    @property
    def accelerator(self) -> Accelerator:
        """Where engines compute that can compute on a GPU."""
        asked = self.experiment.accelerator
        if asked == "auto":
            return "cuda" if has_gpu(self.machine) else "cpu"
        return asked

    def accelerator_of(self, engine: Engine) -> Accelerator:
        """Where this engine computes: it is told so, and never left to find out."""
        return "cpu" if engine.has_no_gpu else self.accelerator

    def environment(self, engine: Engine) -> str | None:
        """Name of the engine's lock: its CUDA variant where it will compute on a GPU."""
        name = engine.file.environment
        on_gpu = self.accelerator_of(engine) == "cuda"
        if name and on_gpu and (self.root / "envs" / f"{name}{CUDA}.txt").is_file():
            return f"{name}{CUDA}"
        return name

    def key(self, dataset: str, engine: Engine) -> str:
        """The key of an engine's runs on a dataset."""
        lock = self.environment(engine)
        return run_key(
            given=self.experiment,
            dataset=self.datasets[dataset],
            engine=engine,
            accelerator=self.accelerator_of(engine),
            lock=lock,
            code=self.code,
        )

    @property
    def environments(self) -> list[str]:
        """The environments of all engines, by name; an engine in another language may have none."""
        return sorted(filter(None, {self.environment(engine) for engine in self.engines}))

    def prepared(self, dataset: str) -> Path:
        """Folder of the prepared arrays, named by what decides them."""
        return Path("data/prepared", dataset, self.code.prepared(self.datasets[dataset]))

    def raw(self, dataset: str) -> Path:
        """Folder of the files as fetched, named by their checksums."""
        return Path("data/raw", dataset, self.datasets[dataset].fingerprint())

    @cached_property
    def calibration(self) -> Path:
        """Where the sampler's calibration on this class of machine and in this deployment stands."""
        return calibration_file(self.code, self.machine, self.experiment.deployment)

    @property
    def design(self) -> Literal["blocks", "independent"]:
        """Whether a repetition is a block of one machine; on a cluster its runs are on several nodes."""
        return "independent" if self.experiment.nodes else "blocks"

    def _report(self) -> dict[str, Any]:
        """What the analysis is told: no run depends on it."""
        given = self.experiment
        return {
            "grid_s": given.grid_s,
            "stand_ins": given.stand_ins,
            "looks": given.looks,
            "design": self.design,
        }

    def content(self) -> dict[str, Any]:
        """What `plan.json` says: all that the index and everything after it depends on."""
        return {
            "schema": SCHEMA,
            "machine": {"class": self.machine, "description": self.description},
            "calibration": self.calibration.as_posix(),
            "deployment": self.experiment.deployment,
            "report": self._report(),
            "parameters": {
                **self.experiment.model_dump(mode="json", include=set(SHOWN)),
                "accelerator": self.accelerator,
            },
            "engines": [
                {
                    **{
                        name: getattr(e, name)
                        for name in ("name", "label", "colour", "arm_of", "train_limit")
                    },
                    "options": e.changed,
                    "environment": self.environment(e),
                    "wait_policy": e.file.wait_policy,
                    "sources": [str(path) for path in e.sources(Path())],
                }
                for e in self.engines
            ],
            "absent": [{"name": e.name, "label": e.label, "reason": e.reason} for e in self.absent],
            "datasets": [
                {
                    **{
                        "name": n,
                        "title": d.title,
                        "network": d.network,
                        "train_examples": d.train_examples,
                    },
                    "prepared": self.prepared(n).as_posix(),
                }
                for n, d in self.datasets.items()
            ],
            "runs": [asdict(run) for run in self.runs],
        }


def calibration_file(code: Code, machine: str, deployment: str = "native") -> Path:
    """Where a calibration stands in a working copy: one per machine class, version and deployment.

    A container may be refused what the machine itself grants the sampler (a cgroup, a real-time priority).
    """
    suffix = "" if deployment == "native" else f"-{deployment}"
    return CALIBRATIONS / machine / f"{code.sidecar_and_calibration()[:12]}{suffix}.json"


def next_attempt(root: Path, run_path: Path) -> int:
    """One more than the number of the last attempt at the run at `run_path` that began or has an outcome."""
    folder = root / ATTEMPTS / run_path
    files = [path for name in (MARK, OUTCOME) for path in folder.glob(f"*/{name}")]
    return max((int(path.parent.name) for path in files), default=0) + 1


def make_plan(
    experiment: Experiment, root: Path, check: bool = True, here: Machine | None = None
) -> Plan:
    """Resolve `experiment`; EvengroundError for an unknown dataset, engine or machine.

    `check` asks engines with unfinished runs whether they are installed here, and leaves out those that are
    not. EvengroundError where no other is left. `here`: this machine, where it has been looked at already.
    """
    (plan,) = make_plans([experiment], root, here)
    refuse_foreign_training(plan)
    return installed([plan])[0] if check else plan


def make_plans(
    experiments: Sequence[Experiment], root: Path, here: Machine | None = None
) -> list[Plan]:
    """Resolve points of one experiment, which differ in swept parameters and the machine only."""
    first, code = experiments[0], Code(root)
    registry = load_registry(root / REGISTRY, first.registry)
    datasets = {name: find_dataset(registry, name) for name in first.datasets}
    engines, here = tuple(load_engines(first.engines, root)), here or this_machine(first.gpu)
    classes = trainable(first, root, here)
    plans = []
    for point in experiments:
        name = here.name if point.machine == HERE else point.machine
        about = (name, here, name in classes, classes.get(name, name))
        plans.append(_planned(Plan(point, code, *about, engines, datasets)))
    return plans


def _planned(empty: Plan) -> Plan:
    _refuse_no_gpu_of_its_own(empty)
    _refuse_no_step(empty)
    return replace(empty, runs=_ordered(empty))


def trainable(experiment: Experiment, root: Path, here: Machine) -> dict[str, str]:
    """Machine class -> description, of those that trainings come to: of the nodes, or of this machine."""
    return classes_of_nodes(experiment, root) if experiment.nodes else {here.name: here.description}


def classes_of_nodes(experiment: Experiment, root: Path) -> dict[str, str]:
    """Machine class -> description, of the cluster's nodes that were asked."""
    files = [root / NODES / f"{kind}.json" for kind in experiment.nodes]
    found = [read_json(file) for file in files if file.is_file()]
    return {node["class"]: node["description"] for node in found}


def installed(plans: Sequence[Plan]) -> list[Plan]:
    """The plans without the unfinished runs of engines that are not installed here; each is asked once.

    The order of the others stays: a run has the same number whatever is installed.
    """
    root = plans[0].root
    newest, asked, why = (
        newest_pythons(root),
        dict[str, tuple[Engine, Accelerator]](),
        dict[str, str](),
    )
    for plan in plans:
        too_new = {e.name: too_new_for(newest.get(plan.environment(e) or "")) for e in plan.engines}
        doubtful = [e for e in plan.engines if plan.asks and (e.file.check or too_new[e.name])]
        unfinished = (
            {run.engine for run in plan.runs if run.path in plan.pending} if doubtful else set()
        )
        for engine in doubtful:
            if engine.name in unfinished and too_new[engine.name]:
                why[engine.name] = too_new[engine.name]
            elif engine.name in unfinished:
                # Of the plan that asks: one of another class of machine may compute elsewhere.
                asked[engine.name] = engine, plan.accelerator_of(engine)
    chosen = plans[0].here.choice.chosen
    why |= reasons(asked.values(), root, chosen.uuid if chosen else None)
    return [_installed(plan, why) if why and plan.asks else plan for plan in plans]


def _installed(plan: Plan, why: Mapping[str, str]) -> Plan:
    runs = [run for run in plan.runs if run.engine not in why or run.path not in plan.pending]
    gone = why.keys() - {run.engine for run in runs}
    # An arm is compared with its engine only: without that one it is nothing.
    arms = {arm.name: why[arm.arm_of] for arm in plan.engines if arm.arm_of and arm.arm_of in gone}
    return _without(plan, {**arms, **why}, gone | arms.keys(), runs)


def _without(plan: Plan, why: Mapping[str, str], gone: Set[str], runs: Sequence[Run]) -> Plan:
    kept = tuple(run for run in runs if run.engine not in gone)
    lost = Counter(run.engine for run in plan.runs) - Counter(run.engine for run in kept)
    engines = tuple(engine for engine in plan.engines if engine.name not in gone)
    if not engines:
        name, reason = next(iter(why.items()))
        raise EvengroundError(
            "no engine of the experiment is installed on this machine",
            f"{name}: {reason}",
            "fix that, or add to `engines` one that is installed",
        )
    left_out = tuple(
        LeftOut(e.name, e.label, why[e.name], lost[e.name]) for e in plan.engines if e.name in why
    )
    return replace(plan, engines=engines, runs=kept, left_out=left_out)


def _ordered(plan: Plan) -> tuple[Run, ...]:
    """Randomised complete blocks: each repetition is a block of all pairs, shuffled from the seed."""
    pairs = [
        (d, e) for d in plan.datasets for e in plan.engines if e.datasets is None or d in e.datasets
    ]
    keys = {(d, e.name): plan.key(d, e) for d, e in pairs}
    wanted = {e.name: e.repetitions or plan.experiment.repetitions for _, e in pairs}
    runs: list[Run] = []
    for repetition in range(1, max(wanted.values()) + 1):
        block = sorted(pair for pair in keys if repetition <= wanted[pair[1]])
        random.Random(f"{plan.experiment.order_seed}:{repetition}").shuffle(block)
        for dataset, engine in block:
            runs.append(
                Run(plan.machine, dataset, engine, keys[dataset, engine], repetition, len(runs) + 1)
            )
    return tuple(runs)


def _refuse_no_gpu_of_its_own(plan: Plan) -> None:
    """An engine that was asked to compute on a GPU, with an option that has none."""
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
    """Of fewer examples than a batch not one step is made."""
    batch_size = plan.experiment.batch_size
    for dataset in plan.datasets.values():
        if dataset.train_examples < batch_size:
            raise EvengroundError(
                f"'{dataset.name}' has {dataset.train_examples:,} training examples, less than one batch",
                f"batch_size is {batch_size:,}",
                "give a smaller batch_size: a short last batch is dropped",
            )
    for engine in plan.engines:
        if engine.train_limit is not None and engine.train_limit < batch_size:
            raise EvengroundError(
                f"'{engine.name}' has a train_limit of {engine.train_limit}, less than one batch",
                f"batch_size is {batch_size}",
                "set train_limit to some batches: from the steps after the first its time is extrapolated",
            )


def refuse_foreign_training(plan: Plan) -> None:
    """A recorded class can be replayed; what it lacks cannot be trained on another machine."""
    if plan.trains or len(plan.pending) < len(plan.runs):
        return
    recorded = sorted(path.name for path in (plan.root / RUNS).glob("*") if path.is_dir())
    raise EvengroundError(
        f"no wanted run is recorded for the machine class '{plan.machine}' and none can be trained here",
        f"this machine is '{plan.here.name}'",
        f"set machine: here, or a recorded class; there are: {', '.join(recorded) or 'none'}",
    )


def write_plan(plan: Plan, folder: Path | None = None) -> None:
    """Write `plan.json` when its content differs or a wanted run has no finished outcome.

    Snakemake takes a rewritten file with the same bytes for unchanged, and does not make a missing input
    of an unchanged index, so the file says when it was written; that alone is no difference.
    """
    folder = plan.root / (folder or RESULTS / plan.experiment.deployment)
    path, content = folder / "plan.json", plan.content()
    if plan.pending or _written(path) != json.loads(json_text(content)):
        write_json(path, {**content, WRITTEN: time.time_ns()})
    write_changed(folder / "experiment.json", plan.experiment.model_dump(mode="json"))


def _written(path: Path) -> Any:
    """The plan that was written before, without its time; None where there is none, or a broken one."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    return (
        {name: value for name, value in content.items() if name != WRITTEN}
        if isinstance(content, dict)
        else None
    )


def write_changed(path: Path, content: Any) -> None:
    """Write JSON only where it differs, so that nothing that follows from it is made anew."""
    if not path.is_file() or path.read_bytes() != json_text(content).encode():
        write_json(path, content)
