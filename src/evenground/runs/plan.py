"""The plan: which runs an experiment wants, in which order, under which key, and which are still to do."""

from __future__ import annotations

import json
import random
import time
from collections import Counter
from collections.abc import Mapping, Sequence, Set
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from evenground.config import Experiment
from evenground.datasets.registry import DatasetEntry, find_dataset, load_registry, prepared_fingerprint
from evenground.engines import Engine, load_engines
from evenground.errors import EvengroundError
from evenground.files import json_text, sha256_file, sha256_json, sha256_tree, write_json
from evenground.images import CUDA, recipe
from evenground.pins import load_pins, version_key
from evenground.runs.installed import reasons
from evenground.runs.machine import has_gpu, this_machine

SCHEMA = 1
RESULTS = Path("results")
RUNS, ATTEMPTS = RESULTS / "runs", RESULTS / "attempts"
REGISTRY = Path("data/registry.yaml")
WRITTEN = "written_unix_ns"
# The parameters that tables and captions may speak of.
SHOWN = (
    *("repetitions", "epochs", "batch_size", "learning_rate", "seed", "threads", "accelerator"),
    *("sampling_rate_hz", "linger_s"),
)
# What every training shares and what decides its result, beside the engine's own files.
SHARED_CODE = (
    "src/evenground/protocol/events.py",
    "src/evenground/protocol/events.schema.json",
    "src/evenground/runs/command.py",
)
SIDECAR = "src/evenground/sidecar"
CALIBRATIONS = RESULTS / "calibration"


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
    def place(self) -> Path:
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
    """An experiment resolved against the registry, the engines and the machine."""

    experiment: Experiment
    root: Path
    machine: str
    here: str
    description: str
    engines: tuple[Engine, ...]
    datasets: Mapping[str, DatasetEntry]
    runs: tuple[Run, ...]
    left_out: tuple[LeftOut, ...] = ()

    @property
    def absent(self) -> list[LeftOut]:
        """Those of the engines left out that have no recorded run either."""
        there = {engine.name for engine in self.engines}
        return [engine for engine in self.left_out if engine.name not in there]

    @property
    def asks(self) -> bool:
        """Whether engines are asked if they are installed: in containers the image is the installation."""
        return self.experiment.deployment == "native" and self.machine == self.here

    @cached_property
    def todo(self) -> dict[Path, int]:
        """Place of each wanted run that is not finished -> number of its next attempt, in order."""
        return {
            run.place: next_attempt(self.root, run.place)
            for run in self.runs
            if not (self.root / RUNS / run.place / "manifest.json").is_file()
        }

    @cached_property
    def warm_ups(self) -> frozenset[Path]:
        """Places of the runs that are the first of their engine in this call; in containers, of all.

        Each container mounts its image anew, and what an earlier one read is not in memory any more.
        """
        if self.experiment.warm_up_images == 0:
            return frozenset()
        if self.experiment.deployment == "apptainer":
            return frozenset(self.todo)
        first: dict[str, Path] = {}
        for run in self.runs:
            if run.place in self.todo:
                first.setdefault(run.engine, run.place)
        return frozenset(first.values())

    def engine(self, name: str) -> Engine:
        """The engine of that name."""
        return next(engine for engine in self.engines if engine.name == name)

    @cached_property
    def by_place(self) -> dict[Path, Run]:
        """Place of each wanted run -> the run, in order."""
        return {run.place: run for run in self.runs}

    def find(self, place: Path) -> Run:
        """The wanted run at `place`; EvengroundError when files changed so that it is no longer wanted."""
        if place not in self.by_place:
            raise EvengroundError(
                "this run is not in the plan any more",
                str(place),
                "a source changed during the call: call again",
            )
        return self.by_place[place]

    def environment(self, engine: Engine) -> str | None:
        """Name of the engine's lock: its CUDA variant where it will compute on a GPU."""
        name, wanted = engine.file.environment, self.experiment.accelerator
        on_gpu = wanted == "cuda" or (wanted == "auto" and has_gpu(self.machine))
        if name and on_gpu and (self.root / "envs" / f"{name}{CUDA}.txt").is_file():
            return f"{name}{CUDA}"
        return name

    @property
    def environments(self) -> list[str]:
        """The environments of all engines, by name; an engine in another language may have none."""
        return sorted(filter(None, {self.environment(engine) for engine in self.engines}))

    def prepared(self, dataset: str) -> Path:
        """Folder of the prepared arrays, named by what decides them."""
        return Path("data/prepared", dataset, prepared_fingerprint(self.datasets[dataset]))

    def raw(self, dataset: str) -> Path:
        """Folder of the files as fetched, named by their checksums."""
        return Path("data/raw", dataset, self.datasets[dataset].fingerprint())

    @property
    def results(self) -> Path:
        """Where the index and all that follows from it stand: each deployment has its own."""
        return RESULTS / self.experiment.deployment

    @cached_property
    def calibration(self) -> Path:
        """Where the sampler's calibration on this class of machine and in this deployment stands."""
        return calibration_file(self.root, self.machine, self.experiment.deployment)

    def content(self) -> dict[str, Any]:
        """What `plan.json` says: all that the index and everything after it depends on."""
        return {
            "schema": SCHEMA,
            "machine": {"class": self.machine, "description": self.description},
            "calibration": self.calibration.as_posix(),
            "deployment": self.experiment.deployment,
            "report": {"grid_s": self.experiment.grid_s, "stand_ins": self.experiment.stand_ins},
            "parameters": self.experiment.model_dump(mode="json", include=set(SHOWN)),
            "engines": [
                {
                    **{
                        name: getattr(e, name)
                        for name in ("name", "label", "colour", "arm_of", "train_limit")
                    },
                    "options": e.changed,
                    "environment": self.environment(e),
                    "sources": [str(path) for path in e.sources(Path())],
                }
                for e in self.engines
            ],
            "absent": [{"name": e.name, "label": e.label, "reason": e.reason} for e in self.absent],
            "datasets": [
                {
                    **{"name": n, "title": d.title, "network": d.network, "train_images": d.train_images},
                    "prepared": self.prepared(n).as_posix(),
                }
                for n, d in self.datasets.items()
            ],
            "runs": [asdict(run) for run in self.runs],
        }


