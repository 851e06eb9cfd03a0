"""`index.json`: which runs were wanted, which of them finished, and where their folders lie."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, TypeAdapter, ValidationError

from evenground.errors import EvengroundError, set_aside
from evenground.files import absolute, read_json, real
from evenground.records import versions
from evenground.validation import ClassName, Name, first_fault, has_gpu


def _inside(path: str) -> str:
    """A relative path that stays below the folder it starts from: an index may come from anybody."""
    if not path or Path(path).is_absolute() or ".." in Path(path).parts:
        raise ValueError("the path leads out of the folder of the index")
    return printable(path)


def printable(text: str) -> str:
    """Text that cannot break a line, a table, an SVG file or a terminal."""
    if not text.isprintable() or not text.strip():
        raise ValueError("the text is blank or has a control character")
    return text


Inside = Annotated[str, Field(max_length=1000), AfterValidator(_inside)]
# Words become parts of figures.
Words = Annotated[str, Field(max_length=500), AfterValidator(printable)]
Count = Annotated[int, Field(ge=0, le=10**9)]
Amount = Annotated[int, Field(ge=1, le=10**9)]
Look = Annotated[int, Field(ge=4, le=10_000)]
# Every pair of a dataset and an engine is drawn.
MAX_NAMES = 100


@dataclass(frozen=True)
class Machine:
    """The class of machine all runs of an index were measured on."""

    class_name: Annotated[ClassName, Field(validation_alias="class")]
    description: Words

    @property
    def has_gpu(self) -> bool:
        """Whether machines of this class have a GPU."""
        return has_gpu(self.class_name)


@dataclass(frozen=True)
class Calibration:
    """The sampler's calibration on that class of machine, relative to the folder that holds `results/`."""

    path: Inside
    sha256: str


@dataclass(frozen=True)
class Report:
    """Settings of the analysis; `grid_s` is the step of the common time grid in seconds."""

    grid_s: Annotated[float, Field(ge=1e-3, le=60.0)]
    stand_ins: dict[Name, Name] = field(default_factory=dict)
    """Role or dataset of a claim -> engine or dataset that plays it."""
    looks: Annotated[tuple[Look, ...], Field(max_length=10)] | Literal["precision"] = ()
    """Numbers of repetitions at which verdicts are planned; `precision`: whenever they are precise enough."""
    design: Literal["blocks", "independent"] = "blocks"
    """Whether a repetition is a block of runs of one machine, whose runs are paired."""


@dataclass(frozen=True)
class Engine:
    """One engine; `colour` is #rrggbb; `arm_of` names what it varies.

    `train_limit`: how many of the first examples it trained on; None for all, and in indexes from before.
    `options`: those that are not its folder's defaults; in indexes from before none is known.
    `environment` is what its lock is called: `envs/NAME.txt` below the folder that holds `results/`.
    `wait_policy`: how its runtime's threads wait for work; None where that is not recorded.
    """

    name: Name
    label: Words
    colour: Annotated[str, Field(pattern="^#[0-9A-Fa-f]{6}$")]
    arm_of: Name | None = None
    train_limit: Amount | None = None
    environment: Name | None = None
    wait_policy: Words | None = None
    options: dict[Name, bool | int | float | Words] = field(default_factory=dict)


@dataclass(frozen=True)
class Absent:
    """An engine the experiment names that has no run, for it is not installed on the machine; why not."""

    name: Name
    label: Words
    reason: Words


@dataclass(frozen=True)
class Dataset:
    """One dataset; `prepared` is its prepared folder, relative to the folder that holds `results/`.

    `train_examples`: how many it has for training; None in indexes from before that was written.
    """

    name: Name
    title: Words
    network: Words
    prepared: Inside | None = None
    train_examples: Amount | None = None

    def sample(self, engine: Engine) -> int | None:
        """How many of its first examples an engine trained on; None where those are all."""
        limit = engine.train_limit
        return None if limit is None or limit >= (self.train_examples or math.inf) else limit

    def unlike(self, first: Engine, second: Engine) -> str:
        """Why the trainings of two engines are not the same work; empty where they are."""
        samples = [self.sample(engine) for engine in (first, second)]
        limit = samples[1] or samples[0]
        return "" if samples[0] == samples[1] else f"trained on {limit:,} examples only"


@dataclass(frozen=True)
class EngineLines:
    """Lines of an engine's files in one language: all of them, those with code, those with only a comment."""

    engine: Name
    language: Words
    files: Count
    lines: Count
    code_lines: Count
    comment_lines: Count


@dataclass(frozen=True)
class ThesisLines:
    """The same of a trainer of the thesis as an instrument takes it; `absent` says why nothing was counted.

    `sha256` is that of each counted file.
    """

    instrument: Name
    code: Name
    files: Count = 0
    lines: Count = 0
    code_lines: Count = 0
    comment_lines: Count = 0
    sha256: dict[Inside, Words] = field(default_factory=dict)
    absent: Words | None = None


@dataclass(frozen=True)
class CodeLines:
    """Lines of code, and what counted them."""

    counter: Words
    engines: tuple[EngineLines, ...]
    thesis: tuple[ThesisLines, ...]


