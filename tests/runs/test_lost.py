"""Marks of trainings, and what the next invocation makes of one that nothing followed."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest

from evenground.errors import EvengroundError
from evenground.records.outcome import AttemptOutcome, Mark, Reason
from evenground.runs import lost
from evenground.runs.attempt import give_up, leave_mark, restored, unfinished_mark
from evenground.runs.lost import outcome_of, record_lost, refuse_at_work
from evenground.runs.outcome import Outcome
from evenground.runs.plan import next_attempt
from made_run_records import RUN_PATH, made_outcome

ANSWERS = {
    "scontrol show job --oneliner 7": "JobId=7 JobName=x JobState=CANCELLED Reason=None",
    "sacct -X -n -P -o State -j 8": "CANCELLED by 0\n",
    "scontrol show job --oneliner 9": "JobId=9 JobState=RUNNING",
}


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Slurm's commands as they answer of three jobs, and fail of any other."""
    monkeypatch.setattr(lost, "output_of", lambda command: ANSWERS.get(" ".join(command)))


def attempt_folder(root: Path, number: int = 1) -> Path:
    return root / "results/attempts" / RUN_PATH / str(number)


def outcome_in(folder: Path) -> AttemptOutcome:
    return AttemptOutcome.read(folder / "outcome.json")


@pytest.mark.parametrize(
    ("job", "state", "reason"),
    [
        ("7", "CANCELLED", "cancelled"),
        ("7", "PREEMPTED", "cancelled"),
        ("7", "NODE_FAIL", "node-failed"),
        ("7", "BOOT_FAIL", "node-failed"),
        ("7", "TIMEOUT", "time-limit"),
        ("7", "DEADLINE", "time-limit"),
        ("7", "OUT_OF_MEMORY", "out-of-memory"),
        ("7", "FAILED", "lost"),
        ("7", "", "lost"),
        ("", "", "lost"),
    ],
)
def test_every_state_has_its_reason(job: str, state: str, reason: str) -> None:
    mark = Mark(deployment="native", job=job, host="node7", started_unix_ns=5)
    outcome = outcome_of(mark, state)
    assert outcome.reason == reason and reason in get_args(Reason) and "node7" in outcome.detail
    assert (f"(Slurm's job 7: {state or 'unknown'})" in outcome.detail) == bool(job)


def test_a_mark_is_unfinished_until_there_is_an_outcome(tmp_path: Path) -> None:
    assert unfinished_mark(tmp_path) is None
    leave_mark(tmp_path, "apptainer", "7")
    mark = unfinished_mark(tmp_path)
    assert mark and (mark.deployment, mark.job) == ("apptainer", "7")
    made_outcome().write(tmp_path / "outcome.json")
    assert unfinished_mark(tmp_path) is None


@pytest.mark.usefixtures("answers")
def test_slurm_is_asked_for_the_state_and_then_its_accounting() -> None:
    states = [lost.job_state(job) for job in "6789"]
    assert states == ["", "CANCELLED", "CANCELLED", "RUNNING"]
    assert [lost.is_at_work(state) for state in states] == [False, False, False, True]


def test_without_slurm_nothing_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert lost.job_state("7") == ""


@pytest.mark.usefixtures("answers")
def test_what_is_at_work_is_refused_and_never_recorded(tmp_path: Path) -> None:
    leave_mark(attempt_folder(tmp_path), "native", "9")
    words = r"an earlier invocation is still at work .*: wait .* or: scancel 9"
    with pytest.raises(EvengroundError, match=words):
        refuse_at_work(tmp_path, [RUN_PATH])
    assert record_lost(tmp_path, [RUN_PATH]) == [] and unfinished_mark(attempt_folder(tmp_path))


@pytest.mark.usefixtures("answers")
@pytest.mark.parametrize("job", ["", "6", "7"])
def test_what_ended_or_is_not_known_is_not_refused(tmp_path: Path, job: str) -> None:
    leave_mark(attempt_folder(tmp_path), "native", job)
    refuse_at_work(tmp_path, [RUN_PATH])
    assert unfinished_mark(attempt_folder(tmp_path)), "to look changes nothing"


@pytest.mark.usefixtures("answers")
def test_a_lost_attempt_has_the_outcome_of_a_failed_one(tmp_path: Path) -> None:
    leave_mark(attempt_folder(tmp_path), "apptainer", "7")
    mark = unfinished_mark(attempt_folder(tmp_path))
    assert mark
    (line,) = record_lost(tmp_path, [RUN_PATH])
    detail = f"its job was cancelled, on {mark.host} (Slurm's job 7: CANCELLED)"
    assert line.endswith(f"mnist keras r2, attempt 1: cancelled: {detail}")
    ended = outcome_in(attempt_folder(tmp_path))
    assert (ended.reason, ended.attempt) == ("cancelled", 1)
    assert ended.detail == detail and ended.started_unix_ns == mark.started_unix_ns
    assert ended.run.repetition == 2 and ended.run.deployment == "apptainer"


@pytest.mark.usefixtures("answers")
def test_each_is_recorded_once_and_only_of_the_runs_that_are_named(tmp_path: Path) -> None:
    for number, job in enumerate(["", "8"], start=1):
        leave_mark(attempt_folder(tmp_path, number), "native", job)
    assert record_lost(tmp_path, [RUN_PATH.with_name("r1")]) == []
    assert len(record_lost(tmp_path, [RUN_PATH])) == 2
    reasons = [outcome_in(attempt_folder(tmp_path, number)).reason for number in (1, 2)]
    assert reasons == ["lost", "cancelled"]
    assert record_lost(tmp_path, [RUN_PATH]) == []


def test_the_next_attempt_is_behind_all_that_began_or_were_given_up(tmp_path: Path) -> None:
    assert next_attempt(tmp_path, RUN_PATH) == 1
    # Snakemake makes a job's folders before it submits the job.
    attempt_folder(tmp_path, 1).mkdir(parents=True)
    assert next_attempt(tmp_path, RUN_PATH) == 1
    give_up(tmp_path, RUN_PATH, 1, "native", Outcome("other-machine"))
    assert next_attempt(tmp_path, RUN_PATH) == 2
    leave_mark(attempt_folder(tmp_path, 10), "native", "")
    assert next_attempt(tmp_path, RUN_PATH) == 11


def test_a_finished_run_whose_job_failed_afterwards_is_finished(tmp_path: Path) -> None:
    """Snakemake removes the outcome of a failed job; the run stands in its place already."""
    assert not restored(tmp_path, RUN_PATH, 1)
    run = tmp_path / "results/runs" / RUN_PATH
    made_outcome().write(run / "outcome.json")
    (run / "manifest.json").touch()
    assert restored(tmp_path, RUN_PATH, 1)
    assert outcome_in(attempt_folder(tmp_path)) == made_outcome()
