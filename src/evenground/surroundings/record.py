"""`surroundings` in a run's `environment.json`: what lay around the engine, and what of it it used."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Literal

from pydantic import Field

# A record may come from anybody: what cannot be is refused when it is read.
Count = Annotated[int, Field(ge=0, lt=2**63)]
YesOrNo = Annotated[bool, Field(strict=True)]
Short = Annotated[str, Field(max_length=64)]
Reason = Annotated[str, Field(max_length=1000)]
# Linux hands on no variable of more than 32 pages.
Text = Annotated[str, Field(max_length=2**17)]
# Linux opens no path of 4,096 bytes or more; what it adds to one (` (deleted)`) and escapes take some more.
Place = Annotated[str, Field(max_length=2**14)]
# Linux maps at most 65,530 ranges into a process.
Places = Annotated[list[Place], Field(max_length=2**16)]
Variable = Literal[
    "PATH",
    "LD_LIBRARY_PATH",
    "CUDA_VISIBLE_DEVICES",
    "CUDA_DEVICE_ORDER",
    "CUDA_MPS_PIPE_DIRECTORY",
    "CUDA_MPS_LOG_DIRECTORY",
]


@dataclass(frozen=True)
class SurroundingsRecord:
    """The surroundings of one training.

    What is None is not known, except that natively there is no `image`. `missing` has the reasons, by the
    names here.
    """

    image: Literal["mounted", "unpacked"] | None = None
    """How Apptainer made the image readable: mounted, or unpacked to a folder for this one training."""
    variables: dict[Variable, Text] | None = None
    """Variables of the engine; one that is not set is not in it."""
    process: Annotated[dict[Short, Short], Field(max_length=64)] | None = None
    """What its process was handed down: niceness, scheduling policy, limits; each in words."""
    mounts: Places | None = None
    """Mount points in the image's own folders that are neither Apptainer's nor the pipeline's."""
    mapped: Annotated[dict[Short, Count], Field(max_length=64)] | None = None
    """Files that processes of the engine mapped as code: how many, by where they lie."""
    foreign: Places | None = None
    """Those that lie neither in image, environment, working copy nor where the system has its own."""
    cold_start: YesOrNo | None = None
    """No warm-up before it, and the first of its engine, or in an image that was mounted or unpacked anew."""
    missing: Annotated[dict[Short, Reason], Field(max_length=64)] = field(default_factory=dict)
