"""The experiment as a typed model: the keys of `params.yaml`, their units, and what is refused."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from evenground.addresses import shown_value
from evenground.errors import EvengroundError
from evenground.records.events import MAX_EPOCHS
from evenground.validation import ClassName, Fault, Name, did_you_mean, first_fault

# `auto`, an index, or a UUID of a card or of a MIG instance as nvidia-smi prints it.
GPU = r"^(auto|[0-9]{1,4}|GPU-[0-9a-fA-F-]{1,64}|MIG-[0-9A-Za-z/-]{1,100})$"
OptionValue = bool | int | float | str
MAX_POINTS = 1000
# Fewer repetitions give no interval of pairs (analysis/statistics.py).
MIN_LOOK, MAX_LOOKS = 4, 10
MAX_REPETITIONS = 10_000
PRECISION = "precision"
# Parameters that may be lists; the experiment is then their cross product.
SWEPT = ("epochs", "batch_size", "learning_rate", "threads", "sampling_rate_hz")
LISTS = ("machine", *SWEPT)


def _key(default: Any, description: str, unit: str | None = None, **bounds: Any) -> Any:
    """A key with its description and, if it has one, its unit."""
    return Field(default, description=description, json_schema_extra={"unit": unit}, **bounds)


class EngineChoice(BaseModel):
    """One engine of the comparison: a folder of `scripts/engines/`, with options if they differ."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Name = Field(description="Name in paths, tables and figures; unique in the list.")
    folder: str | None = _key(
        None,
        "Its folder: a name below scripts/engines/, or a path with a slash. Default: `name`.",
    )
    options: dict[str, OptionValue] = _key(
        {},
        "Options that differ from the defaults of its engine.yaml.",
    )
    arm_of: Name | None = _key(
        None,
        "The engine this is a variant of: compared with that one only, beside the others.",
    )
    datasets: tuple[Name, ...] | None = _key(None, "What it trains on; default: all.")
    repetitions: int | None = _key(
        None,
        "Its own number of trainings; default: the experiment's.",
        ge=1,
        le=MAX_REPETITIONS,
    )
    train_limit: int | None = _key(
        None,
        "Train only on the first so many examples; an arm only. Its training time is then "
        "extrapolated to the whole dataset for the claims, and every table says so.",
        ge=1,
    )

    @model_validator(mode="after")
    def _limit_of_an_arm(self) -> EngineChoice:
        if self.train_limit is not None and self.arm_of is None:
            raise ValueError(
                f"'{self.name}' has a `train_limit`, which only an arm may have: "
                "name the engine it varies in `arm_of`"
            )
        return self


