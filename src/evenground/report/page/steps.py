"""How to make the report oneself: the command that made it, the minutes and the disk that takes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from evenground.analysis.index import Index, WantedRun
from evenground.analysis.runs import Run

# Between two trainings: starting Snakemake's job and the engine's warm-up, as seen on recorded runs.
BETWEEN_S = 3.0
REPLAY = "./evenground replay BUNDLE.zip"


@dataclass(frozen=True)
class Step:
    """What is made, by which command, in how many minutes, on how much disk; None where it is not known."""

    what: str
    command: str | None
    minutes: float | None = None
    disk_mb: float | None = None


def steps(
    index: Index,
    runs: Mapping[WantedRun, Run],
    command: str | None = None,
    redrawn_by: str | None = None,
) -> list[Step]:
    """The trainings and all that is drawn, with the `command` that made them; then a replay.

    Minutes as recorded; `redrawn_by` is the command of the replay that made this page.
    """
    wall_s = sum(
        (run.process.exited_ns - run.process.launched_ns) / 1e9 + BETWEEN_S for run in runs.values()
    )
    size = sum(file.stat().st_size for run in runs.values() for file in run.folder.iterdir())
    what = "trainings, tables, verdicts, figures and this page; only what is missing is trained"
    bundle = "tables, verdicts, figures and this page from a bundle, without data or training"
    return [
        Step(f"{len(runs)} {what}", command or None, wall_s / 60, size / 1e6),
        Step(bundle, redrawn_by or REPLAY),
    ]
