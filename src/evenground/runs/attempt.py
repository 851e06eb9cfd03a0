"""The folder of one attempt at a run: a mark when it begins, and an outcome when it ends."""

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
    """Who began an attempt. Snakemake removes the outcome of a failed job, but not the mark."""

    deployment: str
    job: str
    """The scheduler's number of the job; empty without a scheduler."""
    host: str
    started_unix_ns: int


def leave_mark(folder: Path, deployment: str, job: str) -> None:
    """Record that the training of the attempt in `folder` begins now."""
    mark = Mark(
        deployment=deployment, job=job, host=socket.gethostname(), started_unix_ns=time.time_ns()
    )
    write_json(folder / MARK, {"schema": SCHEMA, **asdict(mark)})


def unfinished_mark(folder: Path) -> Mark | None:
    """The mark of an attempt that began and has no outcome; None of any other."""
    if (folder / OUTCOME).is_file() or not (folder / MARK).is_file():
        return None
    content = read_json(folder / MARK)
    del content["schema"]
    return Mark(**content)


def outcome_content(
    run_path: Path, attempt: int, deployment: str, outcome: Outcome, started_ns: int
) -> dict[str, Any]:
    """The content of `outcome.json` for an attempt that ends now; `started_ns` is Unix time."""
    machine, dataset, engine, key, repetition = run_path.parts
    run = {
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
        "reason": outcome.reason,
        "detail": outcome.detail,
        "attempt": attempt,
        "run": run,
        "started_unix_ns": started_ns,
        "ended_unix_ns": time.time_ns(),
    }


def give_up(
    root: Path,
    run_path: Path,
    attempt: int,
    deployment: str,
    outcome: Outcome,
    started_ns: int | None = None,
) -> None:
    """Write the outcome of an attempt that is not made here, or was lost after `started_ns`."""
    content = outcome_content(
        run_path, attempt, deployment, outcome, started_ns=started_ns or time.time_ns()
    )
    write_json(root / ATTEMPTS / run_path / str(attempt) / OUTCOME, content)


def restored(root: Path, run_path: Path, attempt: int) -> bool:
    """Whether the run is finished; if so, the attempt's outcome is there again.

    A job may fail after its training has finished, and then Snakemake removes what the job wrote.
    """
    run_dir = root / RUNS / run_path
    if not (run_dir / "manifest.json").is_file():
        return False
    # It is the output that Snakemake waits for.
    write_json(root / ATTEMPTS / run_path / str(attempt) / OUTCOME, read_json(run_dir / OUTCOME))
    return True
