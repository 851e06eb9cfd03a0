"""What a process sees from where it runs, inside a container or outside.

Standard library only, except for the machine's class: the probe runs it in each image first.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from evenground.containers.apptainer import IMAGE_FOLDER
from evenground.errors import words_of
from evenground.preflight.trial import Trial, try_card
from evenground.runs.machine import this_machine
from evenground.surroundings.mounts import MOUNTINFO, root_options

PYTHON_S = 20.0
# Apptainer's own layers: mount points that the image does not have, and the image.
LAYERS = {"overlay-lowerdir", "rootfs"}


@dataclass(frozen=True)
class Seen:
    """What a process sees; a text is the reason where something cannot be read."""

    cwd: str
    process_table: str
    """Identity of the PID namespace whose processes `/proc` shows."""
    network: str
    """Identity of the network namespace, to which the lock of trainings belongs."""
    user: str
    machine: str
    image: str
    """How the image is seen in another state than it was built in; empty if it is not."""
    files: dict[str, str]
    """File or folder -> its size and time; for files of the kernel only that it exists."""
    folders: dict[str, str]
    """Folder -> why it cannot be written to; empty if it can."""
    python: str
    """Why the engine's Python does not start; empty if it does."""
    container: str = ""
    """What Apptainer runs: an image file that it mounted, or a folder to which it unpacked one."""
    mounts: list[str] = field(default_factory=list)
    """Foreign mount points in folders of the image and in the working copy."""
    trial: Trial | None = None
    """The result of trying CUDA; None if no engine uses a GPU here."""


def look(
    files: Sequence[str], folders: Sequence[str], token: str, python: str = "", card: str = ""
) -> Seen:
    """Return what this process sees; leaves a file named after `token` in each of `folders`.

    `python`: an interpreter to start; `card`: UUID of the card on which CUDA is tried, or empty.
    """
    trial = None
    if card:
        trial = try_card(card, os.environ)
    return Seen(
        cwd=_or_reason(os.getcwd),
        image=_or_reason(_image),
        process_table=_or_reason(_process_table),
        network=_or_reason(_network),
        user=str(os.getuid()),
        machine=_or_reason(lambda: this_machine().name),
        files={path: _or_reason(partial(_size_and_time, path)) for path in files},
        folders={folder: _why_not_written(Path(folder), token) for folder in folders},
        python=_why_not_started(python),
        trial=trial,
    )


def _or_reason(read: Callable[[], str]) -> str:
    try:
        return read()
    except OSError as error:
        return words_of(error)


def _process_table() -> str:
    # Without a /proc of its own this namespace shows the processes of another one.
    if str(Path("/proc/self").readlink()) != str(os.getpid()):
        return "/proc shows the processes of another namespace"
    return str(Path("/proc/self/ns/pid").readlink())


def _network() -> str:
    return str(Path("/proc/self/ns/net").readlink())


def _image() -> str:
    # Apptainer itself lays only its folder for mount points over an image.
    lower = root_options(MOUNTINFO).get("lowerdir", "")
    layers = {Path(layer).name for layer in lower.split(":")} - {""}
    foreign = sorted(layers - LAYERS)
    if foreign:
        return f"layers over it: {', '.join(foreign)}"
    if os.access(IMAGE_FOLDER, os.W_OK):
        return f"{IMAGE_FOLDER} can be written"
    return ""


def _size_and_time(path: str) -> str:
    status = Path(path).stat()
    # Files of the kernel have other times in each container.
    if path.startswith(("/dev/", "/sys/")):
        return "there"
    if not os.access(path, os.R_OK):
        return "it may not be read"
    return f"{status.st_size} bytes, {status.st_mtime_ns}"


def left(folder: Path, token: str) -> Path:
    """Return the file that `look` leaves in a folder."""
    return folder / f".evenground-{token}"


def _why_not_written(folder: Path, token: str) -> str:
    try:
        with left(folder, token).open("x") as file:
            file.write(token)
    except OSError as error:
        return words_of(error)
    return ""


def _why_not_started(python: str) -> str:
    if not python:
        return ""
    command = [python, "-I", "-S", "-c", ""]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PYTHON_S)
    except subprocess.TimeoutExpired:
        return "it does not answer"
    except OSError as error:
        return words_of(error)
    if done.returncode == 0:
        return ""
    return " ".join(done.stderr.split()) or f"exit code {done.returncode}"
