"""Reading YAML, names that files may give, and what is said of content that a model refuses."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import Field, ValidationError

from evenground.errors import EvengroundError

# Names become parts of paths, tables and figures.
NAME = r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$"
Name = Annotated[str, Field(pattern=NAME)]
ClassName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,199}$")]
# What the name of a machine class has in place of a GPU.
NO_GPU = "nogpu"
# A file from anybody may have any key.
MAX_KEY = 100
# Ten times as fast, where PyYAML was built with it.
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def read_yaml(path: Path) -> Any:
    """The content of a YAML or JSON file; raises EvengroundError if it is missing or broken."""
    try:
        return yaml.load(path.read_text(encoding="utf-8"), _Loader)
    # ValueError: bytes that are no text. RecursionError: lists that are nested too deeply.
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        what = f"cannot read it: {error}"
        raise EvengroundError(what, str(path), "fix or restore the file") from None


def has_gpu(machine_class: str) -> bool:
    """Whether machines of this class have a GPU, read from the class's name."""
    return f"-{NO_GPU}-" not in machine_class


@dataclass(frozen=True)
class Fault:
    """The first value that a model refused; as a string it is `KEY: MESSAGE`, without the value."""

    path: tuple[int | str, ...]
    value: object
    message: str
    unknown_key: bool
    more: int
    """How many further faults there are."""

    @property
    def key(self) -> str:
        """The path in one line, joined by dots; empty for the whole content."""
        return ".".join(_shown(str(part)) for part in self.path)

    @property
    def and_more(self) -> str:
        """What a message says at its end of the further faults."""
        return f" (and {self.more} more)" if self.more else ""

    def __str__(self) -> str:
        if self.unknown_key:
            return f"unknown key '{self.key}'"
        return f"{self.key or 'content'}: {self.message}"


def first_fault(error: ValidationError) -> Fault:
    """The first fault that pydantic found."""
    first = error.errors()[0]
    return Fault(
        path=first["loc"],
        value=first["input"],
        # pydantic's prefix of the messages of our own checks.
        message=first["msg"].removeprefix("Value error, "),
        # The first is that of models, the second that of dataclasses.
        unknown_key=first["type"] in {"extra_forbidden", "unexpected_keyword_argument"},
        more=error.error_count() - 1,
    )


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """The fix for an unknown name: the known one that is most like it, if any is, and all there are."""
    known = list(known)
    hint = f"there are: {', '.join(known)}"
    for close in get_close_matches(name, known, n=1):
        hint = f"did you mean '{close}'? {hint}"
    return hint


def one_line(text: str) -> str:
    """Text with a blank for everything that cannot be printed."""
    return "".join(sign if sign.isprintable() else " " for sign in text)


def _shown(key: str) -> str:
    line = one_line(key[:MAX_KEY])
    return line if len(key) <= MAX_KEY else f"{line}…"