class NodeRequest(BaseModel):
    """One kind of node of a cluster: the resources that every training on it requests."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    cores: int | None = _key(None, "Cores to ask for; default: as many as `threads` names.", ge=1)
    mem_mb: int | None = _key(None, "Memory to ask for; default: what the scheduler gives.", ge=1)
    gpus: int | None = _key(None, "GPUs to ask for; default: none.", ge=1)
    slurm_partition: str | None = _key(None, "Slurm's partition; default: the cluster's.")
    constraint: str | None = _key(None, "Features the node must have (Slurm's --constraint).")


def _fault_of_looks(looks: list[int], repetitions: int | None) -> str:
    """What is wrong with planned looks, or ""; `repetitions` is None if that key is invalid."""
    if not looks:
        return ""
    if any(later <= look for look, later in itertools.pairwise(looks)):
        return "each number must be larger than the one before it"
    if looks[0] < MIN_LOOK:
        return f"{looks[0]} repetitions give no interval, {MIN_LOOK} do"
    if looks[-1] > MAX_REPETITIONS:
        return f"{looks[-1]:,} repetitions are more than {MAX_REPETITIONS:,}"
    if len(looks) > MAX_LOOKS:
        return f"{len(looks)} looks are more than {MAX_LOOKS}"
    if repetitions is not None and repetitions not in looks:
        planned = ", ".join(map(str, looks))
        return f"`repetitions` is {repetitions}, planned are {planned}: set it to one of these"
    return ""


def _engine_from_name(value: Any) -> Any:
    if isinstance(value, str):
        return {"name": value}
    return value


class Experiment(BaseModel):
    """What is trained, measured and reported: one value per parameter, one class of machine."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    datasets: list[Name] = _key(
        ["mnist", "cifar10"],
        "What to train on: names in data/registry.yaml or `registry`.",
        min_length=1,
    )
    engines: list[Annotated[EngineChoice, BeforeValidator(_engine_from_name)]] = _key(
        [EngineChoice(name="keras"), EngineChoice(name="jax")],
        "Engines to compare: a name, or a mapping with `name`, `folder`, `options`, `arm_of`, `datasets`, "
        "`repetitions` and `train_limit`; the first one is the baseline of ratios. An arm (`arm_of`) is a "
        "variant of another engine and is compared with that one only; with a `train_limit` it trains on the "
        "first so many examples, and claims extrapolate its time.",
        min_length=1,
    )
    repetitions: int = _key(
        5, "Trainings per dataset and engine.", "runs", ge=1, le=MAX_REPETITIONS
    )
    looks: list[int] | Literal["precision"] = _key(
        [],
        "Numbers of repetitions at which verdicts are read, planned before the first training; "
        "`repetitions` is one of them. Or `precision`: verdicts are given once their intervals "
        "are as short as the claims' tolerances, however many runs that takes. `[]`: one look, at "
        "`repetitions`. docs/repetitions.md.",
    )
    epochs: int = _key(3, "Passes over the training examples.", "epochs", ge=1, le=MAX_EPOCHS)
    batch_size: int = _key(
        32, "Size of an optimiser step; a short last batch is dropped.", "examples", ge=1
    )
    learning_rate: float = _key(1e-3, "Step size of Adam.", gt=0)
    seed: int = _key(
        2022, "Base seed: repetition r of every engine trains with seed + r.", ge=0, lt=2**31
    )
    order_seed: int = _key(1, "Seed of the order within the randomised complete blocks.", ge=0)
    threads: int | Literal["all"] = _key(
        2,
        "Processor cores a training may use, enforced by CPU affinity, one hardware thread of "
        "each first; `all` for every hardware thread of the machine: docs/cores.md.",
        "cores",
    )
    accelerator: Literal["auto", "cpu", "cuda"] = _key(
        "auto", "Where engines compute; `auto` takes the GPU where there is one. docs/gpu.md."
    )
    gpu: Annotated[str, Field(pattern=GPU, coerce_numbers_to_str=True)] = _key(
        "auto",
        "The one card of this machine that all trainings get: `auto` (what CUDA_VISIBLE_DEVICES "
        "names, else the idle card with the most free memory), an index of nvidia-smi's, or the "
        "UUID of a card or of a MIG instance.",
    )
    sampling_rate_hz: float = _key(
        10.0, "Samples the sidecar takes each second.", "Hz", gt=0, le=1000
    )
    linger_s: float = _key(
        3.0,
        "How long a process stays alive after its work, to see what it keeps.",
        "s",
        ge=0,
        le=3600,
    )
    warm_up_examples: int = _key(
        3200,
        "Size of the warm-up before an engine's first training of an invocation, in containers and on a cluster's "
        "`nodes` before every one: so many examples are trained and judged, at least one batch; "
        "of an arm with a `train_limit` one batch. 0 for none.",
        "examples",
        ge=0,
    )
    time_limit_s: float = _key(
        3600.0, "A training that takes longer is ended and has failed.", "s", gt=0
    )
    grid_s: float = _key(0.1, "Step of the normalised timelines.", "s", gt=0, le=10)
    stand_ins: dict[Name, Name] = _key(
        {},
        "Engine or dataset of this experiment that plays a role or dataset of claims.yaml, as in "
        "{elixir: jax}: what is judged so is a demonstration.",
    )
    machine: ClassName = _key(
        "here",
        "`here` (on a cluster: the classes of its `nodes`), a machine class in results/runs/ "
        "whose runs are replayed, or `recorded`: every class there with runs of this experiment.",
    )
    nodes: dict[Name, NodeRequest] = _key(
        {},
        "Kinds of node of a cluster, for trainings that a scheduler starts: your name for one -> "
        "what a training on it requests (`cores`, `mem_mb`, `gpus`, `slurm_partition`, `constraint`); none: "
        "trainings on this machine.",
    )
    deployment: Literal["native", "apptainer"] = _key(
        "native",
        "How engines run: in their locked environments on this machine, or inside container "
        "images; `--use-singularity` means `apptainer`.",
    )
    mirrors: list[str] = _key(
        [], "Folders or https addresses tried before a dataset's own hosts, as MIRROR/DATASET/FILE."
    )
    registry: dict[Name, dict[str, Any]] = _key(
        {}, "Further datasets, each an entry as in data/registry.yaml."
    )

    @field_validator("threads", mode="before")
    @classmethod
    def _at_least_one(cls, value: Any) -> Any:
        # An exact type: True is an int to Python.
        if value == "all" or (type(value) is int and value >= 1):
            return value
        raise ValueError("must be a whole number of at least 1, or 'all'")

    @field_validator("looks", mode="before")
    @classmethod
    def _looks(cls, value: Any, info: ValidationInfo) -> Any:
        if value == PRECISION:
            return value
        if not isinstance(value, list) or any(type(look) is not int for look in value):
            raise ValueError(f"must be a list of whole numbers, or '{PRECISION}'")
        if fault := _fault_of_looks(value, info.data.get("repetitions")):
            raise ValueError(fault)
        return value

    @field_validator("datasets", "engines")
    @classmethod
    def _no_repeats(cls, value: list[Any]) -> list[Any]:
        names = [getattr(item, "name", item) for item in value]
        if len(set(names)) < len(names):
            raise ValueError("a name stands twice")
        return value

    @field_validator("engines")
    @classmethod
    def _arms_of_engines(
        cls, value: list[EngineChoice], info: ValidationInfo
    ) -> list[EngineChoice]:
        main = [engine.name for engine in value if engine.arm_of is None]
        # A key that was refused before this one is not in `info.data`.
        datasets = info.data.get("datasets", [])
        for engine in value:
            name, arm_of = engine.name, engine.arm_of
            if arm_of is not None and arm_of not in main:
                raise ValueError(f"'{name}' is an arm of '{arm_of}', which is no engine here")
            for dataset in engine.datasets or ():
                if dataset not in datasets:
                    raise ValueError(f"'{name}' trains on '{dataset}', which is not in `datasets`")
        return value

    @field_validator("stand_ins")
    @classmethod
    def _players(cls, value: dict[str, str], info: ValidationInfo) -> dict[str, str]:
        known = [engine.name for engine in info.data.get("engines", [])]
        known += info.data.get("datasets", [])
        for player in value.values():
            if player not in known:
                there = ", ".join(known)
                raise ValueError(f"'{player}' is no engine or dataset here; there are: {there}")
        return value


