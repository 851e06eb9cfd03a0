"""`started.json` and `outcome.json`: how an attempt at a run began, and how it ended."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Literal, Self

from pydantic import Field

from evenground.records.base import Record, TravellingFields, TravellingRecord

MARK, OUTCOME = "started.json", "outcome.json"
Reason = Literal[
    "crashed",  # the engine's process ended with a non-zero exit code
    "killed-by-signal",  # something ended it with a signal
    "out-of-memory",  # the kernel's out-of-memory killer, or the scheduler, ended it
    "gpu-out-of-memory",  # the engine itself reports that the card has no memory left
    "time-limit",  # it ran longer than time_limit_s, or than the scheduler allowed, and was ended
    "broken-events",  # a line of its events file is not an event, or its time is not one of the run
    "incomplete-events",  # events are missing or out of order
    "wrong-work",  # its events report other work than it was started for
    "clock-set",  # the machine's clock was set meanwhile, so its times are unknown
    "broken-samples",  # what the sampler wrote cannot be read
    "not-started",  # its command could not be started
    "interrupted",  # the sidecar beside it was ended before it
    "cancelled",  # the scheduler's job was cancelled, or made way for another
    "node-failed",  # the node went down
    "data-not-seen",  # its data cannot be read from where it runs
    "other-machine",  # it came to a machine of another class
    "lost",  # it began, and nothing is known of its end
]


class Mark(Record):
    """Who began an attempt. Snakemake removes the outcome of a failed job, but not the mark."""

    WHAT: ClassVar[str] = "start mark"

    deployment: str
    job: str
    """The scheduler's number of the job; empty without a scheduler."""
    host: str
    started_unix_ns: int


class RunName(TravellingFields):
    """Which run a file belongs to."""

    machine: str
    """The class of machine."""
    dataset: str
    """Name of the dataset."""
    engine: str
    """Name of the engine."""
    key: str
    """Key of its specification."""
    repetition: int = Field(ge=1)
    """From 1 on."""
    deployment: str
    """`native`, or `apptainer`: the engine runs in a container."""

    @classmethod
    def of(cls, run_path: Path, deployment: str) -> Self:
        """The name of the run at MACHINE/DATASET/ENGINE/KEY/rN."""
        machine, dataset, engine, key, repetition = run_path.parts
        return cls(
            machine=machine,
            dataset=dataset,
            engine=engine,
            key=key,
            repetition=int(repetition.removeprefix("r")),
            deployment=deployment,
        )


class AttemptOutcome(TravellingRecord):
    """How an attempt at a run ended."""

    WHAT: ClassVar[str] = "outcome"

    reason: Reason | None
    """Why it did not finish; null if it finished."""
    detail: str
    """What happened, in words; empty if it finished."""
    attempt: int = Field(ge=1)
    """Which attempt at the run it is, from 1 on."""
    run: RunName
    """The run that it was an attempt at."""
    started_unix_ns: int
    """When it began, before a warm-up, in nanoseconds since 1970 (UTC)."""
    ended_unix_ns: int
    """When it ended, likewise; of a lost attempt, when that was found."""

    @property
    def length_s(self) -> float:
        """From its begin to its end, with a warm-up."""
        return (self.ended_unix_ns - self.started_unix_ns) / 1e9
