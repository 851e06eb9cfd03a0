"""Titles and notes of the tables: what is about a whole table, the machine and the runs."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from evenground.analysis.experiment import Experiment
from evenground.analysis.groups import INVALID, WARNED
from evenground.analysis.quality import unknown, why_unknown
from evenground.analysis.shown import explained, plain
from evenground.analysis.summary import MEASURED
from evenground.analysis.timeline import RESOURCES
from evenground.records.plan import Engine

TITLES = {
    "answer": "The answer",
    "summary": "What each engine took and reached",
    "ratios": "Ratios between engines",
    "across": "Machines or sources against the first",
    "blocks": "Whether some repetitions were slower as a whole",
    "resources": "Use of resources during training",
    "energy": "Energy of the GPU during training",
    "memory_after": "Memory in use after the end of training",
    "idle_windows": "When the CPU or the GPU was idle during training",
    "quality": "What speaks against runs",
    "runs": "Every wanted run",
    "lines_of_code": "Lines of code of the engines, and of the thesis's trainers",
    "calibration": "How well the sampler measures on this machine",
}

# No run decides these.
NOT_OF_RUNS = ("lines_of_code", "calibration")

# What no single column says.
_NOTES = {
    "answer": (
        "Times, CPU seconds, memory and energy are geometric means over the runs, so that the "
        "quotient of two rows is their ratio; ratios have 95 % intervals."
    ),
    "summary": "The interval of the mean is Student's. " + explained(MEASURED),
    "ratios": (
        "A ratio of geometric means with its 95 % interval: by Student's t on the differences of "
        "logarithms, from 4 pairs on, or by Welch's. The measures are those of `summary`."
    ),
    "across": (
        "At equal values of all parameters; by Welch's t, as runs of two conditions are no pairs. "
        "Whether a comparison of engines holds on the other machine is the ratio of their ratios."
    ),
    "blocks": (
        "Row `all`: a two-way analysis of variance on logarithms, engine and dataset by block. "
        "Pairs take block effects out of the ratios in `ratios`."
    ),
    "resources": (
        "Between start and end of training. The peak of samples grows with their number, so that a "
        "longer training has a higher one: compare `p95`. The integral of power is no measure of a "
        "short training's energy: that is in `energy`. " + explained(RESOURCES)
    ),
    "quality": (
        "Flagged runs are left out of no number but the ratios between engines, which leave out "
        "invalid ones."
    ),
    "runs": "In the order in which they were run.",
    "lines_of_code": (
        "An engine's files are its folder and the protocol it shares; an arm has those of its "
        "engine."
    ),
    "calibration": (
        "Known loads under the sampler, against the kernel's own account of them "
        "(docs/sidecar.md). Measured once, before the first training."
    ),
}


def notes(
    name: str,
    experiment: Experiment,
    findings: pd.DataFrame,
    circumstances: pd.DataFrame,
) -> tuple[str, ...]:
    """The paragraphs under the heading of a table; `findings` is the table `quality`."""
    paragraphs = [_NOTES.get(name, "")]
    if name == "calibration":
        paragraphs += _not_calibrated(experiment)
    if name == "quality":
        paragraphs.append(_unknown(circumstances))
    if name == "idle_windows":
        paragraphs.append(_waiting(experiment.engines))
    if name == "blocks":
        paragraphs += _without_blocks(experiment)
    if name not in NOT_OF_RUNS:
        paragraphs.append(_limited(experiment.engines))
    paragraphs.append(f"{machines_of(experiment)} {_runs(name, experiment, findings)}")
    return tuple(filter(None, paragraphs))


def machines_of(experiment: Experiment) -> str:
    """The machine classes in words."""
    machines = experiment.machines
    words = [f"{plain(each.description)} (class `{each.class_name}`)" for each in machines]
    deployments = {placed.condition.deployment for placed in experiment.conditions}
    noun = "Machine" if len(words) == 1 else "Machines"
    return f"{noun}: {'; '.join(words)}; {' and '.join(sorted(deployments))}."


def _runs(name: str, experiment: Experiment, findings: pd.DataFrame) -> str:
    """How many runs finished, and how many are flagged."""
    conditions = [placed.condition for placed in experiment.conditions]
    finished = sum(len(condition.finished) for condition in conditions)
    wanted = sum(len(condition.runs) for condition in conditions)
    text = f"{finished} of {wanted} wanted runs finished"
    if len(conditions) > 1:
        text += f", under {len(conditions)} conditions; nothing is averaged over conditions"
    if finished < wanted:
        text += f"; **{wanted - finished} did not finish**"
        if name != "runs":
            text += ", see `runs.md`"
    return f"{text}. {_flagged(findings, list(experiment.group))}"


def _flagged(findings: pd.DataFrame, group: list[str]) -> str:
    """How many runs and groups are flagged."""
    if findings.empty:
        return "Runs flagged: none."
    of_run = findings["repetition"].notna()
    run = [*group, "repetition", "state"]
    runs = findings[of_run].drop_duplicates(run)["state"].value_counts()
    states = []
    if INVALID in runs:
        states.append(f"**{runs[INVALID]} invalid**")
    if WARNED in runs:
        states.append(f"{runs[WARNED]} with a warning")
    text = f"Runs flagged: {', '.join(states) or 'none'}"
    groups = len(findings[~of_run][group].drop_duplicates())
    if groups:
        text += f"; groups flagged: {groups}"
    return f"{text}, see `quality.md`; all but ratios count them like any other."


def _not_calibrated(experiment: Experiment) -> list[str]:
    """The classes of machine without a calibration."""
    conditions = [placed.condition for placed in experiment.conditions]
    lacking = [each.machine.class_name for each in conditions if each.calibration is None]
    names = dict.fromkeys(lacking)
    return [f"**None is recorded for the class of machine `{name}`.**" for name in names]


def _without_blocks(experiment: Experiment) -> list[str]:
    designs = {placed.condition.report.design for placed in experiment.conditions}
    if designs == {"blocks"}:
        return []
    independent = "The runs are independent of each other (`design: independent`)"
    return [f"**{independent}: there are no blocks.**"]


def _limited(engines: Sequence[Engine]) -> str:
    """Which engines trained on the first examples only."""
    limits = []
    for engine in engines:
        if engine.train_limit is not None:
            limits.append(f"`{engine.name}` ({engine.train_limit:,} examples)")
    if not limits:
        return ""
    what = "trained on the first examples of a dataset only; nothing in this table is extrapolated"
    return f"**Not the whole work:** {', '.join(limits)} {what}."


def _waiting(engines: Sequence[Engine]) -> str:
    """How the threads of each engine wait."""
    # Those that spin use the CPU, and are not seen as idle.
    policies = [f"`{each.name}`: {plain(each.wait_policy or 'not recorded')}" for each in engines]
    what = "What waits actively uses the CPU and is no idle window. How each waits"
    return f"{what}: {'; '.join(policies)}."


def _unknown(circumstances: pd.DataFrame) -> str:
    """The findings that are unknown, as their values were not recorded or the lock is missing."""
    counts = unknown(circumstances)
    if not counts:
        return ""
    runs = len(circumstances)
    listed = [f"{finding} ({count} of {runs} runs)" for finding, count in counts.items()]
    whys = why_unknown(circumstances).items()
    reasons = "".join(f" Of the {part}, why: {plain(why)}." for part, why in whys)
    return f"Not known, so neither good nor bad: {', '.join(listed)}.{reasons}"
