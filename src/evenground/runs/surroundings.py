"""What a training ran in beside its own environment, read where and when it ran."""

from __future__ import annotations

import os
import resource
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from evenground.errors import EvengroundError
from evenground.files import read_json, real
from evenground.gpus.choice import VISIBLE
from evenground.runs.installed import without_paths
from evenground.runs.links import folders_elsewhere, outside_of
from evenground.runs.variables import CACHE, CAN_DIFFER, DRIVER, programs_of
from evenground.surroundings.mapped import (
    Places,
    image_places,
    native_places,
    places_of,
    sorted_out,
)
from evenground.surroundings.mounts import foreign_mounts, read_mounts
from evenground.surroundings.record import SurroundingsRecord

if TYPE_CHECKING:
    from evenground.runs.training import Training

POLICIES = {os.SCHED_OTHER: "other", os.SCHED_BATCH: "batch", os.SCHED_IDLE: "idle"}
POLICIES |= {os.SCHED_FIFO: "fifo", os.SCHED_RR: "round robin"}
LIMITS = {
    "stack (bytes)": resource.RLIMIT_STACK,
    "locked memory (bytes)": resource.RLIMIT_MEMLOCK,
    "address space (bytes)": resource.RLIMIT_AS,
    "open files": resource.RLIMIT_NOFILE,
    "processes": resource.RLIMIT_NPROC,
}
COPY, HOME = "working copy", "home folder"


class Files(NamedTuple):
    """The files that a training mapped as code."""

    places: dict[str, str] | None
    """File -> where it lies, in words, and nothing where it is foreign; None where that is not known."""
    missing: str = ""
    """Why they are not all known."""


def surroundings_of(training: Training, home: Path, files: Files) -> SurroundingsRecord:
    """The record of a training that has just ended."""
    root, missing = training.plan.root, dict[str, str]()
    given = training.variables(home)
    mounts = _mounts(training, _bound(training), missing)
    counts, foreign = (None, None) if files.places is None else sorted_out(files.places)
    if files.missing:
        missing["mapped"] = files.missing
    return SurroundingsRecord(
        image=_image(training, missing),
        variables={name: _variable(name, given, root) for name in CAN_DIFFER if name in given},
        process=handed_down(),
        mounts=None if mounts is None else [_shown(place, root) for place in mounts],
        mapped=counts,
        foreign=None if foreign is None else [_shown(path, root) for path in foreign],
        cold_start=training.cold_start,
        missing=missing,
    )


def mapped_files(training: Training, home: Path, mapped: Path) -> Files:
    """Where each file lies that the training mapped as code; `mapped` is the sampler's list of them."""
    ours = _bound(training)
    if isinstance(ours, str):
        return Files(None, ours)
    try:
        content = read_json(mapped)
        places = _places(training, home, training.variables(home), ours)
    except EvengroundError as error:
        return Files(None, f"the sampler left no list of them: {error.what}")
    except OSError as error:
        return Files(None, f"the mounts cannot be read: {error.strerror}")
    missing = content["missing"] or ""
    if not content["files"]:
        return Files(None, missing)
    return Files(places_of(content["files"], places), missing)


def _variable(name: str, given: Mapping[str, str], root: Path) -> str:
    """A variable as it is recorded: which card it names stands elsewhere, and does not leave this machine."""
    if name == VISIBLE and given[name]:
        return "the chosen card"
    return _shown(given[name], root)


def _shown(path: str, root: Path) -> str:
    """A path without whose machine it is; of a name that is no UTF-8 the bytes in words."""
    return without_paths(os.fsencode(path).decode("utf-8", "backslashreplace"), root)


def handed_down() -> dict[str, str]:
    """What a caller's shell or a scheduler hands down to every process: it can change times."""
    policy = os.sched_getscheduler(0)
    limits = {name: resource.getrlimit(number)[0] for name, number in LIMITS.items()}
    words = {
        name: "unlimited" if limit == resource.RLIM_INFINITY else str(limit)
        for name, limit in limits.items()
    }
    return {
        "nice": str(os.getpriority(os.PRIO_PROCESS, 0)),
        "policy": POLICIES.get(policy, str(policy)),
        **words,
    }


def _image(training: Training, missing: dict[str, str]) -> Literal["mounted", "unpacked"] | None:
    """`mounted` or `unpacked`; None natively, and where Apptainer does not say."""
    if training.image is None:
        return None
    if not training.container:
        missing["image"] = "Apptainer does not say what it runs"
        return None
    return "mounted" if training.container.endswith(".sif") else "unpacked"


def _mounts(training: Training, ours: list[str] | str, missing: dict[str, str]) -> list[str] | None:
    if training.image is None:
        return []
    if isinstance(ours, str):
        missing["mounts"] = ours
        return None
    try:
        return foreign_mounts(training.plan.root, ours)
    except OSError as error:
        missing["mounts"] = f"the mounts cannot be read: {error.strerror}"
    return None


def _bound(training: Training) -> list[str] | str:
    """What belongs to it outside of the working copy, or on a disk in it; or why that cannot be told."""
    root = training.plan.root
    sources = training.plan.engine(training.run.engine).sources(root)
    try:
        return [*outside_of(root, sources), *folders_elsewhere(root), *training.mounted]
    except EvengroundError as error:
        return f"what is bound for it cannot be told: {error.what}"


def _places(
    training: Training, home: Path, given: Mapping[str, str], ours: Sequence[str]
) -> Places:
    """Where code of the engine may lie, and what is there; `given` are its variables."""
    own = {str(real(training.plan.root)): COPY, str(real(home)): HOME}
    own |= dict.fromkeys(ours, COPY)
    if training.image is not None:
        return image_places(own, read_mounts())
    return native_places({**_of_pythons(training), **_of_programs(training, given), **own})


def _of_pythons(training: Training) -> Places:
    """The engine's environment and the Python that it was made with."""
    python = training.python or Path(sys.executable)
    installation = str(real(python).parent.parent)
    return {installation: "Python", str(real(python.absolute().parent.parent)): "environment"}


def _of_programs(training: Training, variables: Mapping[str, str]) -> Places:
    """What an engine calls and the pipeline does not install, and what it built in the cache."""
    found = {str(real(Path(variables[CACHE]))): "cache"} if CACHE in variables else {}
    return {**found, **_folders_of_driver(variables), **_folders_of_programs(training, variables)}


def _folders_of_driver(variables: Mapping[str, str]) -> Places:
    """Where the driver's libraries lie, if nothing but the variable says so."""
    folders = [
        Path(folder) for folder in variables.get("LD_LIBRARY_PATH", "").split(os.pathsep) if folder
    ]
    found = [
        folder for folder in folders if any((folder / library).is_file() for library in DRIVER)
    ]
    return {str(real(folder)): "driver" for folder in found}


def _folders_of_programs(training: Training, variables: Mapping[str, str]) -> Places:
    programs = programs_of(training.plan.engine(training.run.engine))
    places = [shutil.which(program, path=variables["PATH"]) for program in programs]
    return {str(_installation(real(Path(place)))): "programs" for place in places if place}


def _installation(program: Path) -> Path:
    """Of `/opt/elixir/bin/elixir` all that lies in `/opt/elixir`; never a whole home folder, or the disk."""
    above = program.parent.parent
    is_whole = above in (Path("/"), Path(os.path.expanduser("~")))  # noqa: PTH111 - there may be none
    return above if program.parent.name == "bin" and not is_whole else program.parent
