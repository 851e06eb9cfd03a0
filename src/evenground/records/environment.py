"""`environment.json`: machine, libraries and settings of a run. It has no host or user name."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from pydantic import BeforeValidator, Field

from evenground.records.base import TravellingFields, TravellingRecord
from evenground.records.cpus import CpuRecord
from evenground.records.gpus import GpuRecord
from evenground.records.surroundings import SurroundingsRecord

ENVIRONMENT = "environment.json"


class MachineClass(TravellingFields):
    """The class of the machine, as a folder's name and in words."""

    class_name: str = Field(validation_alias="class", serialization_alias="class")
    """Name of its folder in `results/runs`."""
    description: str
    """Processor, cores, memory, card and driver, in words."""


class WarmUp(TravellingFields):
    """The short training before the one that counts."""

    examples: int
    """It trained on at most that many of the first examples."""
    wall_s: float
    """How long it took in all, in seconds."""


class Git(TravellingFields):
    """The working copy's commit, and whether its tracked files were changed."""

    commit: str | None = None
    """The commit that is checked out; null: not known."""
    dirty: bool | None = None
    """Whether tracked files differ from it; null without a commit."""
    reason: str | None = None
    """Why there is no commit; null: there is one, or it was not recorded."""

    @property
    def label(self) -> str:
        """The commit as it is shown."""
        if self.commit is None:
            return f"unknown ({self.reason})" if self.reason else "unknown"
        short = self.commit[:12]
        return f"{short} with changes" if self.dirty else short


class Image(TravellingFields):
    """The container image that a run was made in."""

    name: str
    """Name of its environment's lock, and a digest of recipe and base."""
    sha256: str
    """Checksum of the image file."""
    labels: dict[str, str] = {}
    """Label -> its text, e.g. the pinned version of something in it."""


def _recorded(gpu: Any) -> Any:
    """The record of the card; None instead of a list of the machine's cards."""
    # Bundles have runs from before there was a record: those list the machine's cards, perhaps
    # none.
    if isinstance(gpu, list):
        return None
    return gpu


class Environment(TravellingRecord):
    """What a run was made with. Null is an unknown value, or one that an older run did not record.

    A failed warm-up leaves out what is read after the training.
    """

    WHAT: ClassVar[str] = "record of the environment"
    SCHEMA: ClassVar[int] = 2

    machine: MachineClass | None = None
    """The class of machine."""
    cpu_model: str | None = None
    """Model of the processor; its architecture where the kernel names no model."""
    cores: int | None = None
    """Hardware threads that the pipeline could use."""
    memory_bytes: int | None = None
    """Memory of the machine, in bytes."""
    driver: str | None = None
    """Version of NVIDIA's driver; null without a card, too."""
    kernel: str | None = None
    """Release of the Linux kernel."""
    os: str | None = None
    """Name and version of the operating system; in a container that of the image."""
    python: str | None = None
    """Version of the engine's Python; null if it has none, too."""
    libraries: dict[str, str] = {}
    """Python package in the engine's environment -> its version."""
    load_average_before: list[float] = []
    """Load of the machine over 1, 5 and 15 minutes, before a warm-up."""
    warm_up: WarmUp | None = None
    """The short training before; null without one, too."""
    swapped_pages: int | None = None
    """Pages that the machine moved between memory and disk during the training."""
    cpus: CpuRecord | None = None
    """Its CPUs, their limits, and what slowed them down."""
    surroundings: SurroundingsRecord | None = None
    """What surrounded the engine, and what of it was used."""
    gpu: Annotated[GpuRecord | None, BeforeValidator(_recorded, list[Any] | GpuRecord | None)] = (
        None
    )
    """The card of the training; null without one. Old runs have a list, which is ignored."""
    deployment: str | None = None
    """`native`, or `apptainer`: the engine ran in a container."""
    image: Image | None = None
    """The container image; null for a native run."""
    scheduled: bool = False
    """Whether a scheduler chose the machine."""
    git: Git = Git()
    """Which source the pipeline ran from."""
