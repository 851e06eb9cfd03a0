"""The extra training: like every other one, but below two tracers, in its own folder, uncounted."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from evenground.explain.kernel import Recorder
from evenground.explain.places import EXPLAINED, ExplainedRecord
from evenground.explain.tracer import read_traced
from evenground.files import empty_folder, sha256_file
from evenground.records.outcome import OUTCOME, AttemptOutcome
from evenground.runs.outcome import Outcome
from evenground.runs.training import LOCK, Training, alone, make_attempt, record_of
from evenground.runs.variables import home_folder
from evenground.sidecar import linux

KERNEL = "kernel.json"


@dataclass(frozen=True)
class Explained:
    """One extra training: where it is, what tells it from others, and its record."""

    folder: Path
    condition: str
    """What tells its condition from others; empty for an experiment of one."""
    record: ExplainedRecord


def explain(training: Training, folder: Path, tracer: Sequence[str]) -> Outcome:
    """Make the extra training of a run in `folder` below the command `tracer`; return its outcome.

    `tracer` calls `trace` with a command that calls `attempt`. Meanwhile this process looks at the
    engine's threads and holds the machine's training lock.
    """
    empty_folder(folder)
    with alone(LOCK):
        # What becomes an orphan below is then a child of this process, and can be waited for.
        linux.prctl(linux.PR_SET_CHILD_SUBREAPER, 1)
        # The rule's shell leaves a process here that copies our output to the log until we end.
        others = linux.children(os.getpid())
        with subprocess.Popen(tracer) as process:
            # It looks below us, not below the tracer, which may end before the engine does.
            recorder = Recorder(os.getpid())
            process.wait()
            _wait_for_orphans(others)
            recorder.stop().write(folder / KERNEL)
    outcome = Outcome("lost", "it left no outcome")
    if (folder / OUTCOME).is_file():
        ended = AttemptOutcome.read(folder / OUTCOME)
        outcome = Outcome(ended.reason, ended.detail)
    files = [path for path in sorted(folder.iterdir()) if path.is_file()]
    record = ExplainedRecord(
        dataset=training.spec.dataset.name,
        engine=training.spec.engine.name,
        key=training.spec.key,
        outcome=outcome,
        traced=read_traced(folder),
        files={path.name: sha256_file(path) for path in files},
    )
    record.write(folder / EXPLAINED)
    return outcome


def attempt(training: Training, folder: Path) -> None:
    """Train, in a process below the tracer; leaves the outcome in `folder`."""
    started_ns = time.time_ns()
    with home_folder(LOCK) as home:
        outcome = make_attempt(training, training.work(folder), folder, home)
    record_of(training, outcome, started_ns).write(folder / OUTCOME)


def _wait_for_orphans(others: Collection[int]) -> None:
    """Wait for the sidecar and what started it: py-spy ends a moment before, with the engine."""
    while orphans := set(linux.children(os.getpid())) - set(others):
        for pid in orphans:
            os.waitpid(pid, 0)


def read_explained(path: Path, condition: str) -> Explained:
    """Return what `explain` left at `path`; raises EvengroundError if it is missing or broken.

    `condition`: its name in the experiment of today, which may have more conditions than before.
    """
    return Explained(path.parent, condition, ExplainedRecord.read(path))
