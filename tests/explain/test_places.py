"""Which extra training stands for a run: a failed one, or one without a file, is made anew beside it."""

from __future__ import annotations

from pathlib import Path

import pytest

from evenground.explain.places import EXPLAINED, ExplainedRecord, explained_file
from evenground.explain.tracer import Traced
from evenground.records.outcome import Reason
from evenground.runs.outcome import Outcome
from made_records import made_run

RUN = made_run("keras")


def explain(results: Path, reason: Reason | None) -> Path:
    """Let the next extra training be made."""
    path = explained_file(results, RUN)
    record = ExplainedRecord(
        dataset=RUN.dataset,
        engine=RUN.engine,
        key=RUN.key,
        outcome=Outcome(reason),
        traced=Traced(started_mono_ns=1),
        files={"samples.csv": "0"},
    )
    record.write(path)
    (path.parent / "samples.csv").write_text("")
    return path


@pytest.mark.parametrize("spent", ["failed", "without a file", "with a link that leads nowhere"])
def test_one_that_is_spent_is_made_anew_and_stays(tmp_path: Path, spent: str) -> None:
    first = explain(tmp_path, "crashed" if spent == "failed" else None)
    if spent != "failed":
        (first.parent / "samples.csv").unlink()
    if spent.startswith("with a link"):
        (first.parent / "samples.csv").symlink_to("nowhere")
    second = explained_file(tmp_path, RUN)
    assert (second.parent.name, second.name) == ("2", EXPLAINED) and first.is_file()
    explain(tmp_path, None)
    assert explained_file(tmp_path, RUN) == second
