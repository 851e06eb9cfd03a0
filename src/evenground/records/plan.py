"""`plan.json`: the wanted runs of an experiment. An index is a plan with outcomes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import ConfigDict, Field

from evenground.records.base import Fields, Record
from evenground.records.events import UnixNs
from evenground.records.values import Amount, Count, Inside, Number, Text, path_of_run
from evenground.validation import ClassName, Name, has_gpu

PLAN = "plan.json"
# Fewer repetitions have no interval.
Look = Annotated[int, Field(ge=4, le=10_000)]
# Every pair of a dataset and an engine has figures.
MAX_NAMES = 100


class Machine(Fields):
    """The class of machine that all runs are measured on."""

    model_config = ConfigDict(validate_by_name=True)

    class_name: ClassName = Field(validation_alias="class", serialization_alias="class")
    """Name of its folder in `results/runs`."""
    description: Text
    """Processor, cores, memory and card, in words."""

    @property
    def name(self) -> str:
        """What tells it from other machine classes."""
        return self.class_name

    @property
    def has_gpu(self) -> bool:
        """Whether machines of this class have a GPU."""
        return has_gpu(self.class_name)


class Report(Fields):
    """Settings of the analysis."""

    grid_s: Annotated[float, Field(ge=1e-3, le=60.0)]
    """Step of the common time grid in seconds."""
    stand_ins: dict[Name, Name] = Field(default={})
    """Role or dataset in a claim -> engine or dataset that stands in for it."""
    looks: Annotated[tuple[Look, ...], Field(max_length=10)] | Literal["precision"] = ()
    """Repetitions at which verdicts are planned; `precision`: once they are precise enough."""
    design: Literal["blocks", "independent"] = "blocks"
    """`blocks`: the runs of a repetition were made in one pass on one machine, and are paired."""


class Parameters(Fields):
    """The parameters of the experiment that tables and captions may name."""

    repetitions: Amount
    """Trainings per dataset and engine."""
    epochs: Amount
    """Passes over the training examples."""
    batch_size: Amount
    """Examples of a step; a short last batch is dropped."""
    learning_rate: Annotated[Number, Field(gt=0)]
    """Step size of Adam."""
    seed: Count
    """Repetition r trains with seed + r."""
    threads: Amount | Literal["all"]
    """Cores that a training may use."""
    accelerator: Literal["auto", "cpu", "cuda"]
    """Where engines compute that can compute on a GPU."""
    sampling_rate_hz: Annotated[Number, Field(gt=0)]
    """Samples of each second."""
    linger_s: Annotated[Number, Field(ge=0)]
    """How long a process stays alive after its work, in seconds."""


class Engine(Fields):
    """One engine of the experiment."""

    name: Name
    """Unique; in paths and tables."""
    label: Text
    """Name in figures."""
    colour: Annotated[str, Field(pattern="^#[0-9A-Fa-f]{6}$")]
    """Colour in figures."""
    arm_of: Name | None = None
    """Engine that this one is a variant of; null: none."""
    train_limit: Amount | None = None
    """Trains on that many of the first examples; null: on all."""
    options: dict[Name, bool | int | float | Text] = Field(default={})
    """Options that differ from the defaults of the engine's folder."""
    environment: Name | None = None
    """Its lock file is `envs/NAME.txt`, below the folder of `results/`; null: it brings its own."""
    wait_policy: Text | None = None
    """How its runtime's threads wait for work; null: not recorded."""


class Absent(Fields):
    """An engine of the experiment without runs, as it is not installed on the machine."""

    name: Name
    """As of an engine."""
    label: Text
    """Name in tables."""
    reason: Text
    """Why it cannot train."""


class FileBeside(Fields):
    """A file beside the runs: a calibration, or a contact sheet."""

    path: Inside
    """Starting at the folder of `results/`."""
    sha256: str
    """Of its content."""