def calibration_file(root: Path, machine: str, deployment: str = "native") -> Path:
    """Where a calibration stands below `root`: one per machine class, version and deployment.

    A container may be refused what the machine itself grants the sampler (a cgroup, a real-time priority).
    """
    code = sha256_tree([root / SIDECAR], root)
    suffix = "" if deployment == "native" else f"-{deployment}"
    return CALIBRATIONS / machine / f"{code[:12]}{suffix}.json"


def next_attempt(root: Path, place: Path) -> int:
    """One more than the number of attempts at the run at `place` that came to an outcome."""
    ended = [int(path.parent.name) for path in (root / ATTEMPTS / place).glob("*/outcome.json")]
    return max(ended, default=0) + 1


def make_plan(experiment: Experiment, root: Path, check: bool = True) -> Plan:
    """Resolve `experiment`; EvengroundError for an unknown dataset, engine or machine.

    `check` asks engines with unfinished runs whether they are installed here, and leaves out those that are
    not. EvengroundError where no other is left.
    """
    registry = load_registry(root / REGISTRY, experiment.registry)
    datasets = {name: find_dataset(registry, name) for name in experiment.datasets}
    engines = tuple(load_engines(experiment.engines, root))
    machine = this_machine()
    wanted = machine.name if experiment.machine == "here" else experiment.machine
    description = machine.description if wanted == machine.name else wanted
    empty = Plan(experiment, root, wanted, machine.name, description, engines, datasets, ())
    _refuse_old_driver(empty, machine.driver)
    _refuse_no_step(empty)
    plan = replace(empty, runs=_ordered(empty))
    _refuse_foreign_training(plan)
    return _installed(plan) if check and plan.asks else plan


def _installed(plan: Plan) -> Plan:
    """The plan without the unfinished runs of engines that are not installed here.

    The order of the others stays: a run has the same number whatever is installed.
    """
    checked = [engine for engine in plan.engines if engine.file.check]
    unfinished = {run.engine for run in plan.runs if run.place in plan.todo} if checked else set()
    why = reasons((engine for engine in checked if engine.name in unfinished), plan.root)
    if not why:
        return plan
    runs = [run for run in plan.runs if run.engine not in why or run.place not in plan.todo]
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
            "mend that, or add to `engines` one that is installed",
        )
    left_out = tuple(
        LeftOut(e.name, e.label, why[e.name], lost[e.name]) for e in plan.engines if e.name in why
    )
    return replace(plan, engines=engines, runs=kept, left_out=left_out)


def _ordered(plan: Plan) -> tuple[Run, ...]:
    """Randomised complete blocks: each repetition is a block of all pairs, shuffled from the seed."""
    pairs = [(d, e) for d in plan.datasets for e in plan.engines if e.datasets is None or d in e.datasets]
    keys = {(d, e.name): run_key(plan, d, e) for d, e in pairs}
    wanted = {e.name: e.repetitions or plan.experiment.repetitions for _, e in pairs}
    runs: list[Run] = []
    for repetition in range(1, max(wanted.values()) + 1):
        block = sorted(pair for pair in keys if repetition <= wanted[pair[1]])
        random.Random(f"{plan.experiment.order_seed}:{repetition}").shuffle(block)
        for dataset, engine in block:
            runs.append(Run(plan.machine, dataset, engine, keys[dataset, engine], repetition, len(runs) + 1))
    return tuple(runs)


