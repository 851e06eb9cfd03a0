"""What a process sees from where it runs, in a container or outside.

Beside the machine's class standard library only: it is run once per image before anything else.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from evenground.errors import words_of
from evenground.preflight.trial import Trial, try_card
from evenground.runs.machine import this_machine
from evenground.surroundings.mounts import MOUNTINFO, root_options

PYTHON_S = 20.0
# Apptainer's own: mount points that the image lacks, and the image.
LAYERS = {"overlay-lowerdir", "rootfs"}
OF_ENGINE = "/opt/evenground"


@dataclass(frozen=True)
class Seen:
    """What is seen; whatever could not be asked is its reason in words instead."""

    cwd: str
    process_table: str
    """Identity of the PID namespace whose processes `/proc` shows."""
    network: str
    """The same of the network namespace, which the lock of trainings is in."""
    user: str
    machine: str
    image: str
    """What stands between the image and what is seen of it, if anything."""
    files: dict[str, str]
    """File or folder -> its size and time; of the kernel's own only that it is there."""
    folders: dict[str, str]
    """Folder -> why nothing can be written there; empty where it can."""
    python: str
    """Why the engine's Python does not start; empty where it does."""
    replaced: str = ""
    """Why the image is not the recorded one; empty where it is."""
    container: str = ""
    """What Apptainer says that it runs: an image file that it mounted, or a folder that it unpacked it to."""
    mounts: list[str] = field(default_factory=list)
    """Mount points in folders of the image, and in the working copy, that neither Apptainer nor we made."""
    trial: Trial | None = None
    """What came of trying CUDA there; None where no engine is to compute on a GPU in it."""


def look(
    files: Sequence[str], folders: Sequence[str], token: str, python: str = "", card: str = ""
) -> Seen:
    """Look at everything; in each of `folders` a file is left whose name has the `token`.

    `card`: UUID of the one on which CUDA is tried; empty for none.
    """
    return Seen(
        cwd=_asked(os.getcwd),
        image=_asked(_image),
        process_table=_asked(_process_table),
        network=_asked(_network),
        user=str(os.getuid()),
        machine=_asked(lambda: this_machine().name),
        files={path: _asked(partial(_size_and_time, path)) for path in files},
        folders={folder: _written(Path(folder), token) for folder in folders},
        python=_started(python) if python else "",
        trial=try_card(card, os.environ) if card else None,
    )


def _asked(answer: Callable[[], str]) -> str:
    try:
        return answer()
    except OSError as error:
        return words_of(error)


def _process_table() -> str:
    """`/proc` must be of this namespace as well, else it shows the processes of another."""
    if str(Path("/proc/self").readlink()) != str(os.getpid()):
        return "/proc shows the processes of another namespace"
    return str(Path("/proc/self/ns/pid").readlink())


def _network() -> str:
    return str(Path("/proc/self/ns/net").readlink())


def _image() -> str:
    """An image is seen as it is where Apptainer lays only its own folder for mount points over it."""
    lower = root_options(MOUNTINFO).get("lowerdir", "")
    layers = {Path(layer).name for layer in lower.split(":")} - {""}
    more = sorted(layers - LAYERS)
    if more:
        return f"layers over it: {', '.join(more)}"
    if os.access(OF_ENGINE, os.W_OK):
        return f"{OF_ENGINE} can be written"
    return ""


def _size_and_time(path: str) -> str:
    seen = Path(path).stat()
    if path.startswith(("/dev/", "/sys/")):
        return "there"
    if not os.access(path, os.R_OK):
        return "it may not be read"
    return f"{seen.st_size} bytes, {seen.st_mtime_ns}"


def left(folder: Path, token: str) -> Path:
    """The file that is left in a folder."""
    return folder / f".evenground-{token}"


def _written(folder: Path, token: str) -> str:
    file = left(folder, token)
    try:
        with file.open("x") as opened:
            opened.write(token)
    except OSError as error:
        return words_of(error)
    return ""


def _started(python: str) -> str:
    try:
        done = subprocess.run(
            [python, "-I", "-S", "-c", ""], capture_output=True, text=True, timeout=PYTHON_S
        )
    except (OSError, subprocess.SubprocessError) as error:
        return words_of(error) if isinstance(error, OSError) else "it does not answer"
    return (
        ""
        if done.returncode == 0
        else " ".join(done.stderr.split()) or f"exit code {done.returncode}"
    )
