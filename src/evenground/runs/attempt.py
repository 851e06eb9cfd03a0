"""The folder of one attempt at a run: the mark of its beginning, and the outcome at its end."""

from __future__ import annotations

import socket
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from evenground.files import read_json, write_json
from evenground.runs.keys import SCHEMA
from evenground.runs.outcome import Outcome
from evenground.runs.plan import ATTEMPTS, MARK, OUTCOME, RUNS


@dataclass(frozen=True)
class Mark:
    """Who began an attempt. It stays where Snakemake removes the outcome of a job that failed."""

    deployment: str
    job: str
    """The scheduler's number of the job; empty where none started it."""
    host: str
    started_unix_ns: int


def leave_mark(folder: Path, deployment: str, job: str) -> None:
    """Write down that the training in the attempt's `folder` begins now."""
    mark = Mark(
        deployment=deployment, job=job, host=socket.gethostname(), started_unix_ns=time.time_ns()
    )
    write_json(folder / MARK, {"schema": SCHEMA, **asdict(mark)})


def unfinished_mark(folder: Path) -> Mark | None:
    """The mark of an attempt that began and has no outcome; None of any other."""
    if (folder / OUTCOME).is_file() or not (folder / MARK).is_file():
        return None
    content = read_json(folder / MARK)
    return Mark(
        deployment=content["deployment"],
        job=content["job"],
        host=content["host"],
        started_unix_ns=content["started_unix_ns"],
    )


def outcome_content(
    run_path: Path, attempt: int, deployment: str, outcome: Outcome, started_ns: int
) -> dict[str, Any]:
    """What `outcome.json` says of an attempt at the run at `run_path` that ends now."""
    machine, dataset, engine, key, repetition = run_path.parts
    identity = {
        "machine": machine,
        "dataset": dataset,
        "engine": engine,
        "key": key,
        "repetition": int(repetition.removeprefix("r")),
        "deployment": deployment,
    }
    return {
        "schema": SCHEMA,
        "status": outcome.status,
        **asdict(outcome),
        "attempt": attempt,
        "run": identity,
        "started_unix_ns": started_ns,
        "ended_unix_ns": time.time_ns(),
    }


def give_up(root: Path, run_path: Path, attempt: int, deployment: str, outcome: Outcome) -> None:
    """Write the outcome of an attempt that is not made on this machine."""
    content = outcome_content(run_path, attempt, deployment, outcome, started_ns=time.time_ns())
    write_json(root / ATTEMPTS / run_path / str(attempt) / OUTCOME, content)


def restored(root: Path, run_path: Path, attempt: int) -> bool:
    """Whether the run is finished; its outcome then stands beside the attempt again.

    Snakemake removes what a failed job wrote, and a job may fail after its training has finished.
    """
    run = root / RUNS / run_path
    if not (run / "manifest.json").is_file():
        return False
    write_json(root / ATTEMPTS / run_path / str(attempt) / OUTCOME, read_json(run / OUTCOME))
    return True
