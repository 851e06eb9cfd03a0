"""`index.json`: the wanted runs, their outcomes and their run directories."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, TypeAdapter, ValidationError

from evenground.errors import EvengroundError, set_aside
from evenground.files import absolute, read_json, real
from evenground.records import versions
from evenground.validation import ClassName, Name, first_fault, has_gpu


def _inside(path: str) -> str:
    """Check that a relative path stays below the folder that it starts from.

    Raises ValueError if it does not.
    """
    # An index may come from a stranger's bundle.
    if not path or Path(path).is_absolute() or ".." in Path(path).parts:
        raise ValueError("the path leads out of the folder of the index")
    return printable(path)


def printable(text: str) -> str:
    """Check that text cannot break a line, a table, an SVG file or a terminal.

    Raises ValueError if it is blank or has a control character.
    """
    if not text.isprintable() or not text.strip():
        raise ValueError("the text is blank or has a control character")
    return text


Inside = Annotated[str, Field(max_length=1000), AfterValidator(_inside)]
# Text that tables and figures show.
Text = Annotated[str, Field(max_length=500), AfterValidator(printable)]
# Tables have columns of 64 bits.
Count = Annotated[int, Field(ge=0, le=10**9)]
Amount = Annotated[int, Field(ge=1, le=10**9)]
# Fewer repetitions have no interval.
Look = Annotated[int, Field(ge=4, le=10_000)]
# Every pair of a dataset and an engine has figures.
MAX_NAMES = 100


@dataclass(frozen=True)
class Machine:
    """The machine class that all runs of an index were measured on."""

    class_name: Annotated[ClassName, Field(validation_alias="class")]
    description: Text

    @property
    def has_gpu(self) -> bool:
        """Whether machines of this class have a GPU."""
        return has_gpu(self.class_name)


@dataclass(frozen=True)
class Calibration:
    """The sampler's calibration on that machine class, below the folder of `results/`."""

    path: Inside
    sha256: str


@dataclass(frozen=True)
class Report:
    """Settings of the analysis."""

    grid_s: Annotated[float, Field(ge=1e-3, le=60.0)]
    """Step of the common time grid in seconds."""
    stand_ins: dict[Name, Name] = field(default_factory=dict)
    """Role or dataset in a claim -> engine or dataset that stands in for it."""
    looks: Annotated[tuple[Look, ...], Field(max_length=10)] | Literal["precision"] = ()
    """Repetitions at which verdicts are planned; `precision`: once they are precise enough."""
    design: Literal["blocks", "independent"] = "blocks"
    """`blocks`: the runs of a repetition were made in one pass on one machine, and are paired."""


@dataclass(frozen=True)
class Engine:
    """One engine of the experiment."""

    name: Name
    label: Text
    colour: Annotated[str, Field(pattern="^#[0-9A-Fa-f]{6}$")]
    arm_of: Name | None = None
    """Engine that this one is a variant of."""
    train_limit: Amount | None = None
    """Trains on that many of the first examples; None: on all."""
    environment: Name | None = None
    """Its lock file is `envs/NAME.txt`, below the folder of `results/`."""
    wait_policy: Text | None = None
    """How its runtime's threads wait for work; None: not recorded."""
    options: dict[Name, bool | int | float | Text] = field(default_factory=dict)
    """Options that differ from the defaults of the engine's folder."""


@dataclass(frozen=True)
class Absent:
    """An engine of the experiment without runs, as it is not installed on the machine."""

    name: Name
    label: Text
    reason: Text


@dataclass(frozen=True)
class Dataset:
    """One dataset of the experiment."""

    name: Name
    title: Text
    network: Text
    prepared: Inside | None = None
    """Its prepared folder, starting at the folder of `results/`."""
    train_examples: Amount | None = None
    """Number of training examples; None: not recorded."""

    def sample(self, engine: Engine) -> int | None:
        """Number of the first examples that an engine trained on; None: on all of them."""
        limit = engine.train_limit
        if limit is None:
            return None
        if self.train_examples is not None and limit >= self.train_examples:
            return None
        return limit

    def unlike(self, first: Engine, second: Engine) -> str:
        """Why the trainings of two engines are not the same work; empty if they are."""
        first_sample, second_sample = self.sample(first), self.sample(second)
        if first_sample == second_sample:
            return ""
        return f"trained on {second_sample or first_sample:,} examples only"


