"""Which extra training stands for a run: a failed one, or one without a file, is made anew beside it."""

from __future__ import annotations

from pathlib import Path

import pytest

from evenground.explain.places import EXPLAINED, explained_file
from evenground.files import write_json
from made_records import made_run

RUN = made_run("keras")


def explain(results: Path, reason: str | None) -> Path:
    """Let the next extra training be made."""
    path = explained_file(results, RUN)
    outcome = {"reason": reason, "detail": ""}
    write_json(path, {"outcome": outcome, "files": {"samples.csv": "0"}})
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
