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
    """What its extra training leaves behind, below the part's folder `results`: a failed one is made anew."""
    folder = results / FOLDER / run.dataset / run.engine / run.key
    failed = [path for path in folder.glob(f"*/{EXPLAINED}") if Outcome(**read_json(path)["outcome"]).reason]
    return folder / str(max((int(path.parent.name) for path in failed), default=0) + 1) / EXPLAINED
