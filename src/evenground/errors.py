"""The one way evenground tells a user that something is wrong: one line with what, where and what to do."""

from __future__ import annotations

import sys
from collections.abc import Callable


class EvengroundError(Exception):
    """A mistake a user can mend: what is wrong, where, and what to do about it."""

    def __init__(self, what: str, where: str, todo: str) -> None:
        super().__init__(f"{what} ({where}): {todo}")
        self.what, self.where, self.todo = what, where, todo


def cli(main: Callable[[], None]) -> None:
    """Run `main`; turn an EvengroundError into one line on standard error and exit code 1."""
    try:
        main()
    except EvengroundError as error:
        print("error: " + " ".join(str(error).split()), file=sys.stderr, flush=True)
        sys.exit(1)
