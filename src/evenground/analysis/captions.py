"""Headings and notes of the tables: the meaning of each column, the runs and the machine."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from evenground.analysis.files import plain
from evenground.analysis.groups import INVALID, RUN, WARNED
from evenground.records.index import Index

HEADINGS = {
    "training_time": "Time per dataset and engine",
    "time_ratio": "Ratio of times between engines",
    "blocks": "Whether some repetitions were slower as a whole",
    "resources": "Use of resources during training",
    "energy": "Energy of the GPU during training",
    "accuracy": "Accuracy reached",
    "memory_after": "Memory in use after the end of training",
    "idle_windows": "When the CPU or the GPU was idle during training",
    "quality": "What speaks against runs",
    "runs": "Every wanted run",
    "lines_of_code": "Lines of code of the engines, and of the thesis's trainers",
    "calibration": "How well the sampler measures on this machine",
}

# No run decides these.
NOT_OF_RUNS = ("lines_of_code", "calibration")
COUNTS = (
    "`n`: finished runs behind a number, `n_wanted`: wanted ones, `n_invalid`, `n_warned`: "
    "flagged ones. A dash is missing, not zero."
)

_NOTES = {
    "training_time": (
        "Seconds, but for `cv`, the coefficient of variation (0.1 is 10 %). `geometric_mean` is "
        "what ratios are of: where all runs are paired, the quotient of two gives the ratio in "
        "`time_ratio`; missing where a value is zero. `training_s`: start of training to its "
        "end, compilation inside (the headline). `whole_process_s`: launch to exit, less the "
        "time it was told to linger. `first_batch_s`: start of training until the first batch "
        "is done. `steady_s`: from there to the end of training. `first_epoch_s`: the first "
        "epoch, with compilation; `later_epoch_s`: mean of those after it. `idle_s`: the part "
        "of `training_s` in which the run computed nothing (`idle_windows.md`)."
    ),
    "time_ratio": (
        "Time of `engine` over time of `baseline`: a ratio of geometric means, with its 95 % "
        "interval. Above 1, `engine` takes longer. `method` `pairs`: of the `n_pairs` "
        "repetitions in which both have a run, made in one pass and neither of them invalid, by "
        "Student's t on the differences of logarithms, from 4 pairs on; `welch`: of independent "
        "runs (`design: independent`). `reason` names the repetitions that do not count, and "
        "devices that are not the same."
    ),
    "blocks": (
        "A block is a repetition: each engine once on each dataset, in one pass. `effect_pct`: "
        "by how much its `n` runs took longer than the mean of all blocks (geometric means); "
        "`start_min`: minutes from the first launch in the first block to that in this one. Row "
        "`all`: `f` and `p` of a two-way analysis of variance on logarithms, engine and dataset "
        "by block (a small `p`: blocks differ by more than chance); `drift_pct_per_block`: "
        "slope of the effects in the order of the blocks, with its 95 % interval. Pairs take "
        "such effects out of the ratios in `time_ratio`. `training_s less idle_s`: the same "
        "without the time in which a run computed nothing."
    ),
    "resources": (
        "Between start and end of training. `peak`, `p95` (95th percentile, every step of the "
        "grid counts the same) and `range` (largest less smallest sample) of each run, as "
        "median, smallest and largest over the runs; `mean_curve_*` of the curve averaged over "
        "the runs, up to the shortest training. The peak of samples grows with their number, so "
        "that a longer training has a higher one: compare `p95`. The peak of `rss_bytes` is the "
        "larger of the largest sample and what the kernel kept as the most that one process "
        "ever held: it misses nothing, and is of the whole life of the process, its loading and "
        "evaluation included. `integral`: CPU seconds, or unit times seconds. CPU is in percent "
        "of the machine (100: all its cores are busy); GPU, VRAM and power are the whole "
        "card's. Power is the driver's mean over up to a second, and its integral no measure of "
        "a short training's energy: that is in `energy.md`."
    ),
    "energy": (
        "Of the whole card, as median, smallest and largest over the runs. `energy_j`: joules "
        "from start to end of training, by the card's own counter. `baseline_w`: watts that it "
        "drew before the launch (`baseline_from`: by the counter, or the driver's reading). "
        "`net_j`: energy less that power for as long as the training took. `j_per_example`, "
        "`net_j_per_example`: each over the examples trained on."
    ),
    "accuracy": (
        "`test_accuracy`: share of test examples recognised, after training. "
        "`final_train_loss`: mean loss over the steps of the last epoch."
    ),
    "memory_after": (
        "What is in use at each moment, as median, smallest and largest over the runs, and as "
        "share (0 to 1) of the largest value of the same run, from launch to exit. `rss_bytes`: "
        "the engine's processes; `vram_used_bytes`, `machine_used_bytes`: the whole card and "
        "machine, whatever uses them (`launch`: before the engine; of the card it was read "
        "before the launch, or `reason` says so). `after exit`: after its last process was "
        "gone, where there is a sample."
    ),
    "idle_windows": (
        "Seconds after the start of training. `cpu`: at least 0.3 s in the training in which "
        "all processes of the run together used less than 20 % of one core, and its GPU, where "
        "it computed on one, nothing. `gpu`: at least two readings in a row of 0 % GPU use; it "
        "overlaps the training. `length_s` is right to `plus_minus_s`: of `cpu` the time "
        "between two samples, of `gpu` that and the window over which the driver averages "
        "(`util_window_s`). `phase` holds most of it, `phases` are all it touches. `open`: on "
        "that side the next sample is missing, it may be longer."
    ),
    "quality": (
        "`invalid`: the run did not measure what it should have. `warned`: look at it. Neither "
        "is left out of any number but the ratios between engines, which leave out invalid "
        "runs. A finding without a repetition is about all runs of the engine on the dataset."
    ),
    "runs": (
        "In the order in which they were run. `reason`: why one did not finish "
        "(docs/tables-and-figures.md). `device`: what the engine says it computed on; `cores`: "
        "those of the machine. Seconds as in `training_time`; `idle_share`: `idle_s` as share "
        "of `training_s` (0 to 1). `gpu_energy_j`, `gpu_net_energy_j`: see `energy.md`; "
        "`quality`: see `quality.md`."
    ),
    "lines_of_code": (
        "`lines`: all of them, as the thesis counts. `code_lines`: those with code on them; "
        "`comment_lines`: those with only a comment. An engine's files are its folder and the "
        "protocol it shares; an arm has those of its engine. Of the thesis's MNIST trainers in "
        "Elixir, `corrected` has the files that the trainer uses, `as-published` those whose "
        "lines give the published number (docs/claims.md, L1)."
    ),
    "calibration": (
        "Known loads under the sampler, against the kernel's own account of them "
        "(docs/sidecar.md). `passed`: whether the goal is met; where there is no answer, "
        "`reason` says why. Measured once, before the first training."
    ),
}

_BESIDE = "a is the first of them, b the other one; of more than two `side` names b. "
_DASH = " A dash is missing, not zero."
# Tables of several experiments side by side: heading, and the meaning of the columns.
COMPARED = {
    "engines_by_machine": (
        "Engines by machine",
        "Over the `n` finished runs of a side with a value: median, mean, the mean's 95 % "
        "interval by Student's t, geometric mean and coefficient of variation (`cv`, a "
        f"share).{_DASH}",
    ),
    "ratios_by_machine": (
        "Ratios of engines by machine",
        "`engine` over `baseline`, both of the same side: a ratio of geometric means with its "
        "95 % interval, of the `n_pairs` repetitions that both have in one pass (`method` "
        "`pairs`), or by Welch's t of independent runs. Invalid runs do not count: "
        f"`reason`.{_DASH}",
    ),
    "agreement": (
        "Verdicts of the sides",
        "Each side's own verdict on each claim, by its own runs (docs/claims.md). `not "
        "comparable`: fewer than two sides could judge it, or not by the same rule. "
        "`demonstration`: what makes verdicts demonstrations, which are no test of the claim "
        f"itself.{_DASH}",
    ),
    "differences": (
        "What differs",
        f"{_BESIDE}What is recorded of both and is not the same.",
    ),
    "measures": (
        "What was measured, against the first",
        f"{_BESIDE}Medians of both; `b_to_a`: the ratio of geometric means with its 95 % "
        "interval by Welch's t, as runs of two experiments are not paired; invalid runs do not "
        f"count in it.{_DASH}",
    ),
    "ratios": (
        "Ratios of engines, against the first",
        f"{_BESIDE}`engine` over `baseline` on each side, and `b_to_a`, the ratio of these "
        f"ratios: whether a comparison of engines holds on the other machine.{_DASH}",
    ),
}


def notes(
    name: str,
    index: Index,
    findings: pd.DataFrame,
    unknown: Mapping[str, int],
    why_unknown: Mapping[str, str],
    devices: str = "",
) -> str:
    """The note under the heading of a table: its columns, the machine and the runs.

    `findings` is the table `quality`; `unknown` and `why_unknown` are as `quality` returns them,
    `devices` as `devices.unlike_in` does.
    """
    paragraphs = [_NOTES[name]]
    if name == "calibration" and index.calibration is None:
        paragraphs.append("**None is recorded for this class of machine.**")
    if name == "quality":
        paragraphs.append(_unknown(index, unknown, why_unknown))
    if name == "idle_windows":
        paragraphs.append(_waiting(index))
    if name == "blocks" and index.report.design != "blocks":
        independent = "The runs are independent of each other (`design: independent`)"
        paragraphs.append(f"**{independent}: there are no blocks.**")
    if name not in NOT_OF_RUNS:
        paragraphs.append(_limited(index))
        if devices:
            paragraphs.append(f"**Computed on unlike devices:** {plain(devices)}.")
    paragraphs.append(_machine_and_runs(name, index, findings))
    return "\n\n".join(filter(None, paragraphs))


def _machine_and_runs(name: str, index: Index, findings: pd.DataFrame) -> str:
    machine = f"{plain(index.machine.description)} (class `{index.machine.class_name}`"
    finished = f"{len(index.finished)} of {len(index.runs)} wanted runs finished"
    lost = len(index.runs) - len(index.finished)
    if lost:
        finished += f"; **{lost} did not finish**"
        if name != "runs":
            finished += ", see `runs.md`"
    return f"Machine: {machine}, {index.deployment}). {finished}. {_flagged(findings)} {COUNTS}"


def _flagged(findings: pd.DataFrame) -> str:
    """How many runs and groups are flagged."""
    if findings.empty:
        return "Runs flagged: none."
    of_run = findings["repetition"].notna()
    runs = findings[of_run].drop_duplicates(RUN + ["state"])["state"].value_counts()
    states = []
    if INVALID in runs:
        states.append(f"**{runs[INVALID]} invalid**")
    if WARNED in runs:
        states.append(f"{runs[WARNED]} with a warning")
    text = f"Runs flagged: {', '.join(states) or 'none'}"
    groups = len(findings[~of_run][["dataset", "engine"]].drop_duplicates())
    if groups:
        text += f"; groups flagged: {groups}"
    return f"{text}, see `quality.md`; all but ratios count them like any other."


def _limited(index: Index) -> str:
    """Which engines trained on the first examples only."""
    limits = []
    for engine in index.engines:
        if engine.train_limit is not None:
            limits.append(f"`{engine.name}` ({engine.train_limit:,} examples)")
    if not limits:
        return ""
    what = "trained on the first examples of a dataset only; nothing in this table is extrapolated"
    return f"**Not the whole work:** {', '.join(limits)} {what}."


def _waiting(index: Index) -> str:
    """How the threads of each engine wait."""
    # Those that spin use the CPU, and are not seen as idle.
    policies = [f"`{e.name}`: {plain(e.wait_policy or 'not recorded')}" for e in index.engines]
    what = "What waits actively uses the CPU and is no idle window. How each waits"
    return f"{what}: {'; '.join(policies)}."


def _unknown(index: Index, unknown: Mapping[str, int], why_unknown: Mapping[str, str]) -> str:
    """The findings that are unknown, as their values were not recorded or the lock is missing."""
    if not unknown:
        return ""
    runs = len(index.finished)
    counts = [f"{finding} ({count} of {runs} runs)" for finding, count in unknown.items()]
    whys = [f" Of the {part}, why: {plain(why)}." for part, why in why_unknown.items()]
    return f"Not known, so neither good nor bad: {', '.join(counts)}.{''.join(whys)}"
