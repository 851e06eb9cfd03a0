"""How to make the report oneself: commands, and the minutes and disk space they take."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from evenground.analysis.runs import Run
from evenground.records.index import WantedRun

# Seconds between two trainings, as seen in recorded runs: starting Snakemake's job and the
# engine's warm-up.
BETWEEN_S = 3.0
REPLAY = "./evenground replay BUNDLE.zip"


@dataclass(frozen=True)
class Step:
    """What a command makes, how long it takes and its disk space; None if unknown."""

    what: str
    command: str | None
    minutes: float | None = None
    disk_mb: float | None = None


def steps(
    runs: Mapping[WantedRun, Run],
    command: str | None = None,
    redrawn_by: str | None = None,
) -> list[Step]:
    """Training and drawing everything with `command`, then a replay.

    Minutes are those recorded; `redrawn_by` is the command of the replay that made this page.
    """
    wall_s = sum(
        (run.process.exited_ns - run.process.launched_ns) / 1e9 + BETWEEN_S for run in runs.values()
    )
    size = sum(file.stat().st_size for run in runs.values() for file in run.folder.iterdir())
    what = "trainings, tables, verdicts, figures and this page; only what is missing is trained"
    bundle = "tables, verdicts, figures and this page from a bundle, without data or training"
    train = Step(
        what=f"{len(runs)} {what}",
        command=command,
        minutes=wall_s / 60,
        disk_mb=size / 1e6,
    )
    return [train, Step(what=bundle, command=redrawn_by or REPLAY)]
