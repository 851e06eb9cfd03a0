"""Headings and notes of the tables: what each column means, from which runs and which machine."""

from __future__ import annotations

from evenground.analysis.files import plain
from evenground.analysis.index import Index

HEADINGS = {
    "training_time": "Time per dataset and engine",
    "time_ratio": "Ratio of times between engines",
    "resources": "Use of resources during training",
    "accuracy": "Accuracy reached",
    "runs": "Every wanted run",
    "calibration": "How well the sampler measures on this machine",
}

_NOTES = {
    "training_time": (
        "Seconds. `training_s`: start of training to its end, compilation inside (the headline). "
        "`whole_process_s`: launch to exit, less the time it was told to linger. `first_batch_s`: start "
        "of training until the first batch is done. `steady_s`: from there to the end of training."
    ),
    "time_ratio": (
        "Time of `engine` over time of `baseline`: a ratio of geometric means, with its 95 % interval by"
        " Welch's t on logarithms. Above 1, `engine` takes longer."
    ),
    "resources": (
        "Between start and end of training. `peak` and `range` (largest less smallest value) of each run"
        " as median, smallest and largest over the runs; `mean_curve_*` of the curve averaged over the "
        "runs, up to the shortest training. `integral`: CPU seconds, joules, or unit times seconds. CPU "
        "is in percent of one core; GPU, VRAM and power are the whole card's."
    ),
    "accuracy": (
        "`test_accuracy`: share of test images recognised, after training. `final_train_loss`: mean loss"
        " over the steps of the last epoch."
    ),
    "runs": "In the order in which they were run. Seconds as in `training_time`.",
    "calibration": (
        "Known loads under the sampler, against the kernel's own account of them (docs/sidecar.md). "
        "`passed`: whether the goal is met; where there is no answer, `reason` says why. Measured once, "
        "before the first training."
    ),
}


def notes(name: str, index: Index) -> str:
    """The note under the heading of table `name`: the columns, the machine and how many runs finished."""
    lost = len(index.runs) - len(index.finished)
    where = "" if name == "runs" else ", see `runs.md`"
    unfinished = f"; **{lost} did not finish**{where}" if lost else ""
    none = "\n\n**None is recorded for this class of machine.**"
    absent = none if name == "calibration" and index.calibration is None else ""
    machine = f"{plain(index.machine.description)} (class `{index.machine.class_name}`, {index.deployment})"
    return (
        f"{_NOTES[name]}{absent}\n\nMachine: {machine}. "
        f"{len(index.finished)} of {len(index.runs)} wanted runs finished{unfinished}. "
        "`n`: finished runs behind a number, `n_wanted`: wanted ones. A dash is missing, not zero."
    )
