"""`index.json`: the wanted runs, their outcomes and their run directories."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, ClassVar, Literal, Self, TypeVar

from pydantic import Field, PrivateAttr, model_validator

from evenground.errors import EvengroundError
from evenground.files import absolute, real
from evenground.records import versions
from evenground.records.base import Fields, Record
from evenground.records.plan import (
    PLAN,
    Dataset,
    Described,
    Engine,
    FileBeside,
    Machine,
    PlanFile,
    Wanted,
    names_of,
)
from evenground.records.values import Count, Inside, Text
from evenground.validation import Name

Thing = TypeVar("Thing", Machine, Engine, Dataset)


class EngineLines(Fields):
    """Lines of an engine's files in one language."""

    engine: Name
    """Name of the engine."""
    language: Text
    """Language of the files."""
    files: Count
    """Number of files."""
    lines: Count
    """Physical lines."""
    code_lines: Count
    """Lines with code."""
    comment_lines: Count
    """Lines that are only a comment."""


class ThesisLines(Fields):
    """Lines of one of the thesis's trainers under an instrument."""

    instrument: Name
    """As of a claim: `corrected` or `as-published`."""
    code: Name
    """Name of the trainer."""
    files: Count = 0
    """Number of files."""
    lines: Count = 0
    """Physical lines."""
    code_lines: Count = 0
    """Lines with code."""
    comment_lines: Count = 0
    """Lines that are only a comment."""
    sha256: dict[Inside, Text] = Field(default={})
    """Counted file -> its checksum."""
    absent: Text | None = None
    """Why nothing was counted; null: it was."""


class CodeLines(Fields):
    """Lines of code."""

    counter: Text
    """The program that counted them."""
    engines: tuple[EngineLines, ...]
    """Of the engines that are compared."""
    thesis: tuple[ThesisLines, ...]
    """Of the thesis's trainers."""


class WantedRun(Wanted):
    """One run of the plan, and its outcome."""

    status: Literal["finished", "failed", "missing"]
    """What became of it."""
    reason: Text | None = None
    """Why it failed; null unless it did."""
    attempts: Count = 0
    """How often it was tried."""
    path: Inside | None = None
    """Its run directory; null unless it finished."""
    manifest_sha256: str | None = None
    """Checksum of its manifest; null unless it finished."""
    recorded_as: str | None = None
    """Checksum of the manifest as recorded, if a bundle changed files of the run; null: it did not."""


class Condition(Described):
    """A condition of an experiment with what became of its runs."""

    calibration: FileBeside | None = None
    """The calibration of the sampler on this class of machine; null: there is none."""
    runs: Annotated[tuple[WantedRun, ...], Field(min_length=1)]
    """The wanted runs, in the order of training."""
    _root: Path = PrivateAttr(default=Path())

    @property
    def root(self) -> Path:
        """The folder of `results/`, at which its relative paths start; it is not in the file."""
        return self._root

    def below(self, root: Path) -> Self:
        """The same condition, with paths that start at `root`."""
        condition = self.model_copy()
        condition._root = root
        return condition

    def with_runs(self, runs: tuple[WantedRun, ...]) -> Self:
        """The same condition, with other runs."""
        return self.model_copy(update={"runs": runs})

    @property
    def finished(self) -> tuple[WantedRun, ...]:
        """The finished runs, in the order of the plan."""
        return tuple(run for run in self.runs if run.status == "finished")

    @property
    def unfinished(self) -> tuple[WantedRun, ...]:
        """The other runs."""
        return tuple(run for run in self.runs if run.status != "finished")

    @property
    def run_paths(self) -> set[Path]:
        """MACHINE/DATASET/ENGINE/KEY/rN of every wanted run."""
        return {run.path_on(self.machine.class_name) for run in self.runs}

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

    @model_validator(mode="after")
    def _check_names(self) -> Self:
        """Refuse datasets or engines that appear twice, and arms of unknown engines."""
        datasets = [dataset.name for dataset in self.datasets]
        engines = [engine.name for engine in self.engines]
        # One name for an engine with runs and one without would be ambiguous.
        engines += [engine.name for engine in self.absent]
        if len(set(datasets)) < len(datasets) or len(set(engines)) < len(engines):
            raise ValueError("a dataset or an engine stands there twice")
        main = {engine.name for engine in self.main}
        for engine in self.engines:
            if engine.arm_of is not None and engine.arm_of not in main:
                arm = f"'{engine.name}' is an arm of '{engine.arm_of}'"
                raise ValueError(f"{arm}, which is no engine of it")
        return self

    @model_validator(mode="after")
    def _check_runs(self) -> Self:
        """Refuse a run that appears twice, has an unknown dataset or engine, or has no folder."""
        datasets = {dataset.name for dataset in self.datasets}
        engines = {engine.name for engine in self.engines}
        seen = set()
        for run in self.runs:
            if run.dataset not in datasets or run.engine not in engines:
                fault = "names a dataset or engine that the index does not list"
                raise ValueError(f"run {run.name} {fault}")
            if run.name in seen:
                raise ValueError(f"run {run.name} appears twice")
            seen.add(run.name)
            if run.status == "finished" and (run.path is None or run.manifest_sha256 is None):
                fault = "is finished but has no folder or no manifest checksum"
                raise ValueError(f"run {run.name} {fault}")
        return self


