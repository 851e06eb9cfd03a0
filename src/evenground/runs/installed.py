"""Whether an engine that the pipeline does not install can train on this machine: its own check is asked."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import IO

import yaml

from evenground.engines import Engine
from evenground.gpus.choice import VISIBLE
from evenground.gpus.record import Accelerator
from evenground.runs.variables import of_an_engine, programs_of

PYTHONS = Path("envs/pythons.yaml")
LIMIT_S = 20.0
MAX_CHARACTERS = 300
MAX_BYTES = 2**16
ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def newest_pythons(root: Path) -> dict[str, str]:
    """Environment -> the newest Python that its packages are published for; all others have no such bound."""
    path = root / PYTHONS
    found: dict[str, str] = (
        yaml.safe_load(path.read_text(encoding="utf-8")) if path.is_file() else {}
    )
    return found


def too_new_for(newest: str | None) -> str:
    """Why this Python makes no environment whose packages go up to `newest`; empty where it does."""
    here = sys.version_info[:2]
    if newest is None or here <= tuple(map(int, newest.split("."))):
        return ""
    mine = ".".join(map(str, here))
    return (
        f"its packages are published up to Python {newest}, this is {mine}: call with an older one"
    )


def reasons(
    engines: Iterable[tuple[Engine, Accelerator]], root: Path, card: str | None = None
) -> dict[str, str]:
    """Name -> why it cannot train there, of those whose check fails; arms that share a check ask once.

    `card`: UUID of the one that trainings get.
    """
    answers: dict[tuple[str, ...], str] = {}
    found = {}
    for engine, accelerator in engines:
        # The engine's own environment may not be built yet: what the pipeline installs is not checked.
        command = tuple(engine.check(sys.executable, accelerator))
        if command and command not in answers:
            visible = card if accelerator == "cuda" else "" if card else None
            answers[command] = ask(command, root, programs_of(engine), visible)
        if answers.get(command):
            found[engine.name] = answers[command]
    return found


def ask(
    command: tuple[str, ...], root: Path, programs: Sequence[str] = (), visible: str | None = None
) -> str:
    """Why a check fails, in one printable line without this machine's paths; empty where it passes.

    `visible`: the card that it sees, as a training would; empty: none of those that there are.
    """
    # A home folder of its own: a training of another invocation may be at work in the one of trainings.
    with (
        tempfile.TemporaryDirectory(prefix="evenground-check-") as home,
        tempfile.TemporaryFile() as out,
        tempfile.TemporaryFile() as err,
    ):
        Path(home, "tmp").mkdir()
        env = of_an_engine(1, Path(home), programs)
        if visible is not None:
            env[VISIBLE] = visible
        try:
            process = _start(command, root, env, out, err)
        except (OSError, ValueError) as error:
            why = error.strerror if isinstance(error, OSError) else None
            return one_line(f"its check cannot be started: {command[0]}: {why or error}", root)
        status = _ended(process)
        if status is None:
            return f"its check does not end within {LIMIT_S:.0f} s"
        if status == 0:
            return ""
        said = next(filter(None, (one_line(_read(file), root) for file in (out, err))), "")
    return said or f"its check ends with exit code {status} and does not say why"


def _start(
    command: tuple[str, ...], root: Path, env: dict[str, str], out: IO[bytes], err: IO[bytes]
) -> subprocess.Popen[bytes]:
    """Start it, as a training is, with `env` only; files, for a pipe stays open for its children, too."""
    return subprocess.Popen(
        command,
        cwd=root,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=out,
        stderr=err,
        start_new_session=True,
    )


def _ended(process: subprocess.Popen[bytes]) -> int | None:
    """Its exit code; None where it took too long and was ended with all it had started."""
    try:
        return process.wait(LIMIT_S)
    except subprocess.TimeoutExpired:
        return None
    finally:
        if process.returncode is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _read(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read(MAX_BYTES).decode(errors="replace")


def one_line(text: str, root: Path) -> str:
    """The first line that says something, printable and short; `.` is the working copy, `~` the home folder.

    It goes into the index, which is given away.
    """
    lines = (_printable(line) for line in ESCAPES.sub("", text).splitlines())
    first = next(filter(None, lines), "")
    return without_paths(first, root)[:MAX_CHARACTERS].strip()


def without_paths(text: str, root: Path) -> str:
    """The text with `.` for the working copy and `~` for the home folder."""
    for path, name in _places(root):
        text = re.sub(rf"{re.escape(path)}(?![\w-])", name, text)
    return text


def _printable(line: str) -> str:
    return "".join(letter for letter in " ".join(line.split()) if letter.isprintable()).strip()


def _places(root: Path) -> list[tuple[str, str]]:
    """Paths that say whose machine this is, and what stands for them; the longest first."""
    home = Path(os.path.expanduser("~"))  # noqa: PTH111 - Path.home() fails where there is none
    # In a container the working copy is the home folder, and is called by its own name.
    named = [(home, "~"), (home.resolve(), "~"), (root, "."), (root.resolve(), ".")]
    found = {str(path): name for path, name in named if path.is_absolute() and path != Path("/")}
    return sorted(found.items(), key=lambda place: -len(place[0]))
