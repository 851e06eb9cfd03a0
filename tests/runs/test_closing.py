"""The last words of an invocation: every failed run by name, in one line each, and nothing where none failed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from evenground.errors import EvengroundError
from evenground.records.index import read_index
from evenground.records.outcome import Reason
from evenground.runs.attempt import leave_mark
from evenground.runs.closing import closing_lines
from evenground.runs.complete import refuse_unfinished
from evenground.runs.plan import ATTEMPTS
from evenground.runs.study import Study, make_study
from made_records import index_of, made_condition, made_wanted
from made_run_records import made_outcome
from working_copy import WorkingCopy, fresh_copy


@pytest.fixture
def copy(tmp_path: Path) -> WorkingCopy:
    return fresh_copy(tmp_path / "copy")


def study_of(copy: WorkingCopy, **changes: Any) -> Study:
    """A study as it is when its invocation begins: what is to be done is looked up then."""
    study = make_study({**copy.settings, **changes}, copy.root)
    assert study.pending
    return study


def ended(
    study: Study, run_path: Path, reason: Reason | None, detail: str = "", attempt: int = 1
) -> None:
    """Let an attempt have come to this outcome."""
    folder = study.first.root / ATTEMPTS / run_path / str(attempt)
    made_outcome(reason, detail).write(folder / "outcome.json")
    (folder / "run").mkdir()
    (folder / "run" / "train.log").write_text("log")


def indexed(study: Study, **status: str) -> None:
    """The index of an experiment: `r1="failed"` for the runs of that repetition."""
    conditions = []
    for planned in study.conditions:
        wanted = []
        for run in planned.plan.runs:
            became = status[f"r{run.repetition}"]
            reason = "broken-events" if became == "failed" else None
            wanted.append(made_wanted(run, became, reason=reason))
        machine = planned.plan.record({}).machine
        values = dict(planned.values)
        conditions.append(made_condition(*wanted, machine=machine, values=values))
    index_of(*conditions).write(study.first.root / study.results / "index.json")


def test_an_invocation_without_failures_has_no_last_words(copy: WorkingCopy) -> None:
    study = study_of(copy)
    assert closing_lines(study, judged=True) == []
    for run_path in study.by_path:
        ended(study, run_path, None)
    indexed(study, r1="finished", r2="finished")
    assert closing_lines(study, judged=False) == closing_lines(study, judged=True) == []


def test_each_failed_run_has_its_line_in_the_order_of_the_trainings(copy: WorkingCopy) -> None:
    study = study_of(copy)
    run_paths = list(study.by_path)
    for run_path in reversed(run_paths[:3]):
        ended(study, run_path, "crashed", f"exit code 3;\nlast line: {'x' * 500}")
    lines = closing_lines(study, judged=False)
    assert lines[0] == "3 of 4 wanted runs did not finish:" and len(lines) == 4
    for run_path, line in zip(run_paths, lines[1:], strict=False):
        log = ATTEMPTS / run_path / "1" / "run" / "train.log"
        assert line.startswith(
            f"  tiny {run_path.parts[2]} {run_path.name}: crashed: exit code 3; last line: xxx"
        )
        assert line.endswith(f"x ({log})") and len(line) < 400


def test_a_training_that_left_only_its_mark_is_named(copy: WorkingCopy) -> None:
    study = study_of(copy)
    run_path = next(iter(study.by_path))
    folder = ATTEMPTS / run_path / "1"
    for job, process in (("7", "process, Slurm's job 7, on"), ("", "process on")):
        leave_mark(study.first.root / folder, "native", job)
        first, line = closing_lines(study, judged=False)
        assert first == "1 of 4 wanted runs did not finish:" and f"r1: its {process} " in line
        assert line.endswith(
            f"ended without an outcome; the next invocation records why ({folder})"
        )


def test_records_that_cannot_be_read_hide_no_other_failure(copy: WorkingCopy) -> None:
    study = study_of(copy)
    broken, unmarked, crashed = list(study.by_path)[:3]
    for run_path, name in ((broken, "outcome.json"), (unmarked, "started.json")):
        path = study.first.root / ATTEMPTS / run_path / "1" / name
        path.parent.mkdir(parents=True)
        path.write_text('{"schema": 1}')
    ended(study, crashed, "crashed", "exit code 3")
    lines = "\n".join(closing_lines(study, judged=False))
    assert "broken outcome, reason: Field required" in lines and "exit code 3" in lines
    assert "broken start mark, deployment: Field required" in lines and lines.count("\n") == 3


def test_where_a_job_failed_the_trainings_that_did_not_begin_are_counted(copy: WorkingCopy) -> None:
    study = study_of(copy)
    assert closing_lines(study, judged=False, broken=True) == [], (
        "it failed before the first training"
    )
    first, second = list(study.by_path)[:2]
    ended(study, first, None)
    leave_mark(study.first.root / ATTEMPTS / second / "1", "native", "")
    lines = closing_lines(study, judged=False, broken=True)
    assert (
        lines[0] == "3 of 4 wanted runs did not finish:"
        and lines[-1] == "  2 more were not trained"
    )
    assert len(closing_lines(study, judged=False)) == 2


def test_the_last_step_names_earlier_failures_and_counts_what_was_not_trained(
    copy: WorkingCopy,
) -> None:
    earlier = study_of(copy)
    for run_path in earlier.by_path:
        if run_path.name == "r1":
            ended(earlier, run_path, "time-limit", "it ran past time_limit_s")
    study = study_of(copy)
    assert set(study.pending.values()) == {1, 2}
    indexed(study, r1="failed", r2="missing")
    assert closing_lines(study, judged=False) == [], "no training of this invocation failed"
    lines = closing_lines(study, judged=True)
    assert (
        lines[0] == "4 of 4 wanted runs did not finish:"
        and lines[-1] == "  2 more were not trained"
    )
    assert len(lines) == 4 and all(
        "r1: time-limit: it ran past time_limit_s (" in line for line in lines[1:3]
    )


def test_of_several_conditions_a_run_says_its_own(copy: WorkingCopy) -> None:
    study = study_of(copy, batch_size=[8, 16], repetitions=1)
    for run_path in study.by_path:
        ended(study, run_path, "lost")
    lines = closing_lines(study, judged=False)
    assert sorted(line.split(":")[0] for line in lines[1:]) == sorted(
        f"  tiny {engine} r1 of batch_size-{size}"
        for engine in ("fake_a", "fake_b")
        for size in (8, 16)
    )


def test_the_last_step_names_earlier_failures_of_every_condition(copy: WorkingCopy) -> None:
    earlier = study_of(copy, batch_size=[8, 16])
    for run_path in earlier.by_path:
        if run_path.name == "r1":
            ended(earlier, run_path, "lost", "its process ended")
    study = study_of(copy, batch_size=[8, 16])
    indexed(study, r1="failed", r2="missing")
    lines = closing_lines(study, judged=True)
    assert lines[0] == "8 of 8 wanted runs did not finish:"
    assert lines[-1] == "  4 more were not trained" and len(lines) == 6
    for size in (8, 16):
        for engine in ("fake_a", "fake_b"):
            label = f"  tiny {engine} r1 of batch_size-{size}: lost: its process ended ("
            assert sum(line.startswith(label) for line in lines) == 1


def test_an_experiment_with_unfinished_runs_ends_with_the_first_and_its_condition(
    copy: WorkingCopy,
) -> None:
    tables = Path("results/native/tables")
    study = study_of(copy, batch_size=[8, 16])
    where = copy.root / study.results / "index.json"
    indexed(study, r1="finished", r2="finished")
    refuse_unfinished(read_index(where), tables, "this")
    indexed(study, r1="finished", r2="failed")
    said = r"4 of 8 wanted runs did not finish; the first: tiny fake_\w r2 of batch_size-8: broken"
    with pytest.raises(EvengroundError, match=said) as caught:
        refuse_unfinished(read_index(where), tables, "this")
    assert "run again to try them again" in str(caught.value)
    single = study_of(copy)
    indexed(single, r1="missing", r2="missing")
    with pytest.raises(EvengroundError, match=r"tiny fake_\w r1: not recorded .*set machine: here"):
        refuse_unfinished(read_index(where), tables, "another")