class Index(Record):
    """The content of an index. Its relative paths start at `root`, which is not in the file."""

    WHAT: ClassVar[str] = "index"
    SCHEMA: ClassVar[int] = versions.INDEX

    swept: tuple[Name, ...] = ()
    """The parameters of which the experiment has several values."""
    conditions: Annotated[tuple[Condition, ...], Field(min_length=1)]
    """Each machine class with each value of the swept parameters, in the order of the plan."""
    lines: CodeLines | None = None
    """Lines of code; null: not counted."""
    _root: Path = PrivateAttr(default=Path())

    @property
    def root(self) -> Path:
        """The folder of `results/`."""
        return self._root

    def below(self, root: Path) -> Self:
        """The same index, with paths that start at `root`."""
        conditions = tuple(condition.below(root) for condition in self.conditions)
        index = self.model_copy(update={"conditions": conditions})
        index._root = root
        return index

    @property
    def first(self) -> Condition:
        """The only condition, or the first one: for what is the same in all of them."""
        return self.conditions[0]

    @property
    def named(self) -> dict[str, Condition]:
        """What tells each condition from the others -> the condition."""
        names = names_of([(each.machine.class_name, each.values) for each in self.conditions])
        return dict(zip(names, self.conditions, strict=True))

    @property
    def runs(self) -> tuple[WantedRun, ...]:
        """The wanted runs of all conditions."""
        return tuple(run for condition in self.conditions for run in condition.runs)

    @property
    def finished(self) -> tuple[WantedRun, ...]:
        """The finished runs of all conditions."""
        return tuple(run for run in self.runs if run.status == "finished")

    @property
    def run_paths(self) -> set[Path]:
        """MACHINE/DATASET/ENGINE/KEY/rN of every wanted run."""
        return {path for condition in self.conditions for path in condition.run_paths}

    @property
    def files_beside(self) -> list[FileBeside]:
        """The calibrations and contact sheets of all conditions, each once."""
        files = [condition.calibration for condition in self.conditions]
        files += [dataset.contact_sheet for dataset in self.datasets]
        return list({file.path: file for file in files if file}.values())

    @property
    def machines(self) -> list[Machine]:
        """The machine classes, each once."""
        return each_once(condition.machine for condition in self.conditions)

    @property
    def class_names(self) -> list[str]:
        """The names of the machine classes."""
        return [machine.class_name for machine in self.machines]

    @property
    def engines(self) -> list[Engine]:
        """The engines of any condition, each once: one machine may lack an engine."""
        return each_once(engine for each in self.conditions for engine in each.engines)

    @property
    def datasets(self) -> list[Dataset]:
        """The datasets of any condition, each once."""
        return each_once(dataset for each in self.conditions for dataset in each.datasets)

    @model_validator(mode="after")
    def _check_conditions(self) -> Self:
        """Refuse conditions that are the same, or that are not what their parameters say."""
        seen: list[tuple[str, dict[str, int | float | str]]] = []
        for condition in self.conditions:
            machine = condition.machine.class_name
            if (machine, condition.values) in seen:
                raise ValueError(f"a condition on {machine} stands there twice")
            seen.append((machine, condition.values))
            if tuple(condition.values) != self.swept:
                raise ValueError(f"a condition on {machine} has not a value of each of `swept`")
            for name, value in condition.values.items():
                if getattr(condition.parameters, name, None) != value:
                    raise ValueError(f"a condition on {machine} has another {name} than it trained")
        if len({condition.deployment for condition in self.conditions}) > 1:
            raise ValueError("conditions of several deployments")
        return self


def each_once(things: Iterable[Thing]) -> list[Thing]:
    """The first thing of each name, in order."""
    named: dict[str, Thing] = {}
    for thing in things:
        named.setdefault(thing.name, thing)
    return list(named.values())


def read_index(path: Path) -> Index:
    """Read and check an index file; raises EvengroundError if it is missing or broken."""
    return Index.read(path).below(root_of(path))


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


def named_runs(path: Path, fix: str) -> set[Path]:
    """MACHINE/DATASET/ENGINE/KEY/rN of every run that an index or a plan names.

    Raises EvengroundError with this `fix` if the file is missing, broken or something else.
    """
    try:
        if path.name == PLAN:
            return PlanFile.read(path).run_paths
        return Index.read(path).run_paths
    except EvengroundError as error:
        raise EvengroundError(error.what, str(path), fix) from None