def run_key(plan: Plan, dataset: str, engine: Engine) -> str:
    """First 16 hex digits of the sha256 of all that decides a run's result and is known beforehand.

    Not in it: the number of repetitions, the order, other engines and datasets, time limit, report settings.
    """
    given = plan.experiment
    lock = plan.environment(engine)
    decides = {
        "schema": SCHEMA,
        "parameters": {
            name: getattr(given, name)
            for name in ("epochs", "batch_size", "learning_rate", "threads", "accelerator", "linger_s")
        },
        "seed": {"base": given.seed, "rule": "base + repetition"},
        "measurement": {"sampling_rate_hz": given.sampling_rate_hz, "warm_up_images": given.warm_up_images},
        "network": plan.datasets[dataset].network,
        "dataset": prepared_fingerprint(plan.datasets[dataset]),
        "engine": {
            "command": engine.file.command,
            "options": engine.options,
            "code": sha256_tree(engine.sources(plan.root), plan.root),
            # Only where it is set: the keys of all other runs stay what they were before there was one.
            **({} if engine.train_limit is None else {"train_limit": engine.train_limit}),
        },
        "shared_code": sha256_tree([plan.root / path for path in SHARED_CODE], plan.root),
        "sidecar": sha256_tree(
            (plan.root / SIDECAR).glob("*.py"), plan.root
        ),  # its calibration decides nothing
        "environment": sha256_file(_lock(plan.root, lock, engine)) if lock else None,
        "deployment": given.deployment,
        "image": _recipe(plan, lock, engine) if given.deployment == "apptainer" else None,
    }
    return sha256_json(decides)[:16]


def _lock(root: Path, name: str, engine: Engine) -> Path:
    path = root / "envs" / f"{name}.txt"
    if not path.is_file():
        raise EvengroundError(
            f"engine '{engine.name}' wants the environment '{name}'",
            f"no envs/{name}.txt",
            f"write envs/{name}.in, then: python scripts/relock.py {name}",
        )
    return path


def _recipe(plan: Plan, lock: str | None, engine: Engine) -> str:
    if lock is None:
        raise EvengroundError(
            f"engine '{engine.name}' has no environment to put into a container",
            f"{engine.folder}/engine.yaml",
            "set deployment: native, or leave this engine out",
        )
    return recipe(plan.root, lock)


def _refuse_old_driver(plan: Plan, driver: str | None) -> None:
    """A driver older than the engines' CUDA needs ends their trainings, or moves them to the processor."""
    on_gpu = [engine.name for engine in plan.engines if (plan.environment(engine) or "").endswith(CUDA)]
    if driver is None or not on_gpu or plan.machine != plan.here:
        return
    pins = load_pins(plan.root)
    if version_key(driver) < version_key(pins.driver.minimum):
        raise EvengroundError(
            f"NVIDIA's driver {driver} is too old for CUDA {pins.cuda_runtime}",
            f"engine '{on_gpu[0]}' on this machine's GPU",
            f"install driver {pins.driver.minimum} or newer, or set accelerator: cpu",
        )


def _refuse_no_step(plan: Plan) -> None:
    """Of fewer images than a batch not one step is made."""
    for engine in plan.engines:
        if engine.train_limit is not None and engine.train_limit < plan.experiment.batch_size:
            raise EvengroundError(
                f"'{engine.name}' has a train_limit of {engine.train_limit}, less than one batch",
                f"batch_size is {plan.experiment.batch_size}",
                "set train_limit to some batches: from the steps after the first its time is extrapolated",
            )


def _refuse_foreign_training(plan: Plan) -> None:
    """A recorded class can be replayed; what it lacks cannot be trained on another machine."""
    if plan.machine == plan.here or len(plan.todo) < len(plan.runs):
        return
    recorded = sorted(path.name for path in (plan.root / RUNS).glob("*") if path.is_dir())
    raise EvengroundError(
        f"no wanted run is recorded for the machine class '{plan.machine}' and none can be trained here",
        f"this machine is '{plan.here}'",
        f"set machine: here, or a recorded class; there are: {', '.join(recorded) or 'none'}",
    )


def write_plan(plan: Plan) -> None:
    """Write `plan.json` when its content differs or a wanted run has no finished outcome.

    Snakemake takes a rewritten file with the same bytes for unchanged, and does not make a missing input
    of an unchanged index, so the file says when it was written; that alone is no difference.
    """
    path = plan.root / plan.results / "plan.json"
    content = plan.content()
    written = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    written.pop(WRITTEN, None)
    if plan.todo or written != json.loads(json_text(content)):
        write_json(path, {**content, WRITTEN: time.time_ns()})
    settings = plan.root / plan.results / "experiment.json"
    chosen = plan.experiment.model_dump(mode="json")
    if not settings.is_file() or settings.read_text(encoding="utf-8") != json_text(chosen):
        write_json(settings, chosen)
