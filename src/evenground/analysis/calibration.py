"""The sampler's calibration, as measured on the machine of an index."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field, TypeAdapter, ValidationError

from evenground.analysis.index import Index
from evenground.analysis.runs import recorded_bytes
from evenground.errors import EvengroundError, set_aside
from evenground.validation import first_fault

FIX = "run the pipeline again: it measures what is missing and draws anew"


@dataclass(frozen=True)
class Figure:
    """One figure; without a goal or a value `passed` is None, and `reason` explains it."""

    what: str
    unit: str
    goal: float | None
    at_least: bool
    measured: float | None
    passed: bool | None
    reason: str | None = None


@dataclass(frozen=True)
class _File:
    schema_version: Annotated[Literal[1], Field(validation_alias="schema")]
    figures: dict[str, Figure]


def read_calibration(index: Index) -> list[Figure]:
    """The figures in their order; empty if the index has no calibration.

    Raises EvengroundError if the file is missing, broken or not the recorded one.
    """
    if index.calibration is None:
        return []
    path = index.root / index.calibration.path
    content = recorded_bytes(path, index.calibration.sha256, FIX)
    try:
        return list(TypeAdapter(_File).validate_json(content).figures.values())
    except ValidationError as error:
        what = f"broken calibration, {first_fault(error)}"
        raise EvengroundError(what, str(path), set_aside(path)) from error
