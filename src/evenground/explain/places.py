"""The folders of extra trainings: never below `results/runs` or `results/attempts`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

from evenground.explain.tracer import Traced
from evenground.records.base import Record
from evenground.records.plan import Run
from evenground.runs.outcome import Outcome
from evenground.runs.plan import Plan

FOLDER, EXPLAINED = "explain_idle", "explained.json"


class ExplainedRecord(Record):
    """One extra training: of what, how it ended, what was traced."""

    WHAT: ClassVar[str] = "record of an extra training"

    dataset: str
    engine: str
    key: str
    outcome: Outcome
    traced: Traced
    files: dict[str, str]
    """File of the training -> its sha256."""


def explained_runs(plan: Plan) -> Iterator[Run]:
    """Yield one wanted run of each engine, arms too, on each dataset."""
    return (run for run in plan.runs if run.repetition == 1)


def explained_file(results: Path, run: Run) -> Path:
    """Return the file that the extra training of a run leaves below the folder `results`.

    One that failed, or that has lost a file, is kept, and is made again under the next number.
    Raises EvengroundError if an earlier one cannot be read.
    """
    folder = results / FOLDER / run.dataset / run.engine / run.key
    number = 1
    for path in folder.glob(f"*/{EXPLAINED}"):
        if _is_spent(path):
            number = max(number, int(path.parent.name) + 1)
    return folder / str(number) / EXPLAINED


def _is_spent(path: Path) -> bool:
    record = ExplainedRecord.read(path)
    is_complete = all((path.parent / name).is_file() for name in record.files)
    return not is_complete or record.outcome.reason is not None
