"""How to make each part of the report oneself: the command, the minutes and the disk it takes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from evenground.analysis.index import Index, WantedRun
from evenground.analysis.runs import Run

# Between two trainings: starting Snakemake's job and the engine's warm-up, as seen on recorded runs.
BETWEEN_S = 3.0


@dataclass(frozen=True)
class Step:
    """What is made, by which command, in how many minutes and on how much disk; None where it is nothing."""

    what: str
    command: str
    minutes: float | None
    disk_mb: float | None


def steps(index: Index, runs: Mapping[WantedRun, Run]) -> list[Step]:
    """All trainings, those of each dataset, then what is drawn from recorded runs; minutes as recorded."""
    found = [_trainings(index, runs, None)]
    found += [_trainings(index, runs, dataset.name) for dataset in index.datasets]
    drawn = "snakemake --cores all figures"
    return [
        *found,
        Step("tables, verdicts, figures and this page from recorded runs", drawn, None, None),
        Step(
            "the same from a bundle, without data or training", "./evenground replay BUNDLE.zip", None, None
        ),
    ]


def _trainings(index: Index, runs: Mapping[WantedRun, Run], dataset: str | None) -> Step:
    mine = [run for wanted, run in runs.items() if dataset in (None, wanted.dataset)]
    wall_s = sum((run.process.exited_ns - run.process.launched_ns) / 1e9 + BETWEEN_S for run in mine)
    size = sum(file.stat().st_size for run in mine for file in run.folder.iterdir())
    config = "" if dataset is None else f" --config 'datasets=[{dataset}]'"
    containers = " --use-singularity" if index.deployment == "apptainer" else ""
    what = f"all {len(mine)} trainings" if dataset is None else f"{len(mine)} trainings on {dataset}"
    return Step(what, f"snakemake --cores all{containers}{config}", wall_s / 60, size / 1e6)
