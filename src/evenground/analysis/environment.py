"""`environment.json` of a run: the machine, the libraries and the code it was made with."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any

from pydantic import BeforeValidator, TypeAdapter, ValidationError

from evenground.analysis.runs import Run, restore_run
from evenground.cpus.record import CpuRecord
from evenground.errors import EvengroundError
from evenground.gpus import judge as gpus
from evenground.gpus.record import GpuRecord
from evenground.judged import shown
from evenground.surroundings.record import SurroundingsRecord
from evenground.validation import first_fault

FILE = "environment.json"


def _recorded(gpu: Any) -> Any:
    """Runs from before there was a record have a list of the machine's cards, or an empty one."""
    return None if isinstance(gpu, list) else gpu


@dataclass(frozen=True)
class Git:
    """Commit of the working copy and whether files it tracks were changed; None where it was none."""

    commit: str | None = None
    dirty: bool | None = None
    reason: str | None = None
    """Why there is no commit."""

    @property
    def words(self) -> str:
        """The commit as it is shown."""
        if self.commit is None:
            return f"unknown ({self.reason})" if self.reason else "unknown"
        return f"{self.commit[:12]}{' with changes' if self.dirty else ''}"


@dataclass(frozen=True)
class Image:
    """The container image a run was made in."""

    name: str
    sha256: str


@dataclass(frozen=True)
class Environment:
    """What was recorded before the training; a value that is not known is None."""

    cpu_model: str | None = None
    cores: int | None = None
    memory_bytes: int | None = None
    driver: str | None = None
    kernel: str | None = None
    os: str | None = None
    python: str | None = None
    libraries: dict[str, str] = field(default_factory=dict)
    git: Git = field(default_factory=Git)
    image: Image | None = None
    load_average_before: list[float] = field(default_factory=list)
    """Over 1, 5 and 15 minutes."""
    swapped_pages: int | None = None
    """Pages the machine moved between memory and disk during the attempt."""
    cpus: CpuRecord | None = None
    surroundings: SurroundingsRecord | None = None
    gpu: Annotated[GpuRecord | None, BeforeValidator(_recorded)] = None
    """The card of the training; None without one, and of runs from before there was a record."""

    @property
    def card(self) -> dict[str, str]:
        """What is known of its card, by name and as it is shown; which one of equal cards is not."""
        known = gpus.compared(self.gpu) if self.gpu else {}
        return {
            name: ", ".join(map(shown, parts)) for name, parts in known.items() if name != gpus.CARD
        }


_ENVIRONMENT = TypeAdapter(Environment)


def read_environment(run: Run) -> Environment:
    """The run's record, empty where it has none; EvengroundError when it is broken or was changed."""
    if FILE not in run.files:
        return Environment()
    try:
        return _ENVIRONMENT.validate_json(run.content(FILE))
    except ValidationError as error:
        what, where = f"broken file, {first_fault(error)}", str(run.folder / FILE)
        raise EvengroundError(what, where, restore_run(run.folder)) from error
