"""`environment.json` of a run: the machine, the libraries and the code it was made with."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any

from pydantic import BeforeValidator, TypeAdapter, ValidationError

from evenground.analysis.runs import Run, restore_run
from evenground.errors import EvengroundError
from evenground.gpus import judge as gpus
from evenground.judged import shown
from evenground.records.cpus import CpuRecord
from evenground.records.gpus import GpuRecord
from evenground.records.surroundings import SurroundingsRecord
from evenground.validation import first_fault

FILE = "environment.json"


def _recorded(gpu: Any) -> Any:
    """The record of the card; None instead of a list of the machine's cards."""
    # Bundles have runs from before there was a record: those list the machine's cards, perhaps
    # none.
    if isinstance(gpu, list):
        return None
    return gpu


@dataclass(frozen=True)
class Git:
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


@dataclass(frozen=True)
class Image:
    """The container image that a run was made in."""

    name: str
    sha256: str


@dataclass(frozen=True)
class Environment:
    """The record made before the training; None is an unknown value."""

    cpu_model: str | None = None
    cores: int | None = None
    memory_bytes: int | None = None
    driver: str | None = None
    kernel: str | None = None
    os: str | None = None
    python: str | None = None
    libraries: dict[str, str] = field(default_factory=dict)
    """Installed package -> its version."""
    git: Git = field(default_factory=Git)
    image: Image | None = None
    load_average_before: list[float] = field(default_factory=list)
    """Over 1, 5 and 15 minutes."""
    swapped_pages: int | None = None
    """Pages that the machine moved between memory and disk during the attempt."""
    cpus: CpuRecord | None = None
    surroundings: SurroundingsRecord | None = None
    gpu: Annotated[GpuRecord | None, BeforeValidator(_recorded)] = None
    """The card of the training; None without a GPU, and in runs from before there was a record."""

    @property
    def card(self) -> dict[str, str]:
        """The known properties of the card by name, as text, without those that identify it."""
        if self.gpu is None:
            return {}
        known = gpus.compared(self.gpu)
        return {
            name: ", ".join(map(shown, parts)) for name, parts in known.items() if name != gpus.CARD
        }


_ENVIRONMENT = TypeAdapter(Environment)


def read_environment(run: Run) -> Environment:
    """The run's record, empty if it has none.

    Raises EvengroundError if the file is broken or is not the one of the manifest.
    """
    if FILE not in run.files:
        return Environment()
    try:
        return _ENVIRONMENT.validate_json(run.content(FILE))
    except ValidationError as error:
        what, where = f"broken file, {first_fault(error)}", str(run.folder / FILE)
        raise EvengroundError(what, where, restore_run(run.folder)) from error
