"""`surroundings` in a run's `environment.json`: what surrounded the engine, and what it used."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Literal

from pydantic import Field

from evenground.judged import Count, Reason, YesOrNo

Short = Annotated[str, Field(max_length=64)]
# Linux passes on no variable of more than 32 pages.
Text = Annotated[str, Field(max_length=2**17)]
# Linux opens no path of 4,096 bytes or more; the ` (deleted)` that it may add, and escapes, take
# some more.
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

    Null: not known, except that natively there is no `image`. `missing` has the reasons.
    """

    image: Literal["mounted", "unpacked"] | None = None
    """How Apptainer made the image readable; `unpacked`: to a folder for one training."""
    variables: dict[Variable, Text] | None = None
    """Variable of the engine -> its value; others were not set."""
    process: Annotated[dict[Short, Short], Field(max_length=64)] | None = None
    """What its process inherited -> its value: niceness, scheduling policy, limits."""
    mounts: Places | None = None
    """Mount points in the image's folders that are neither Apptainer's nor the pipeline's."""
    mapped: Annotated[dict[Short, Count], Field(max_length=64)] | None = None
    """Place -> how many of the files that the engine's processes mapped as code lie there."""
    foreign: Places | None = None
    """Mapped files outside of image, environment, working copy and the system's own folders."""
    cold_start: YesOrNo | None = None
    """Without a warm-up, and the first of its engine or in an image just mounted or unpacked."""
    missing: Annotated[dict[Short, Reason], Field(max_length=64)] = field(default_factory=dict)
    """Field -> why it, or a part of it, is not known."""
