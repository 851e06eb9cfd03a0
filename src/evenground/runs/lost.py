"""Trainings that ended without a word: the next invocation writes down what became of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from evenground.errors import EvengroundError
from evenground.files import write_json
from evenground.runs.attempt import Mark, outcome_content, unfinished_mark
from evenground.runs.outcome import Outcome, Reason
from evenground.runs.plan import ATTEMPTS, MARK, OUTCOME
from evenground.runs.slurm import is_at_work, job_state

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
class Begun:
    """An attempt that began and has no outcome: it is lost, or at work."""

    path: Path
    """The run's, below `results/runs` and `results/attempts`."""
    number: int
    mark: Mark

    @property
    def state(self) -> str:
        """Slurm's word for its job, asked now; empty where there is none, or nobody knows it any more."""
        if not self.mark.job:
            return ""
        return job_state(self.mark.job)


def refuse_at_work(root: Path, run_paths: Iterable[Path]) -> None:
    """EvengroundError where a job of an earlier invocation is still training one of the runs at `run_paths`."""
    for begun in _begun(root, run_paths):
        job = begun.mark.job
        if is_at_work(begun.state):
            raise EvengroundError(
                "a training of an earlier invocation is still at work",
                f"{begun.path}, Slurm's job {job} on {begun.mark.host}",
                f"wait for it to end, or: scancel {job}",
            )


def record_lost(root: Path, run_paths: Iterable[Path]) -> list[str]:
    """Write the outcome of each lost attempt at the runs at `run_paths`; a line to be shown for each.

    Nothing else tells what became of it: not a killed process, not a machine that went down, and Slurm
    forgets a job. So it is called where an invocation begins its jobs, before any of them.
    """
    lines = []
    for begun in _begun(root, run_paths):
        state = begun.state
        if is_at_work(state):
            continue
        outcome = outcome_of(begun.mark, state)
        content = outcome_content(
            run_path=begun.path,
            attempt=begun.number,
            deployment=begun.mark.deployment,
            outcome=outcome,
            started_ns=begun.mark.started_unix_ns,
        )
        write_json(root / ATTEMPTS / begun.path / str(begun.number) / OUTCOME, content)
        _, dataset, engine, _, repetition = begun.path.parts
        attempt = f"{dataset} {engine} {repetition}, attempt {begun.number}"
        lines.append(
            f"lost by an earlier invocation: {attempt}: {outcome.reason}: {outcome.detail}"
        )
    return lines


def outcome_of(mark: Mark, state: str) -> Outcome:
    """How a training ended that left only its mark; `state` is the scheduler's word for its job, if any."""
    reason, words = STATES.get(state, ("lost", "its process ended without an outcome"))
    detail = f"{words}, on {mark.host}"
    if mark.job:
        detail += f" (Slurm's job {mark.job}: {state or 'unknown'})"
    return Outcome(reason, detail)


def _begun(root: Path, run_paths: Iterable[Path]) -> Iterator[Begun]:
    """Every attempt at the runs at `run_paths` that began and has no outcome."""
    for run_path in run_paths:
        for file in sorted((root / ATTEMPTS / run_path).glob(f"*/{MARK}")):
            mark = unfinished_mark(file.parent)
            if mark is not None:
                yield Begun(path=run_path, number=int(file.parent.name), mark=mark)
