"""The one way evenground tells a user that something is wrong: one line with what, where and what to do."""

from __future__ import annotations

import errno
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

DISK_FULL = (errno.ENOSPC, errno.EDQUOT)
MAKE_ROOM = "make room and start again; what is complete stays"


class EvengroundError(Exception):
    """A mistake a user can fix: what is wrong, where, and what to do about it."""

    def __init__(self, what: str, where: str, fix: str) -> None:
        super().__init__(f"{what} ({where}): {fix}")
        self.what, self.where, self.fix = what, where, fix


def words_of(error: OSError) -> str:
    """What went wrong, without the path; Python raises some such errors itself, and those have no number."""
    return error.strerror or " ".join(map(str, error.args)) or type(error).__name__


def set_aside(*paths: Path | str, then: str = "run the pipeline again") -> str:
    """What a message says of files or folders that are in the way: they are moved, and nothing is lost."""
    return f"set it aside, which loses nothing, and {then}: ./evenground aside {shlex.join(map(str, paths))}"


def cli(main: Callable[[], None]) -> None:
    """Run `main`; turn an EvengroundError or a full disk into one line on standard error and exit code 1."""
    try:
        main()
    except EvengroundError as error:
        _end(error)
    except OSError as error:
        if error.errno not in DISK_FULL:
            raise
        _end(EvengroundError("disk is full", error.filename or "while writing", MAKE_ROOM))


def _end(error: EvengroundError) -> NoReturn:
    print("error: " + " ".join(str(error).split()), file=sys.stderr, flush=True)
    sys.exit(1)
