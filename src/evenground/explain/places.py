"""Where the extra trainings of an experiment are made: never below `results/runs` or `results/attempts`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from evenground.files import read_json
from evenground.runs.outcome import Outcome
from evenground.runs.plan import Plan, Run

FOLDER, EXPLAINED = "explain_idle", "explained.json"


def explained_runs(plan: Plan) -> Iterator[Run]:
    """One wanted run of each dataset with each engine, arms too: the extra training is what it would be."""
    return (run for run in plan.runs if run.repetition == 1)


def explained_file(results: Path, run: Run) -> Path:
    """What its extra training leaves behind, below the part's folder `results`.

    One that failed, or that somebody deleted a file of, is made anew under the next number, and stays.
    """
    folder = results / FOLDER / run.dataset / run.engine / run.key
    spent = [path for path in folder.glob(f"*/{EXPLAINED}") if _is_spent(path)]
    return folder / str(max((int(path.parent.name) for path in spent), default=0) + 1) / EXPLAINED


def _is_spent(path: Path) -> bool:
    content = read_json(path)
    whole = all((path.parent / name).is_file() for name in content["files"])
    return not whole or Outcome(**content["outcome"]).reason is not None
