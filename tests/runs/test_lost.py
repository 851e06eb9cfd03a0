"""Marks of trainings, and what is made of one that nothing followed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import get_args

import pytest

from evenground.errors import EvengroundError
from evenground.files import write_json
from evenground.runs import slurm
from evenground.runs.lost import Mark, begun, clear, leave_mark, mark_unbegun, outcome_of
from evenground.runs.outcome import Outcome, Reason
from evenground.runs.training import give_up, restored

PLACE = Path("cray-1/mnist/keras/k1/r2")
HERE = Path("/made/here")
QUEUE = """11|rule_train_wildcards_x_1|/made/here
8|rule_train_wildcards_x_1|/made/here
13|rule_train_wildcards_x_1|/made/elsewhere
14|rule_train_wildcards_y_1|/made/here
15_2|rule_train_wildcards_x_1|/made/here
7|rule_train_wildcards_z_1|/made/here
slurm: no such thing
"""
ANSWERS = {
    "squeue --me --states=all -h -o %i|%k|%Z": QUEUE,
    "scontrol show job --oneliner 11": "JobId=11 JobState=CANCELLED",
    "scontrol show job --oneliner 14": "JobId=14 JobState=FAILED",
    "scontrol show job --oneliner 7": "JobId=7 JobName=x JobState=CANCELLED Reason=None",
    "sacct -X -n -P -o State -j 8": "CANCELLED by 0\n",
    "scontrol show job --oneliner 9": "JobId=9 JobState=RUNNING",
}


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Slurm's commands as they answer of three jobs, and fail of any other."""
    monkeypatch.setattr(slurm, "_ask", lambda *words: ANSWERS.get(" ".join(words), ""))


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
    outcome = outcome_of(Mark("1", job, "node7", 5), state)
    assert outcome.reason == reason and reason in get_args(Reason) and "node7" in outcome.detail
    assert (f"(Slurm's job 7: {state or 'unknown'})" in outcome.detail) == bool(job)


def test_a_mark_is_of_its_call_until_there_is_an_outcome(tmp_path: Path) -> None:
    assert begun(tmp_path, "3") is None
    leave_mark(tmp_path, "3", "7")
    mark = begun(tmp_path, "3")
    assert mark and mark == begun(tmp_path) and (mark.call, mark.job) == ("3", "7")
    assert begun(tmp_path, "4") is None
    write_json(tmp_path / "outcome.json", {})
    assert begun(tmp_path, "3") is None


@pytest.mark.usefixtures("answers")
def test_slurm_is_asked_for_the_state_and_then_its_accounting() -> None:
    assert [slurm.job_state(job) for job in "6789"] == ["", "CANCELLED", "CANCELLED", "RUNNING"]
    assert [slurm.at_work(job) for job in "6789"] == [False, False, False, True]


def test_without_slurm_nothing_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert slurm.job_state("7") == slurm.last_job(HERE, "x") == ""


@pytest.mark.usefixtures("answers")
def test_the_last_job_of_a_name_is_that_of_this_folder() -> None:
    names = [f"rule_train_wildcards_{name}_1" for name in "xyw"]
    assert [slurm.last_job(HERE, name) for name in names] == ["11", "14", ""]


@pytest.mark.usefixtures("answers")
def test_a_job_that_was_ended_while_it_waited_is_marked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Unlike one that ended by itself, and one that nobody remembers."""
    monkeypatch.setattr(Path, "cwd", lambda: HERE)
    assert not any(mark_unbegun(tmp_path, "3", f"rule_train_wildcards_{name}_1") for name in "yw")
    assert begun(tmp_path) is None
    assert mark_unbegun(tmp_path, "3", "rule_train_wildcards_x_1")
    mark = begun(tmp_path, "3")
    assert mark and (mark.job, mark.host) == ("11", "")
    said = "its job was cancelled, before it began (Slurm's job 11: CANCELLED)"
    # Slurm may have forgotten it by now.
    assert outcome_of(mark, "") == Outcome("cancelled", said)


@pytest.mark.usefixtures("answers")
def test_a_new_call_forgets_what_is_lost_and_refuses_what_is_at_work(tmp_path: Path) -> None:
    attempt = tmp_path / "results/attempts" / PLACE / "1"
    for job in ("", "6", "7"):
        leave_mark(attempt, "3", job)
        clear(tmp_path, [(PLACE, 1)])
        assert begun(attempt) is None
    leave_mark(attempt, "3", "9")
    with pytest.raises(
        EvengroundError, match=r"an earlier call is still at work .*: wait .* or: scancel 9"
    ):
        clear(tmp_path, [(PLACE, 1)])
    clear(tmp_path, [(PLACE, 2)])


def test_a_lost_attempt_has_the_outcome_of_a_failed_one(tmp_path: Path) -> None:
    attempt = tmp_path / "results/attempts" / PLACE / "1"
    leave_mark(attempt, "3", "7")
    mark = begun(attempt)
    assert mark
    give_up(tmp_path, PLACE, 1, "native", outcome_of(mark, "TIMEOUT"))
    ended = json.loads((attempt / "outcome.json").read_text())
    assert (ended["status"], ended["reason"], ended["attempt"]) == ("failed", "time-limit", 1)
    assert ended["started_unix_ns"] == mark.started_unix_ns and ended["run"]["repetition"] == 2


def test_a_finished_run_whose_job_failed_afterwards_is_finished(tmp_path: Path) -> None:
    """Snakemake removes the outcome of a failed job; the run stands in its place already."""
    assert not restored(tmp_path, PLACE, 1)
    run = tmp_path / "results/runs" / PLACE
    write_json(run / "outcome.json", {"status": "finished"})
    write_json(run / "manifest.json", {})
    assert restored(tmp_path, PLACE, 1)
    assert (tmp_path / "results/attempts" / PLACE / "1/outcome.json").read_text() == (
        run / "outcome.json"
    ).read_text()
