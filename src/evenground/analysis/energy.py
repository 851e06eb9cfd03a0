"""Energy of the card during a training: by its counter, and without the idle power of the card."""

from __future__ import annotations

import numpy as np
import pandas as pd

from evenground.analysis.columns import (
    FLAGGED,
    GROUP,
    N_WANTED,
    REASON,
    N,
    columns,
    number,
    spread,
    text,
    whole,
)
from evenground.analysis.groups import Rows, counts, group, groups, median_and_range, remarks
from evenground.analysis.memory import before_launch
from evenground.analysis.readings import once
from evenground.analysis.runs import Floats, Ints, Run, Samples
from evenground.analysis.table import frame_of
from evenground.records.events import kind_of
from evenground.records.index import Condition

COUNTER = "gpu_energy_j"
ENERGY, NET = "gpu_energy_j", "gpu_net_energy_j"
OF_RUN = (
    number(ENERGY, "J", "Energy of the whole card from start to end of training, by its counter."),
    number(NET, "J", "The same less its power before the launch for as long as the training took."),
)
BASELINE_FROM = text(
    "baseline_from",
    "Source of the power before the launch: the card's counter, or the driver's reading.",
)
FRAME = columns(
    OF_RUN[0],
    number("baseline_w", "W", "Power of the card before the launch."),
    BASELINE_FROM,
    OF_RUN[1],
    whole("examples", "Examples trained on, over all epochs."),
    text("energy_reason", "Why a number is missing."),
)
TABLE = columns(
    GROUP,
    N_WANTED,
    FLAGGED,
    N,
    spread("energy_j", "J", "Of the whole card from start to end of training, by its counter"),
    spread("baseline_w", "W", "What it drew before the launch"),
    spread("net_j", "J", "Energy less that power for as long as the training took"),
    BASELINE_FROM,
    spread("j_per_example", "J", "Energy over the examples trained on"),
    spread("net_j_per_example", "J", "Net energy over the examples trained on"),
    REASON,
)
# Column of the table -> column of a run.
MEASURES = {"energy_j": ENERGY, "baseline_w": "baseline_w", "net_j": NET}
PER_EXAMPLE = {"j_per_example": ENERGY, "net_j_per_example": NET}
ON_PROCESSOR = "the training computed on the processor"
NOT_READ = "the card's counter of energy was not read"
NOT_COVERED = "the card's counter of energy was not read on both sides of the training"
FELL = "the card's counter of energy fell"
NO_RUN = "no finished run"


def energy_row(run: Run, samples: Samples) -> dict[str, object]:
    """What one training took, as FRAME describes it; NaN beside its reason if unknown."""
    events = run.events
    energy_j, reason = _of_counter(run, samples)
    baseline_w, no_baseline = before_launch(run.process, "power_w")
    baseline = run.process.gpu_baseline
    training_s = (events.train_end_ns - events.train_start_ns) / 1e9
    # NaN if either is unknown.
    net_j = energy_j - baseline_w * training_s
    source = None
    if reason:
        baseline_w = np.nan
    elif baseline is not None:
        source = baseline.power_from
    return {
        ENERGY: energy_j,
        "baseline_w": baseline_w,
        "baseline_from": source or "",
        NET: net_j,
        "examples": sum(epoch.examples for epoch in events.epochs),
        "energy_reason": reason or no_baseline,
    }


def _of_counter(run: Run, samples: Samples) -> tuple[float, str]:
    """The counter's rise over the training, or NaN and why it is unknown."""
    if kind_of(run.device) == "cpu":
        return np.nan, ON_PROCESSOR
    t_ns, counter_j = once(samples, COUNTER)
    if np.isnan(counter_j).all():
        return np.nan, run.process.missing.get(COUNTER, NOT_READ)
    return rise(t_ns, counter_j, run.events.train_start_ns, run.events.train_end_ns)


def rise(t_ns: Ints, counter: Floats, start_ns: int, end_ns: int) -> tuple[float, str]:
    """How far a counter (N,), read at `t_ns` (N,), rose between two moments; or NaN and why.

    Between readings it is interpolated linearly. A counter that falls was reset and gives no rise:
    what it had counted until then is lost.
    """
    known = ~np.isnan(counter)
    at_ns, values = t_ns[known], counter[known]
    if not at_ns.size or at_ns[0] > start_ns or at_ns[-1] < end_ns:
        return np.nan, NOT_COVERED
    if np.any(np.diff(values) < 0):
        return np.nan, FELL
    # Nanoseconds since 1970 do not fit a float exactly; differences do.
    moments = np.array([start_ns - at_ns[0], end_ns - at_ns[0]], np.float64)
    first, last = np.interp(moments, (at_ns - at_ns[0]).astype(np.float64), values)
    return float(last - first), ""


def energy_table(condition: Condition, runs: pd.DataFrame, energy: pd.DataFrame) -> pd.DataFrame:
    """Per dataset and engine: joules of the card during training, its power before, joules net."""
    rows: Rows = []
    for names, wanted in groups(condition, runs):
        trained = group(energy, **names)
        row: dict[str, object] = {**names, **counts(wanted)}
        row["n"] = int(trained[ENERGY].notna().sum())
        for name, column in MEASURES.items():
            row |= median_and_range(name, trained[column])
        sources = {str(source) for source in trained["baseline_from"] if source}
        row["baseline_from"] = " and ".join(sorted(sources))
        examples = trained["examples"].astype("float64")
        for name, column in PER_EXAMPLE.items():
            row |= median_and_range(name, trained[column] / examples)
        row["reason"] = "; ".join(remarks(trained["energy_reason"]))
        if trained.empty:
            row["reason"] = NO_RUN
        rows.append(row)
    return frame_of(rows, TABLE)