@dataclass(frozen=True)
class EngineLines:
    """Lines of an engine's files in one language; `comment_lines` are only a comment."""

    engine: Name
    language: Text
    files: Count
    lines: Count
    code_lines: Count
    comment_lines: Count


@dataclass(frozen=True)
class ThesisLines:
    """Lines of one of the thesis's trainers under an instrument."""

    instrument: Name
    code: Name
    files: Count = 0
    lines: Count = 0
    code_lines: Count = 0
    comment_lines: Count = 0
    sha256: dict[Inside, Text] = field(default_factory=dict)
    """Counted file -> its checksum."""
    absent: Text | None = None
    """Why nothing was counted."""


@dataclass(frozen=True)
class CodeLines:
    """Lines of code; `counter` is the program that counted them."""

    counter: Text
    engines: tuple[EngineLines, ...]
    thesis: tuple[ThesisLines, ...]


@dataclass(frozen=True)
class WantedRun:
    """One run of the plan, and its outcome."""

    dataset: str
    engine: str
    repetition: Annotated[Count, Field(ge=1)]
    key: Name
    order: Count
    status: Literal["finished", "failed", "missing"]
    reason: Text | None = None
    attempts: Count = 0
    path: Inside | None = None
    """Its run directory; None unless it finished."""
    manifest_sha256: str | None = None
    recorded_as: str | None = None
    """Checksum of the manifest as recorded, if a bundle left out some of the run's files."""

    @property
    def name(self) -> str:
        """How messages name the run."""
        return f"{self.dataset}, {self.engine}, repetition {self.repetition}"


@dataclass(frozen=True)
class Index:
    """The content of an index; its relative paths start at `root`, the folder of `results/`."""

    root: Path
    machine: Machine
    deployment: Name
    report: Report
    engines: Annotated[tuple[Engine, ...], Field(min_length=1, max_length=MAX_NAMES)]
    datasets: Annotated[tuple[Dataset, ...], Field(min_length=1, max_length=MAX_NAMES)]
    parameters: dict[str, Any]
    runs: Annotated[tuple[WantedRun, ...], Field(min_length=1)]
    calibration: Calibration | None = None
    lines: CodeLines | None = None
    absent: Annotated[tuple[Absent, ...], Field(max_length=MAX_NAMES)] = ()

    @property
    def finished(self) -> tuple[WantedRun, ...]:
        """The finished runs, in the order of the plan."""
        return tuple(run for run in self.runs if run.status == "finished")

    @property
    def main(self) -> tuple[Engine, ...]:
        """The engines that are compared with each other: all except arms."""
        return tuple(engine for engine in self.engines if engine.arm_of is None)

    def groups(self) -> list[tuple[Dataset, Engine]]:
        """Every dataset with each engine that trains on it, in the order of the configuration."""
        wanted = {(run.dataset, run.engine) for run in self.runs}
        groups = []
        for dataset, engine in itertools.product(self.datasets, self.engines):
            # Arms train on some datasets only.
            if engine.arm_of is None or (dataset.name, engine.name) in wanted:
                groups.append((dataset, engine))
        return groups

    def pairs(self, dataset: str) -> list[tuple[Engine, Engine]]:
        """Baseline and engine of each comparison: main engines in pairs, an arm with its engine."""
        pairs = list(itertools.combinations(self.main, 2))
        main = {engine.name: engine for engine in self.main}
        for other, engine in self.groups():
            if other.name == dataset and engine.arm_of is not None:
                pairs.append((main[engine.arm_of], engine))
        return pairs

    def group_runs(self, dataset: str, engine: str) -> list[WantedRun]:
        """The wanted runs of one dataset and engine, sorted by repetition."""
        runs = [run for run in self.runs if (run.dataset, run.engine) == (dataset, engine)]
        return sorted(runs, key=lambda run: run.repetition)


