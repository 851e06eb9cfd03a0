"""`parts.json`: into which parts an experiment is split, and the index of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, TypeAdapter, ValidationError

from evenground.errors import EvengroundError, set_aside
from evenground.files import read_json, sha256_file
from evenground.records.index import Index, Indexes, IndexOfPart, read_index, root_of
from evenground.records.plan import Dataset, Engine, Machine, Run
from evenground.records.values import Inside, Text
from evenground.validation import ClassName, Name, first_fault

# A class's name and every value in it, as a part of a path.
PartName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.+-]{0,254}$")]
Parameter = Annotated[str, Field(pattern=r"^[a-z][a-z_]{0,63}$")]
Value = int | float | Text


@dataclass(frozen=True)
class Planned:
    """A part as the plan names it; `folder` starts from the folder that holds `results/`."""

    name: PartName
    folder: Inside
    machine: ClassName
    settings: dict[Parameter, Value]


@dataclass(frozen=True)
class _File:
    schema_version: Annotated[Literal[1], Field(validation_alias="schema")]
    deployment: Name
    swept: tuple[Parameter, ...]
    machines: Annotated[tuple[ClassName, ...], Field(min_length=1)]
    parts: Annotated[tuple[Planned, ...], Field(min_length=1)]


_FILE = TypeAdapter(_File)


@dataclass(frozen=True)
class Part:
    """One machine class and one value of each parameter, with the index of its runs."""

    planned: Planned
    folder: Path
    index: Index

    @property
    def name(self) -> str:
        """The part's name, which is that of its folder."""
        return self.planned.name

    @property
    def machine(self) -> str:
        """The class of machine that all of its runs were measured on."""
        return self.planned.machine

    @property
    def settings(self) -> dict[str, Value]:
        """Swept parameter -> its value in this part."""
        return self.planned.settings

    def file(self, name: str) -> Path:
        """A file of the part; EvengroundError where it is missing."""
        path = self.folder / name
        if not path.is_file():
            raise EvengroundError(
                "a file of a part is missing", str(path), "run the pipeline again to make it"
            )
        return path


@dataclass(frozen=True)
class Parts:
    """All parts in the order of the plan, and by what they differ."""

    deployment: str
    swept: tuple[str, ...]
    machines: tuple[str, ...]
    parts: tuple[Part, ...]

    @property
    def leading(self) -> tuple[str, ...]:
        """The columns that say which part a row is of."""
        return (*(("machine",) if len(self.machines) > 1 else ()), *self.swept)

    def lead(self, part: Part) -> dict[str, Value]:
        """Their values for one part."""
        values: dict[str, Value] = {"machine": part.machine, **part.settings}
        return {name: values[name] for name in self.leading}

    def described(self) -> list[Machine]:
        """The machine classes, with the words that their indexes have for them."""
        found = {part.machine: part.index.machine for part in reversed(self.parts)}
        return [found[name] for name in self.machines]

    def absent(self, machine: str) -> dict[str, str]:
        """Engines that are not installed on a machine: label -> why it is left out there."""
        mine = [part.index for part in self.parts if part.machine == machine]
        return {engine.label: engine.reason for index in mine for engine in index.absent}

    @property
    def datasets(self) -> list[Dataset]:
        """Every dataset of any part, each once."""
        found: dict[str, Dataset] = {}
        for part in self.parts:
            found |= {d.name: d for d in part.index.datasets if d.name not in found}
        return list(found.values())

    @property
    def engines(self) -> list[Engine]:
        """Every engine of any part, each once: one that is not installed everywhere is in some only."""
        found: dict[str, Engine] = {}
        for part in self.parts:
            found |= {e.name: e for e in part.index.engines if e.name not in found}
        return list(found.values())


def read_parts(path: Path) -> Parts:
    """Read the list of parts and the index of each.

    Raises EvengroundError when the list or an index is missing or broken, when parts are the same, or when
    an index is of another machine class, deployment or value than the list says.
    """
    try:
        content = _FILE.validate_python(read_json(path))
    except ValidationError as error:
        raise EvengroundError(
            f"broken list of parts, {first_fault(error)}", str(path), set_aside(path)
        ) from error
    _check(content, path)
    root = root_of(path)
    parts = tuple(_read(planned, root, content.deployment) for planned in content.parts)
    return Parts(content.deployment, content.swept, content.machines, parts)


def _check(content: _File, path: Path) -> None:
    """Refuse a list whose entries contradict each other."""
    faults = [_fault(planned, content) for planned in content.parts]
    for names, what in (
        ([planned.name for planned in content.parts], "two parts of one name"),
        (
            [(p.machine, *p.settings.items()) for p in content.parts],
            "two parts of one machine and one value",
        ),
        (content.machines, "a machine named twice"),
        (content.swept, "a parameter named twice"),
    ):
        faults += [what] if _twice(names) else []
    for fault in filter(None, faults):
        raise EvengroundError(f"broken list of parts, {fault}", str(path), set_aside(path))


def _twice(names: Sequence[object]) -> bool:
    return len(set(names)) < len(names)


def _fault(planned: Planned, content: _File) -> str:
    if planned.machine not in content.machines:
        return f"part {planned.name} is of a machine that the list does not name"
    if tuple(planned.settings) != content.swept:
        return f"part {planned.name} has not the values of {', '.join(content.swept) or 'no parameter'}"
    return ""


def _read(planned: Planned, root: Path, deployment: str) -> Part:
    """A part with its index, which must be that of the part."""
    where = root / planned.folder / "index.json"
    index = read_index(where)
    said = dict(index.parameters)
    said |= {"machine": index.machine.class_name, "deployment": index.deployment}
    for name, value in {
        "machine": planned.machine,
        "deployment": deployment,
        **planned.settings,
    }.items():
        if name in said and said[name] != value:
            what = f"the index of part {planned.name} has {name} {said[name]}, not {value}"
            raise EvengroundError(what, str(where), set_aside(where))
    return Part(planned, root / planned.folder, index)


def indexes(parts: Parts) -> Indexes:
    """The `index.json` of an experiment of several parts: where the index of each lies, and its sha256.

    It names every wanted run, so that whoever has this file alone knows which ones belong to it.
    """
    return Indexes(parts=tuple(_listed(part) for part in parts.parts))


def _listed(part: Part) -> IndexOfPart:
    of = {"machine": part.machine}
    names = set(Run.model_fields)
    runs = [run.model_dump(include=names) | of for run in part.index.runs]
    return IndexOfPart(
        name=part.name,
        machine=part.machine,
        settings=part.settings,
        index=f"{part.planned.folder}/index.json",
        sha256=sha256_file(part.file("index.json")),
        runs=tuple(Run.model_validate(run) for run in runs),
    )
