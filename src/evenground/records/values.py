"""Kinds of values that records have, whoever wrote them: a bundle may come from a stranger."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field


def _inside(path: str) -> str:
    """Check that a relative path stays below the folder that it starts from.

    Raises ValueError if it does not.
    """
    if not path or Path(path).is_absolute() or ".." in Path(path).parts:
        raise ValueError("the path leads out of the folder of the index")
    return _printable(path)


def _printable(text: str) -> str:
    """Check that text cannot break a line, a table, an SVG file or a terminal.

    Raises ValueError if it is blank or has a control character.
    """
    if not text.isprintable() or not text.strip():
        raise ValueError("the text is blank or has a control character")
    return text


def _printable_or_empty(text: str) -> str:
    return _printable(text) if text else text


def path_of_run(machine: str, dataset: str, engine: str, key: str, repetition: int | str) -> str:
    """MACHINE/DATASET/ENGINE/KEY/rN: a run's folder in `results/runs` and `results/attempts`."""
    return f"{machine}/{dataset}/{engine}/{key}/r{repetition}"


Inside = Annotated[str, Field(max_length=1000), AfterValidator(_inside)]
# Text that tables and figures show.
Text = Annotated[str, Field(max_length=500), AfterValidator(_printable)]
# The same, longer, and empty where there is nothing to say.
Words = Annotated[str, Field(max_length=2**16), AfterValidator(_printable_or_empty)]
# Tables have columns of 64 bits.
Count = Annotated[int, Field(ge=0, le=10**9)]
Amount = Annotated[int, Field(ge=1, le=10**9)]
Number = Annotated[float, Field(allow_inf_nan=False)]
