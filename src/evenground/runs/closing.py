"""The last lines of an invocation: which runs failed, one line each."""

from __future__ import annotations

import atexit
import sys
from pathlib import Path

from evenground.errors import EvengroundError
from evenground.records.index import read_index
from evenground.records.outcome import MARK, OUTCOME, AttemptOutcome
from evenground.runs.attempt import unfinished_mark
from evenground.runs.plan import ATTEMPTS
from evenground.runs.study import Study
from evenground.runs.training import LOG

COMPLETE_LOG = Path("results/logs/complete.log")
MAX_DETAIL_CHARACTERS = 200


def name_failed_runs(study: Study | None, began_ns: int, broken: bool) -> None:
    """Print the closing lines when this process ends: Snakemake prints its error after its hooks.

    `study`: None in a job on another machine. `began_ns`: when the invocation began, in Unix time.
    """
    if study is None:
        return
    judged = COMPLETE_LOG.is_file() and COMPLETE_LOG.stat().st_mtime_ns > began_ns
    lines = closing_lines(study, judged, broken)
    if lines:
        atexit.register(print, "\n".join(lines), file=sys.stderr, flush=True)


def closing_lines(study: Study, judged: bool, broken: bool = False) -> list[str]:
    """The lines that end an invocation; none if none of its trainings failed.

    With `judged` the invocation came to its last step, which looks at all wanted runs: then runs
    that failed in an earlier invocation, or cannot be read any more, are named too, and those
    without any attempt are counted. With `broken` a job failed: then the trainings that it
    prevented are counted.
    """
    failed = _failed_now(study)
    missing = 0
    if judged:
        earlier, missing = _failed_earlier(study)
        failed = earlier | failed
    elif broken:
        missing = _not_begun(study)
    if not failed and not missing:
        return []
    count = len(failed) + missing
    lines = [f"{count} of {len(study.by_path)} wanted runs did not finish:"]
    for run_path in study.by_path:
        if run_path in failed:
            lines.append(f"  {_label(study, run_path)}: {failed[run_path]}")
    if missing:
        lines.append(f"  {missing} more were not trained")
    return lines


def _failed_now(study: Study) -> dict[Path, str]:
    """Path of each training of this invocation that failed -> how."""
    failed = {}
    for run_path, attempt in study.pending.items():
        failure = _failure(study, run_path, attempt)
        if failure:
            failed[run_path] = failure
    return failed


def _failed_earlier(study: Study) -> tuple[dict[Path, str], int]:
    """Path of each failed run in the index -> how; and the number of runs never attempted."""
    failed = {}
    missing = 0
    try:
        index = read_index(study.first.root / study.results / "index.json")
    except EvengroundError:
        return {}, 0
    for condition in index.conditions:
        for run in condition.unfinished:
            if run.status == "missing":
                missing += 1
            else:
                run_path = run.path_on(condition.machine.class_name)
                failure = _failure(study, run_path, run.attempts)
                failed[run_path] = failure or str(run.reason)
    return failed, missing


def _not_begun(study: Study) -> int:
    """How many trainings did not begin; 0 if none did, for then another job failed."""
    begun = 0
    for run_path, attempt in study.pending.items():
        folder = study.first.root / ATTEMPTS / run_path / str(attempt)
        if (folder / MARK).is_file() or (folder / OUTCOME).is_file():
            begun += 1
    if begun == 0:
        return 0
    return len(study.pending) - begun


def _failure(study: Study, run_path: Path, attempt: int) -> str:
    """How an attempt failed, and where its log is; empty if it did not fail."""
    root = study.first.root
    folder = ATTEMPTS / run_path / str(attempt)
    try:
        mark = unfinished_mark(root / folder)
        if mark:
            job = f", Slurm's job {mark.job}," if mark.job else ""
            ended = f"its process{job} on {mark.host} ended without an outcome"
            return f"{ended}; the next invocation records why ({folder})"
        if not (root / folder / OUTCOME).is_file():
            return ""
        outcome = AttemptOutcome.read(root / folder / OUTCOME)
    except EvengroundError as error:
        # The lines of the other runs follow.
        return str(error)
    if outcome.reason is None:
        return ""
    where = folder
    # A failed warm-up has a log of its own.
    for log in (folder / "warm_up" / LOG, folder / "run" / LOG):
        if (root / log).is_file():
            where = log
    detail = " ".join(outcome.detail.split())[:MAX_DETAIL_CHARACTERS]
    return f"{outcome.reason}: {detail} ({where})"


def _label(study: Study, run_path: Path) -> str:
    """`mnist keras r1`; of several conditions with the name of its own."""
    _, dataset, engine, _, repetition = run_path.parts
    label = f"{dataset} {engine} {repetition}"
    if len(study.conditions) == 1:
        return label
    condition, _ = study.by_path[run_path]
    return f"{label} of {condition.name}"
