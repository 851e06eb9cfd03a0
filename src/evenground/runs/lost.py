"""Trainings that end without a word: the mark each leaves at its begin, and the outcome made of it later."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from evenground.errors import EvengroundError
from evenground.files import read_json, write_json
from evenground.runs.outcome import Outcome, Reason
from evenground.runs.plan import ATTEMPTS
from evenground.runs.slurm import at_work, job_state, last_job

MARK, OUTCOME = "started.json", "outcome.json"
STATES: dict[str, tuple[Reason, str]] = {
    "CANCELLED": ("cancelled", "its job was cancelled"),
    "PREEMPTED": ("cancelled", "its job had to make way for another"),
    "NODE_FAIL": ("node-failed", "its node failed"),
    "BOOT_FAIL": ("node-failed", "its node failed"),
    "TIMEOUT": ("time-limit", "its job ran past the scheduler's limit"),
    "DEADLINE": ("time-limit", "its job ran past the scheduler's limit"),
    "OUT_OF_MEMORY": ("out-of-memory", "its job used more memory than was asked for"),
}
"""What Slurm says of a job -> the reason of its training's outcome, in our words."""


@dataclass(frozen=True)
class Mark:
    """Who began an attempt, or was to. It stays where Snakemake removes the outcome of a job that failed."""

    call: str
    """Number of the call of the pipeline."""
    job: str
    """The scheduler's number of the job; empty where none started it."""
    host: str
    """Empty where the job ended before the training could begin."""
    started_unix_ns: int
    ended: str = ""
    """Then the scheduler's word for its end."""


def leave_mark(attempt: Path, call: str, job: str, ended: str = "") -> None:
    """Write down that the training in the folder `attempt` begins now; with `ended`, that it never did."""
    mark = Mark(call, job, "" if ended else socket.gethostname(), time.time_ns(), ended)
    write_json(attempt / MARK, {"schema": 1, **asdict(mark)})


def mark_unbegun(attempt: Path, call: str, comment: str) -> bool:
    """Mark an attempt whose job Slurm ended before it began, cancelled while it waited as an example.

    `comment` is that of the job, and of no later one of this working copy. False where there is none: a job
    that ended by itself may do better the next time.
    """
    job = last_job(Path.cwd(), comment)
    state = job_state(job) if job else ""
    if state not in STATES:
        return False
    leave_mark(attempt, call, job, state)
    return True


def begun(attempt: Path, call: str = "") -> Mark | None:
    """The mark of a training in the folder `attempt` without an outcome; with `call`, only of that call."""
    if (attempt / OUTCOME).is_file() or not (attempt / MARK).is_file():
        return None
    content = read_json(attempt / MARK)
    mark = Mark(**{name: content[name] for name in Mark.__dataclass_fields__ if name in content})
    return mark if call in ("", mark.call) else None


def outcome_of(mark: Mark, state: str) -> Outcome:
    """How a training ended that left only its mark; `state` is the scheduler's word for its job, if any."""
    state = mark.ended or state
    reason, words = STATES.get(state, ("lost", "its process ended without an outcome"))
    where = f"on {mark.host}" if mark.host else "before it began"
    said = f" (Slurm's job {mark.job}: {state or 'unknown'})" if mark.job else ""
    return Outcome(reason, f"{words}, {where}{said}")


def clear(root: Path, attempts: Iterable[tuple[Path, int]]) -> None:
    """Forget what an earlier call began and lost; EvengroundError where a job of its is still at work.

    `attempts` are place and number of those that a new call is to make.
    """
    for place, number in attempts:
        folder = root / ATTEMPTS / place / str(number)
        mark = begun(folder)
        if mark and mark.job and at_work(mark.job):
            raise EvengroundError(
                "a training of an earlier call is still at work",
                f"{place}, Slurm's job {mark.job} on {mark.host}",
                f"wait for it to end, or: scancel {mark.job}",
            )
        if mark:
            (folder / MARK).unlink()
