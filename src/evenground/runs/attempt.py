"""The folder of one attempt at a run: a mark when it begins, and an outcome when it ends."""

from __future__ import annotations

import socket
import time
from pathlib import Path

from evenground.records.manifest import MANIFEST
from evenground.records.outcome import MARK, OUTCOME, AttemptOutcome, Mark, RunName
from evenground.runs.outcome import Outcome
from evenground.runs.plan import ATTEMPTS, RUNS


def leave_mark(folder: Path, deployment: str, job: str) -> None:
    """Record that the training of the attempt in `folder` begins now."""
    mark = Mark(
        deployment=deployment, job=job, host=socket.gethostname(), started_unix_ns=time.time_ns()
    )
    mark.write(folder / MARK)


def unfinished_mark(folder: Path) -> Mark | None:
    """The mark of an attempt that began and has no outcome; None of any other.

    Raises EvengroundError if it is broken.
    """
    if (folder / OUTCOME).is_file() or not (folder / MARK).is_file():
        return None
    return Mark.read(folder / MARK)


def ended(
    run_path: Path, attempt: int, deployment: str, outcome: Outcome, started_ns: int
) -> AttemptOutcome:
    """The record of an attempt that ends now; `started_ns` is Unix time."""
    return AttemptOutcome(
        reason=outcome.reason,
        detail=outcome.detail,
        attempt=attempt,
        run=RunName.of(run_path, deployment),
        started_unix_ns=started_ns,
        ended_unix_ns=time.time_ns(),
    )


def give_up(
    root: Path,
    run_path: Path,
    attempt: int,
    deployment: str,
    outcome: Outcome,
    started_ns: int | None = None,
) -> None:
    """Write the outcome of an attempt that is not made here, or was lost after `started_ns`."""
    record = ended(run_path, attempt, deployment, outcome, started_ns or time.time_ns())
    record.write(root / ATTEMPTS / run_path / str(attempt) / OUTCOME)


def restored(root: Path, run_path: Path, attempt: int) -> bool:
    """Whether the run is finished; if so, the attempt's outcome is there again.

    A job may fail after its training has finished, and then Snakemake removes what the job wrote.
    """
    run_dir = root / RUNS / run_path
    if not (run_dir / MANIFEST).is_file():
        return False
    # It is the output that Snakemake waits for.
    recorded = AttemptOutcome.read(run_dir / OUTCOME)
    recorded.write(root / ATTEMPTS / run_path / str(attempt) / OUTCOME)
    return True