_INDEX = TypeAdapter(Index)


def read_index(path: Path) -> Index:
    """Read and check an index file.

    Raises EvengroundError if the file is missing or broken, belongs to an experiment of several
    parts, or contradicts itself.
    """
    content = read_json(path)
    if isinstance(content, dict) and "parts" in content and "runs" not in content:
        raise EvengroundError(
            "an experiment of several parts, each with an index of its own",
            str(path),
            "name one of its parts, as in results/native/parts/NAME",
        )
    return parse_index(content, root_of(path), path)


def parse_index(content: Any, root: Path, where: Path) -> Index:
    """Check the content of an index file whose paths start at `root`.

    Raises EvengroundError as `read_index` does.
    """
    if not isinstance(content, dict) or not isinstance(content.get("schema"), int):
        raise _broken("it has no schema number", where)
    # The version comes first: another one may have other fields.
    if content["schema"] != versions.INDEX:
        raise versions.OtherVersionError(content["schema"], versions.INDEX, where)
    try:
        index = _INDEX.validate_python({**content, "root": root})
    except ValidationError as error:
        raise _broken(str(first_fault(error)), where) from error
    _check_names(index, where)
    _check_runs(index, where)
    _check_one_class(index, where)
    return index


def root_of(path: Path) -> Path:
    """The folder that holds `results/`, at which the paths of an index start."""
    # `results`, a folder in it and the index itself may be links into a cache, under other names.
    # The path as given is therefore searched first, then where the index really lies.
    as_given = absolute(path)
    for way in (as_given, real(path.parent) / path.name):
        for folder in way.parents:
            if folder.name == "results":
                return folder.parent
    return as_given.parents[1]


def _broken(fault: str, where: Path) -> EvengroundError:
    return EvengroundError(f"broken index, {fault}", str(where), set_aside(where))


def _check_names(index: Index, where: Path) -> None:
    """Refuse datasets or engines that appear twice, and arms of unknown engines."""
    datasets = [dataset.name for dataset in index.datasets]
    engines = [engine.name for engine in index.engines]
    # One name for an engine with runs and one without would be ambiguous.
    engines += [engine.name for engine in index.absent]
    if len(set(datasets)) < len(datasets) or len(set(engines)) < len(engines):
        raise _broken("a dataset or an engine stands there twice", where)
    main = {engine.name for engine in index.main}
    for engine in index.engines:
        if engine.arm_of is not None and engine.arm_of not in main:
            arm = f"'{engine.name}' is an arm of '{engine.arm_of}'"
            raise _broken(f"{arm}, which is no engine of it", where)


def _check_runs(index: Index, where: Path) -> None:
    """Refuse a run that appears twice, has an unknown dataset or engine, or has no folder."""
    datasets = {dataset.name for dataset in index.datasets}
    engines = {engine.name for engine in index.engines}
    seen = set()
    for run in index.runs:
        if run.dataset not in datasets or run.engine not in engines:
            fault = "names a dataset or engine that the index does not list"
            raise _broken(f"run {run.name} {fault}", where)
        if run.name in seen:
            raise _broken(f"run {run.name} appears twice", where)
        seen.add(run.name)
        if run.status == "finished" and (run.path is None or run.manifest_sha256 is None):
            fault = "is finished but has no folder or no manifest checksum"
            raise _broken(f"run {run.name} {fault}", where)


def _check_one_class(index: Index, where: Path) -> None:
    """Refuse run directories of more than one machine class: a mean over machines means nothing."""
    classes = set()
    for run in index.finished:
        # .../CLASS/DATASET/ENGINE/KEY/rN
        parts = Path(str(run.path)).parts
        classes.add(parts[-5] if len(parts) >= 5 else "?")
    if len(classes) > 1:
        raise EvengroundError(
            f"runs of several machine classes in one index: {', '.join(sorted(classes))}",
            str(where),
            "choose one class with the parameter 'machine'; nothing averages over classes",
        )
