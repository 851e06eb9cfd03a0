"""Trainings that ended without an outcome: the next invocation records what became of them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from evenground.commands import output_of
from evenground.errors import EvengroundError
from evenground.records.outcome import MARK, Mark, Reason
from evenground.runs.attempt import give_up, unfinished_mark
from evenground.runs.outcome import Outcome
from evenground.runs.plan import ATTEMPTS

STATES: dict[str, tuple[Reason, str]] = {
    "CANCELLED": ("cancelled", "its job was cancelled"),
    "PREEMPTED": ("cancelled", "its job had to make way for another"),
    "NODE_FAIL": ("node-failed", "its node failed"),
    "BOOT_FAIL": ("node-failed", "its node failed"),
    "TIMEOUT": ("time-limit", "its job ran past the scheduler's limit"),
    "DEADLINE": ("time-limit", "its job ran past the scheduler's limit"),
    "OUT_OF_MEMORY": ("out-of-memory", "its job used more memory than was asked for"),
}
"""Slurm's state of a job -> the reason of its training's outcome, and the start of its detail."""
# These states of a job that has ended say nothing of why.
ENDED = STATES.keys() | {"COMPLETED", "FAILED", "REVOKED"}


def refuse_at_work(root: Path, run_paths: Iterable[Path]) -> None:
    """Raises EvengroundError if a job of an earlier invocation still trains one of the runs."""
    for run_path, _, mark in _begun(root, run_paths):
        if is_at_work(job_state(mark.job)):
            raise EvengroundError(
                "a training of an earlier invocation is still at work",
                f"{run_path}, Slurm's job {mark.job} on {mark.host}",
                f"wait for it to end, or: scancel {mark.job}",
            )


def record_lost(root: Path, run_paths: Iterable[Path]) -> list[str]:
    """Write the outcome of each lost attempt at the runs; returns a message for each.

    Nothing else records it: not a killed process, not a machine that went down, and Slurm forgets
    a job. So it is called when an invocation begins its jobs, before any of them.
    """
    messages = []
    for run_path, attempt, mark in _begun(root, run_paths):
        state = job_state(mark.job)
        # The gate has refused those that it saw; others may have begun since.
        if is_at_work(state):
            continue
        outcome = outcome_of(mark, state)
        give_up(root, run_path, attempt, mark.deployment, outcome, mark.started_unix_ns)
        _, dataset, engine, _, repetition = run_path.parts
        label = f"{dataset} {engine} {repetition}, attempt {attempt}"
        ended = f"{outcome.reason}: {outcome.detail}"
        messages.append(f"lost by an earlier invocation: {label}: {ended}")
    return messages


def outcome_of(mark: Mark, state: str) -> Outcome:
    """How a training ended that left only its mark; `state`: Slurm's state of its job, or empty."""
    reason, detail = STATES.get(state, ("lost", "its process ended without an outcome"))
    detail += f", on {mark.host}"
    if mark.job:
        detail += f" (Slurm's job {mark.job}: {state or 'unknown'})"
    return Outcome(reason, detail)


def _begun(root: Path, run_paths: Iterable[Path]) -> Iterator[tuple[Path, int, Mark]]:
    """Every attempt at the runs that began and has no outcome: run path, number and mark."""
    for run_path in run_paths:
        for file in sorted((root / ATTEMPTS / run_path).glob(f"*/{MARK}")):
            mark = unfinished_mark(file.parent)
            if mark:
                yield run_path, int(file.parent.name), mark


def job_state(job: str) -> str:
    """Slurm's state of a job, e.g. `CANCELLED`; empty without a job, or if Slurm forgot it.

    The controller forgets a job minutes after its end; only clusters with accounting remember more.
    """
    if not job:
        return ""
    shown = output_of(["scontrol", "show", "job", "--oneliner", job]) or ""
    match = re.search(r"\bJobState=(\w+)", shown)
    if match:
        return match[1]
    # `CANCELLED by 1000`: the state is the first word.
    accounted = output_of(["sacct", "-X", "-n", "-P", "-o", "State", "-j", job]) or ""
    match = re.match(r"[A-Z_]+\b", accounted)
    return match[0] if match else ""


def is_at_work(state: str) -> bool:
    """Whether a job in this state is running, waiting or ending; False for an unknown one."""
    return bool(state) and state not in ENDED