def expand(config: Mapping[str, Any], where: str = "params.yaml") -> list[dict[str, Any]]:
    """One configuration per point of the cross product of all lists; the first changes slowest.

    Raises EvengroundError for an empty list, a repeated value and too many points.
    """
    lists = {name: config[name] for name in LISTS if isinstance(config.get(name), list)}
    count = math.prod(map(len, lists.values()))
    if count > MAX_POINTS:
        what = f"{count:,} points of {', '.join(lists)}, at most {MAX_POINTS:,} are one experiment"
        raise EvengroundError(what, where, "shorten a list, or make two experiments")
    for name, values in lists.items():
        if not values:
            raise EvengroundError(f"the list '{name}' is empty", where, "give a value")
        # By `repr`, as True equals 1; a truth value is left to the model, which refuses it.
        if len(set(map(repr, values))) < len(values):
            what = f"the list '{name}' = {values} names a value twice"
            raise EvengroundError(what, where, "give each value once")
    points = itertools.product(*lists.values())
    return [dict(config) | dict(zip(lists, point, strict=True)) for point in points]


def load_experiments(config: Mapping[str, Any], where: str = "params.yaml") -> list[Experiment]:
    """Every point of the experiment, typed; raises what `expand` and `load_experiment` raise."""
    return [load_experiment(point, where) for point in expand(config, where)]


def load_experiment(given: Mapping[str, Any], where: str = "params.yaml") -> Experiment:
    """Check `given` and return it typed; EvengroundError names the key, the value and what is allowed."""
    try:
        return Experiment.model_validate(dict(given))
    except ValidationError as error:
        raise _refused(first_fault(error), where) from None


def _refused(fault: Fault, where: str) -> EvengroundError:
    """What is wrong with a key, and what it may be."""
    value = shown_value(fault.value)
    if fault.unknown_key:
        what = f"{fault} = {value}"
        fix = did_you_mean(str(fault.path[-1]), _keys_beside(fault))
    else:
        what = f"'{fault.key}' = {value} is not allowed"
        fix = f"{fault.message}. {_meaning(fault.key.split('.')[0])}"
    return EvengroundError(what, where, fix + fault.and_more)


def _keys_beside(fault: Fault) -> Iterable[str]:
    """The keys there are where an unknown one stands."""
    if len(fault.path) == 1:
        return Experiment.model_fields
    if fault.path[0] == "nodes":
        return NodeRequest.model_fields
    return EngineChoice.model_fields


def _meaning(name: str) -> str:
    field = Experiment.model_fields.get(name)
    return f"{name}: {field.description}" if field else ""