class Dataset(Fields):
    """One dataset of the experiment."""

    name: Name
    """Unique; in paths and tables."""
    title: Text
    """Name in figures."""
    network: Text
    """The network that trains on it."""
    train_examples: Amount
    """Number of training examples."""
    prepared: Inside | None = None
    """Its prepared folder, starting at the folder of `results/`; null: not recorded."""
    contact_sheet: FileBeside | None = None
    """Examples for a figure; null: not recorded."""

    def sample(self, engine: Engine) -> int | None:
        """Number of the first examples that an engine trained on; None: on all of them."""
        limit = engine.train_limit
        if limit is None or limit >= self.train_examples:
            return None
        return limit

    def unlike(self, first: Engine, second: Engine) -> str:
        """Why the trainings of two engines are not the same work; empty if they are."""
        first_sample, second_sample = self.sample(first), self.sample(second)
        if first_sample == second_sample:
            return ""
        return f"trained on {second_sample or first_sample:,} examples only"


class Wanted(Fields):
    """One wanted training."""

    dataset: str
    """Name of a dataset of the experiment."""
    engine: str
    """Name of an engine of the experiment."""
    repetition: Amount
    """From 1 on."""
    key: Name
    """Digest of all that decides its result and is known beforehand."""
    order: Count
    """Its place among all runs, from 1 on."""

    @property
    def name(self) -> str:
        """How messages name the run."""
        return f"{self.dataset}, {self.engine}, repetition {self.repetition}"

    def path_on(self, machine: str) -> Path:
        """MACHINE/DATASET/ENGINE/KEY/rN: its folder in `results/runs` and `results/attempts`."""
        return Path(path_of_run(machine, self.dataset, self.engine, self.key, self.repetition))


class Run(Wanted):
    """One wanted training of a plan."""

    machine: str
    """The class of machine."""

    @property
    def path(self) -> Path:
        """Its folder in `results/runs` and `results/attempts`."""
        return self.path_on(self.machine)


class Described(Fields):
    """One machine class and one value of each swept parameter: nothing is averaged over several."""

    machine: Machine
    """The class of machine of all its runs."""
    deployment: Name
    """`native`, or `apptainer`: engines run in containers."""
    values: dict[Name, int | float | Text] = Field(default={})
    """Swept parameter -> its value here; empty if none is swept."""
    report: Report
    """Settings of the analysis."""
    parameters: Parameters
    """The parameters of the experiment."""
    engines: Annotated[tuple[Engine, ...], Field(min_length=1, max_length=MAX_NAMES)]
    """The engines, in the order of the configuration."""
    absent: Annotated[tuple[Absent, ...], Field(max_length=MAX_NAMES)] = ()
    """The engines that are not installed."""
    datasets: Annotated[tuple[Dataset, ...], Field(min_length=1, max_length=MAX_NAMES)]
    """The datasets, in the order of the configuration."""


def names_of(conditions: Sequence[tuple[str, Mapping[str, object]]]) -> list[str]:
    """What tells each of several conditions from the others, also in a file's name.

    `conditions`: machine class and swept values of each. A single one has the empty name.
    """
    by_class = len({machine for machine, _ in conditions}) > 1
    names = []
    for machine, values in conditions:
        labels = [f"{parameter}-{value}" for parameter, value in values.items()]
        if by_class:
            labels.insert(0, machine)
        names.append("_".join(labels) if len(conditions) > 1 else "")
    return names


class PlannedCondition(Described):
    """A condition of an experiment with its wanted runs."""

    calibration: str
    """Where the calibration of the sampler on this class of machine is, or will be."""
    runs: tuple[Run, ...]
    """The wanted runs, in the order of training."""


class PlanFile(Record):
    """The content of a plan."""

    WHAT: ClassVar[str] = "plan"
    SCHEMA: ClassVar[int] = 3

    swept: tuple[Name, ...] = ()
    """The parameters of which the experiment has several values."""
    conditions: Annotated[tuple[PlannedCondition, ...], Field(min_length=1)]
    """Each machine class with each value of the swept parameters."""
    contact_sheets: dict[Name, str]
    """Dataset -> where its contact sheet is, or will be."""
    sources: dict[Name, tuple[str, ...]]
    """Engine -> the files and folders of its code."""
    written_unix_ns: UnixNs
    """Nanoseconds since 1970 (UTC): Snakemake takes a file of the same bytes for unchanged."""

    @property
    def run_paths(self) -> set[Path]:
        """MACHINE/DATASET/ENGINE/KEY/rN of every wanted run."""
        return {run.path for condition in self.conditions for run in condition.runs}
