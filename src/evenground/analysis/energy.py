"""Energy of the card during a training: by its counter, and without the idle power of the card."""

from __future__ import annotations

import numpy as np
import pandas as pd

from evenground.analysis.groups import Rows, flagged, group, groups, remarks, spread
from evenground.analysis.memory import NO_BASELINE
from evenground.analysis.readings import once
from evenground.analysis.runs import Floats, Ints, Run, Samples
from evenground.records.events import kind_of
from evenground.records.index import Index
from evenground.records.times import Process

COUNTER = "gpu_energy_j"
ENERGY, NET = "gpu_energy_j", "gpu_net_energy_j"
COLUMNS = (ENERGY, "baseline_w", "baseline_from", NET, "examples", "energy_reason")
# Column of the table -> column of a run.
MEASURES = {"energy_j": ENERGY, "baseline_w": "baseline_w", "net_j": NET}
PER_EXAMPLE = {"j_per_example": ENERGY, "net_j_per_example": NET}
ON_PROCESSOR = "the training computed on the processor"
NOT_READ = "the card's counter of energy was not read"
NOT_COVERED = "the card's counter of energy was not read on both sides of the training"
FELL = "the card's counter of energy fell"
NO_RUN = "no finished run"


def energy_row(run: Run, samples: Samples) -> dict[str, object]:
    """What one training took, in joules, keyed by COLUMNS; NaN beside its reason if unknown.

    `baseline_w`: power of the card before the launch, in watts; `examples`: trained on, over all
    epochs.
    """
    events = run.events
    energy_j, reason = _of_counter(run, samples)
    baseline_w, source, no_baseline = _baseline(run.process)
    training_s = (events.train_end_ns - events.train_start_ns) / 1e9
    # NaN if either is unknown.
    net_j = energy_j - baseline_w * training_s
    if reason:
        baseline_w, source = np.nan, ""
    return {
        ENERGY: energy_j,
        "baseline_w": baseline_w,
        "baseline_from": source,
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


def _baseline(process: Process) -> tuple[float, str, str]:
    """Power of the card before the launch in watts and its source; or NaN, "" and the reason."""
    baseline = process.gpu_baseline
    if baseline is None:
        return np.nan, "", NO_BASELINE
    if baseline.power_w is None:
        return np.nan, "", baseline.missing.get("power_w", NO_BASELINE)
    return baseline.power_w, baseline.power_from or "", ""


def energy_table(index: Index, runs: pd.DataFrame, energy: pd.DataFrame) -> pd.DataFrame:
    """Per dataset and engine: joules of the card during training, its power before, joules net."""
    rows: Rows = []
    for names, wanted in groups(index, runs):
        trained = group(energy, **names)
        row: dict[str, object] = {**names, "n_wanted": len(wanted), **flagged(wanted)}
        row["n"] = int(trained[ENERGY].notna().sum())
        for name, column in MEASURES.items():
            row |= spread(name, trained[column])
        sources = {str(source) for source in trained["baseline_from"] if source}
        row["baseline_from"] = " and ".join(sorted(sources))
        for name, column in PER_EXAMPLE.items():
            row |= spread(name, trained[column] / trained["examples"])
        row["reason"] = "; ".join(remarks(trained["energy_reason"]))
        if trained.empty:
            row["reason"] = NO_RUN
        rows.append(row)
    return pd.DataFrame(rows)


def with_energy(runs: pd.DataFrame, energy: pd.DataFrame) -> pd.DataFrame:
    """The table `runs` with the energy of each run, gross and net, before the test accuracy."""
    keys = ["dataset", "engine", "repetition"]
    # A left join keeps the order of the runs; those that did not finish have no energy.
    matched = runs[keys].merge(energy[keys + [ENERGY, NET]], on=keys, how="left")
    place = list(runs.columns).index("test_accuracy")
    extended = runs.copy()
    for offset, name in enumerate((ENERGY, NET)):
        extended.insert(place + offset, name, matched[name].astype("float64").to_numpy())
    return extended
