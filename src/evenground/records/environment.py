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
    description: str


class WarmUp(TravellingFields):
    """The short training before the one that counts."""

    examples: int
    wall_s: float


class Git(TravellingFields):
    """Commit of the working copy and whether tracked files were changed; None outside of one."""

    commit: str | None = None
    dirty: bool | None = None
    reason: str | None = None
    """Why there is no commit."""

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
    sha256: str
    labels: dict[str, str] = {}
    """They have the pinned versions of what is in it."""


def _recorded(gpu: Any) -> Any:
    """The record of the card; None instead of a list of the machine's cards."""
    # Bundles have runs from before there was a record: those list the machine's cards, perhaps
    # none.
    if isinstance(gpu, list):
        return None
    return gpu


class Environment(TravellingRecord):
    """What a run was made with. None is an unknown value, or one that an older run did not record.

    A failed warm-up leaves out what is read after the training.
    """

    WHAT: ClassVar[str] = "record of the environment"
    SCHEMA: ClassVar[int] = 2

    machine: MachineClass | None = None
    cpu_model: str | None = None
    cores: int | None = None
    """That the process may use."""
    memory_bytes: int | None = None
    driver: str | None = None
    """Version of NVIDIA's driver; None without a card, too."""
    cuda: str | None = None
    cudnn: str | None = None
    kernel: str | None = None
    os: str | None = None
    python: str | None = None
    libraries: dict[str, str] = {}
    """Installed package -> its version."""
    threads: dict[str, str] = {}
    """Environment variable that limits threads -> its value."""
    waiting: dict[str, str | None] = {}
    """Environment variable that decides how threads wait -> its value; None: the runtime's own."""
    load_average_before: list[float] = []
    """Over 1, 5 and 15 minutes."""
    warm_up: WarmUp | None = None
    """None also without a warm-up."""
    swapped_pages: int | None = None
    """Pages that the machine moved between memory and disk during the attempt."""
    cpus: CpuRecord | None = None
    surroundings: SurroundingsRecord | None = None
    gpu: Annotated[GpuRecord | None, BeforeValidator(_recorded)] = None
    """The card of the training; None without a GPU, and in runs from before there was a record."""
    deployment: str | None = None
    image: Image | None = None
    """None for a native run."""
    scheduled: bool = False
    """Whether a scheduler chose the machine."""
    git: Git = Git()
