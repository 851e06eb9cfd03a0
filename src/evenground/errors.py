"""How evenground reports a mistake to its user: one line with what, where and what to do."""

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
    """What went wrong, as text without the path."""
    # Python raises some of these errors itself, without a number and so without `strerror`.
    return error.strerror or " ".join(map(str, error.args)) or type(error).__name__


def set_aside(*paths: Path | str, then: str = "run the pipeline again") -> str:
    """The fix for files or folders that are in the way: moving them, so that nothing is lost."""
    names = shlex.join(map(str, paths))
    return f"set it aside, which loses nothing, and {then}: ./evenground aside {names}"


def cli(main: Callable[[], None]) -> None:
    """Run `main`; an EvengroundError or a full disk ends as one line on stderr and exit code 1."""
    try:
        main()
    except EvengroundError as error:
        _end(error)
    except OSError as error:
        # Any other is a bug of ours, and its traceback is needed.
        if error.errno not in DISK_FULL:
            raise
        _end(EvengroundError("disk is full", error.filename or "while writing", MAKE_ROOM))


def _end(error: EvengroundError) -> NoReturn:
    # One line, even if the message of a library has several.
    print("error: " + " ".join(str(error).split()), file=sys.stderr, flush=True)
    sys.exit(1)
