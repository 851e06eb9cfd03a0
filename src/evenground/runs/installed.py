"""Whether an engine that the pipeline does not install can train here: its own check decides."""

from __future__ import annotations

import os
import re
import sys
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import IO

import yaml

from evenground import validation
from evenground.commands import exit_code
from evenground.engines import Engine
from evenground.gpus.choice import VISIBLE
from evenground.records.gpus import Accelerator
from evenground.runs.variables import of_an_engine, programs_of

PYTHONS = Path("envs/pythons.yaml")
LIMIT_S = 20.0
MAX_CHARACTERS = 300
MAX_BYTES = 2**16
ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def newest_pythons(root: Path) -> dict[str, str]:
    """Environment -> the newest Python that its packages are published for, if bounded."""
    newest: dict[str, str] = yaml.safe_load((root / PYTHONS).read_text(encoding="utf-8"))
    return newest


def too_new_for(newest: str | None) -> str:
    """Why this Python cannot install packages that exist up to Python `newest`; empty if it can."""
    here = sys.version_info[:2]
    if newest is None or here <= tuple(map(int, newest.split("."))):
        return ""
    version = f"{here[0]}.{here[1]}"
    published = f"its packages are published up to Python {newest}"
    return f"{published}, this is {version}: start the pipeline with an older one"


def failed_checks(
    engines: Iterable[tuple[Engine, Accelerator]], root: Path, card: str | None = None
) -> dict[str, str]:
    """Name -> why the engine cannot train here, of those whose check fails.

    Arms of one engine share a check, which runs once. `card`: UUID of the card that trainings get.
    """
    results: dict[tuple[str, ...], str] = {(): ""}
    failed = {}
    for engine, accelerator in engines:
        # With this Python: the engine's own environment may not be built yet, and is not checked.
        command = tuple(engine.check(sys.executable, accelerator))
        if command not in results:
            visible = card
            if card and accelerator != "cuda":
                visible = ""
            results[command] = failure_of(command, root, programs_of(engine), visible)
        if results[command]:
            failed[engine.name] = results[command]
    return failed


def failure_of(
    command: tuple[str, ...], root: Path, programs: Sequence[str] = (), visible: str | None = None
) -> str:
    """Why a check fails, in one printable line without this machine's paths; empty if it passes.

    `visible`: the card that it sees, as a training would; an empty text hides all cards.
    """
    # A home folder of its own: a training of another working copy may be using the usual one.
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
            status = exit_code(command, env, out, err, cwd=root, limit_s=LIMIT_S)
        except (OSError, ValueError) as error:
            # The text of an OSError repeats the path; a ValueError has no `strerror`.
            why = getattr(error, "strerror", None) or error
            return one_line(f"its check cannot be started: {command[0]}: {why}", root)
        if status is None:
            return f"its check does not end within {LIMIT_S:.0f} s"
        if status == 0:
            return ""
        message = one_line(_content(out), root) or one_line(_content(err), root)
    return message or f"its check ends with exit code {status} and does not say why"


def _content(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read(MAX_BYTES).decode(errors="replace")


def one_line(text: str, root: Path) -> str:
    """The first line that is not blank, printable and short, without this machine's paths.

    It goes into the index, which others may get.
    """
    for line in ESCAPES.sub("", text).splitlines():
        shown = printable(line)
        if shown:
            return without_paths(shown, root)[:MAX_CHARACTERS].strip()
    return ""


def printable(line: str) -> str:
    """A line without control characters, and with single blanks."""
    return " ".join(validation.one_line(line).split())


def without_paths(text: str, root: Path) -> str:
    """The text with `.` for the working copy and `~` for the home folder."""
    home = Path(os.path.expanduser("~"))  # noqa: PTH111 - Path.home() fails without a home folder
    # In a container the working copy is the home folder: its own name comes last, and wins.
    names = {home: "~", home.resolve(): "~", root: ".", root.resolve(): "."}
    # The longest first: one may lie in the other.
    for path in sorted(names, key=lambda path: -len(str(path))):
        if path.is_absolute() and path != Path("/"):
            text = re.sub(rf"{re.escape(str(path))}(?![\w-])", names[path], text)
    return text
