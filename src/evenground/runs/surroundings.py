"""What a training ran in besides its own environment, read where and when it ran."""

from __future__ import annotations

import os
import resource
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from evenground.environments.cache import CACHE
from evenground.errors import EvengroundError
from evenground.files import read_json, real
from evenground.gpus.choice import VISIBLE
from evenground.records.surroundings import SurroundingsRecord
from evenground.runs.installed import without_paths
from evenground.runs.links import folders_elsewhere, outside_of
from evenground.runs.variables import CAN_DIFFER, DRIVER, programs_of
from evenground.sidecar.mounts import read_mounts
from evenground.surroundings.mapped import (
    Places,
    image_places,
    native_places,
    places_of,
    sorted_out,
)
from evenground.surroundings.mounts import MOUNTINFO, foreign_mounts

if TYPE_CHECKING:
    from evenground.runs.training import Training

POLICIES = {
    os.SCHED_OTHER: "other",
    os.SCHED_BATCH: "batch",
    os.SCHED_IDLE: "idle",
    os.SCHED_FIFO: "fifo",
    os.SCHED_RR: "round robin",
}
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
    """File -> label of where it lies, empty if that is foreign; None if they are unknown."""
    missing: str = ""
    """Why some or all are unknown."""


def surroundings_of(training: Training, home: Path, files: Files) -> SurroundingsRecord:
    """The record of a training that has just ended; `home` was its home folder."""
    root = training.root
    missing: dict[str, str] = {}
    mounts = _mounts(training, missing)
    counts = foreign = None
    if files.places is not None:
        counts, paths = sorted_out(files.places)
        foreign = [_shown(path, root) for path in paths]
    if files.missing:
        missing["mapped"] = files.missing
    given = training.variables(home)
    if given.get(VISIBLE):
        # The record of the GPU has the card; its UUID must not leave this machine.
        given[VISIBLE] = "the chosen card"
    return SurroundingsRecord(
        image=_image(training, missing),
        variables={name: _shown(given[name], root) for name in CAN_DIFFER if name in given},
        process=inherited(),
        mounts=mounts,
        mapped=counts,
        foreign=foreign,
        cold_start=training.cold and not training.warms_up,
        missing=missing,
    )


def mapped_files(training: Training, home: Path, mapped: Path) -> Files:
    """Where each file lies that the training mapped as code; `mapped`: the sampler's list."""
    ours = _bound(training)
    if isinstance(ours, str):
        return Files(places=None, missing=ours)
    try:
        content = read_json(mapped)
        places = _places(training, home, ours)
    except EvengroundError as error:
        return Files(places=None, missing=f"the sampler left no list of them: {error.what}")
    except OSError as error:
        return Files(places=None, missing=f"the mounts cannot be read: {error.strerror}")
    missing = content["missing"] or ""
    if not content["files"]:
        return Files(places=None, missing=missing)
    return Files(places=places_of(content["files"], places), missing=missing)


def _shown(path: str, root: Path) -> str:
    """A path without whose machine it is; bytes of a name that is no UTF-8 are escaped."""
    return without_paths(os.fsencode(path).decode("utf-8", "backslashreplace"), root)


def inherited() -> dict[str, str]:
    """What a process inherits from a shell or a scheduler, and what can change times."""
    # This process stands for the engine, which it started.
    policy = os.sched_getscheduler(0)
    inherited = {
        "nice": str(os.getpriority(os.PRIO_PROCESS, 0)),
        "policy": POLICIES.get(policy, str(policy)),
    }
    for name, number in LIMITS.items():
        limit, _ = resource.getrlimit(number)
        inherited[name] = "unlimited" if limit == resource.RLIM_INFINITY else str(limit)
    return inherited


def _image(training: Training, missing: dict[str, str]) -> Literal["mounted", "unpacked"] | None:
    """How Apptainer runs the image; None natively, and if Apptainer does not say."""
    if training.image is None:
        return None
    if not training.container:
        missing["image"] = "Apptainer does not say what it runs"
        return None
    return "mounted" if training.container.endswith(".sif") else "unpacked"


def _mounts(training: Training, missing: dict[str, str]) -> list[str] | None:
    """Foreign mounts inside the image; None if they are unknown."""
    if training.image is None:
        return []
    root = training.root
    ours = _bound(training)
    if isinstance(ours, str):
        missing["mounts"] = ours
        return None
    try:
        mounts = foreign_mounts(root, ours)
    except OSError as error:
        missing["mounts"] = f"the mounts cannot be read: {error.strerror}"
        return None
    return [_shown(mount, root) for mount in mounts]


def _bound(training: Training) -> list[str] | str:
    """Its own folders outside the working copy, and disks in it; or why they are unknown."""
    root = training.root
    sources = training.engine.sources(root)
    try:
        return outside_of(root, sources) + folders_elsewhere(root) + list(training.mounted)
    except EvengroundError as error:
        return f"what is bound for it cannot be told: {error.what}"


def _places(training: Training, home: Path, ours: Sequence[str]) -> Places:
    """Where code of the engine may lie -> label; the last label of a folder wins."""
    own = {str(real(training.root)): COPY, str(real(home)): HOME}
    own |= dict.fromkeys(ours, COPY)
    if training.image is not None:
        # In an image all else is the image itself, or was mounted over it.
        return image_places(own, read_mounts(MOUNTINFO))
    variables = training.variables(home)
    return native_places({**_of_python(training), **_of_programs(training, variables), **own})


def _of_python(training: Training) -> Places:
    """The engine's environment, and the Python that it was made with."""
    python = training.python or Path(sys.executable)
    installation = real(python).parent.parent
    environment = real(python.absolute().parent.parent)
    return {str(installation): "Python", str(environment): "environment"}


def _of_programs(training: Training, variables: Mapping[str, str]) -> Places:
    """What an engine uses that the pipeline does not install: its cache, the driver, programs."""
    places = {}
    if CACHE in variables:
        places[str(real(Path(variables[CACHE])))] = "cache"
    places.update(driver_folders(variables))
    for program in programs_of(training.engine):
        path = shutil.which(program, path=variables["PATH"])
        if path:
            places[str(_installation(real(Path(path))))] = "programs"
    return places


def driver_folders(variables: Mapping[str, str]) -> Places:
    """Folders of the driver's libraries that nothing but LD_LIBRARY_PATH leads to -> `driver`."""
    places = {}
    for name in variables.get("LD_LIBRARY_PATH", "").split(os.pathsep):
        folder = Path(name)
        if name and any((folder / library).is_file() for library in DRIVER):
            places[str(real(folder))] = "driver"
    return places


def _installation(program: Path) -> Path:
    """`/opt/elixir` of `/opt/elixir/bin/elixir`; never a whole home folder or disk."""
    folder = program.parent
    home = Path(os.path.expanduser("~"))  # noqa: PTH111 - Path.home() fails without a home folder
    if folder.name != "bin" or folder.parent in (Path("/"), home):
        return folder
    return folder.parent