@dataclass(frozen=True)
class WantedRun:
    """One run the configuration asks for; `path` is None unless it finished.

    `recorded_as`: checksum of its manifest as it was recorded, where a bundle left something of it out.
    """

    dataset: str
    engine: str
    repetition: Annotated[Count, Field(ge=1)]
    key: Name
    order: Count
    status: Literal["finished", "failed", "missing"]
    reason: Words | None = None
    attempts: Count = 0
    path: Inside | None = None
    manifest_sha256: str | None = None
    recorded_as: str | None = None

    @property
    def name(self) -> str:
        """The run in words, for messages."""
        return f"{self.dataset}, {self.engine}, repetition {self.repetition}"


@dataclass(frozen=True)
class Index:
    """The whole index. `root` is the folder its relative paths start from (it holds `results/`)."""

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
        """The engines that are compared with each other: all but the arms."""
        return tuple(engine for engine in self.engines if engine.arm_of is None)

    def groups(self) -> list[tuple[Dataset, Engine]]:
        """Every dataset with every engine that shall train on it, in the order of the configuration."""
        wanted = {(run.dataset, run.engine) for run in self.runs}
        return [
            (dataset, engine)
            for dataset in self.datasets
            for engine in self.engines
            if engine.arm_of is None or (dataset.name, engine.name) in wanted
        ]

    def pairs(self, dataset: str) -> list[tuple[Engine, Engine]]:
        """Baseline and engine of each comparison: main engines with each other, each arm with its own."""
        here = [engine for named, engine in self.groups() if named.name == dataset]
        main = [engine for engine in here if engine.arm_of is None]
        arms = [(base, arm) for arm in here for base in main if arm.arm_of == base.name]
        return [*itertools.combinations(main, 2), *arms]

    def group_runs(self, dataset: str, engine: str) -> list[WantedRun]:
        """The wanted runs of one dataset and engine, by repetition."""
        mine = [run for run in self.runs if (run.dataset, run.engine) == (dataset, engine)]
        return sorted(mine, key=lambda run: run.repetition)


@dataclass(frozen=True)
class _Schema:
    """The version of the file."""

    schema_version: Annotated[int, Field(validation_alias="schema")]


_SCHEMA, _INDEX = TypeAdapter(_Schema), TypeAdapter(Index)


def read_index(path: Path) -> Index:
    """Read and check an index file.

    Raises EvengroundError when the file is missing, broken, that of an experiment of several parts, names
    anything twice or a run of an unknown dataset or engine, calls a run finished without saying where it
    lies, or mixes machine classes.
    """
    content = read_json(path)
    if isinstance(content, dict) and "parts" in content and "runs" not in content:
        name_one = "name one of its parts, as in results/native/parts/NAME"
        raise EvengroundError(
            "an experiment of several parts, each with an index of its own", str(path), name_one
        )
    return parse_index(content, root_of(path), path)


def parse_index(content: Any, root: Path, where: Path) -> Index:
    """The content of an index file whose paths start from `root`; EvengroundError as by `read_index`."""
    try:
        schema = _SCHEMA.validate_python(content).schema_version
        if schema != versions.INDEX:
            raise versions.OtherVersionError(schema, versions.INDEX, where)
        index = _INDEX.validate_python({**content, "root": root})
    except ValidationError as error:
        raise EvengroundError(
            f"broken index, {first_fault(error)}", str(where), set_aside(where)
        ) from error
    _check(index, where)
    return index


def root_of(path: Path) -> Path:
    """The folder that holds `results/`, however deep in it an index lies: its paths start there.

    What the way to the index is called counts first: `results`, a folder in it and the index itself may be
    links, to folders of other names or into a cache. Then comes where its folder really lies.
    """
    ways = (absolute(path), real(path.parent) / path.name)
    tops = (folder.parent for way in ways for folder in way.parents if folder.name == "results")
    return next(tops, ways[0].parents[1])


def _check(index: Index, path: Path) -> None:
    """Refuse an index whose parts contradict each other."""
    datasets, engines = {d.name for d in index.datasets}, {e.name for e in index.engines}
    named = engines | {e.name for e in index.absent}
    if len(datasets) < len(index.datasets) or len(named) < len(index.engines) + len(index.absent):
        raise EvengroundError(
            "broken index, a dataset or an engine stands there twice", str(path), set_aside(path)
        )
    twice = Counter((run.dataset, run.engine, run.repetition) for run in index.runs)
    for run in index.runs:
        fault = None
        if run.dataset not in datasets or run.engine not in engines:
            fault = "names a dataset or engine that the index does not list"
        elif twice[(run.dataset, run.engine, run.repetition)] > 1:
            fault = "appears twice"
        elif run.status == "finished" and (run.path is None or run.manifest_sha256 is None):
            fault = "is finished but has no folder or no manifest checksum"
        if fault:
            raise EvengroundError(
                f"broken index, run {run.name} {fault}", str(path), set_aside(path)
            )
    main = {engine.name for engine in index.main}
    for engine in index.engines:
        if engine.arm_of is not None and engine.arm_of not in main:
            what = f"broken index, '{engine.name}' is an arm of '{engine.arm_of}', which is no engine of it"
            raise EvengroundError(what, str(path), set_aside(path))
    _one_class(index, path)


def _one_class(index: Index, path: Path) -> None:
    """Refuse run folders of more than one machine class: a mean over machines means nothing."""
    parts = (Path(run.path).parts for run in index.finished if run.path is not None)
    classes = sorted({p[-5] if len(p) >= 5 else "?" for p in parts})
    if len(classes) > 1:
        raise EvengroundError(
            f"runs of several machine classes in one index: {', '.join(classes)}",
            str(path),
            "choose one class with the parameter 'machine'; nothing averages over classes",
        )
