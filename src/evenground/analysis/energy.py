"""Energy of the card during a training: by its own counter, and what is left of it without its idle power."""

from __future__ import annotations

import numpy as np
import pandas as pd

from evenground.analysis.groups import Rows, flagged, group, groups, remarks, spread
from evenground.analysis.index import Index
from evenground.analysis.memory import NO_BASELINE
from evenground.analysis.readings import once
from evenground.analysis.runs import Floats, Ints, Run, Samples
from evenground.records.events import kind_of
from evenground.records.times import Process

COUNTER = "gpu_energy_j"
ENERGY, NET = "gpu_energy_j", "gpu_net_energy_j"
COLUMNS = (ENERGY, "baseline_w", "baseline_from", NET, "examples", "energy_reason")
# Column of the table -> that of a run.
MEASURES = {"energy_j": ENERGY, "baseline_w": "baseline_w", "net_j": NET}
ON_PROCESSOR = "the training computed on the processor"
NOT_READ = "the card's counter of energy was not read"
NOT_COVERED = "the card's counter of energy was not read on both sides of the training"
FELL = "the card's counter of energy fell"
NO_RUN = "no finished run"


def energy_row(run: Run, samples: Samples) -> dict[str, object]:
    """What one training took, in joules, named as in COLUMNS; NaN beside its reason where it is not known.

    `baseline_w`: what the card drew before the launch, in watts; `examples`: trained on, over all epochs.
    """
    events = run.events
    energy_j, reason = _of_counter(run, samples)
    baseline_w, source, why = baseline_of(run.process)
    training_s = (events.train_end_ns - events.train_start_ns) / 1e9
    known = not reason
    return {
        ENERGY: energy_j,
        "baseline_w": baseline_w if known else np.nan,
        "baseline_from": source if known else "",
        NET: energy_j - baseline_w * training_s,
        "examples": sum(epoch.examples for epoch in events.epochs),
        "energy_reason": reason or why,
    }


def _of_counter(run: Run, samples: Samples) -> tuple[float, str]:
    """The counter's rise over the training, or NaN and why it is not known."""
    if kind_of(run.device) == "cpu":
        return np.nan, ON_PROCESSOR
    t_ns, counter_j = once(samples, COUNTER)
    if np.isnan(counter_j).all():
        return np.nan, run.process.missing.get(COUNTER, NOT_READ)
    return rise(t_ns, counter_j, run.events.train_start_ns, run.events.train_end_ns)


def rise(t_ns: Ints, counter: Floats, start_ns: int, end_ns: int) -> tuple[float, str]:
    """How far a counter read at `t_ns` (N,) rose between two moments, straight between readings; NaN and why.

    A counter that falls tells nothing: nobody knows what it left out.
    """
    known = ~np.isnan(counter)
    at_ns, values = t_ns[known], counter[known]
    if not at_ns.size or at_ns[0] > start_ns or at_ns[-1] < end_ns:
        return np.nan, NOT_COVERED
    if np.any(np.diff(values) < 0):
        return np.nan, FELL
    moments = np.array([start_ns - at_ns[0], end_ns - at_ns[0]], np.float64)
    first, last = np.interp(moments, (at_ns - at_ns[0]).astype(np.float64), values)
    return float(last - first), ""


def baseline_of(process: Process) -> tuple[float, str, str]:
    """Power of the card before the launch in watts and where it is from; or NaN, nothing and the reason."""
    found = process.gpu_baseline
    if found is None or found.power_w is None:
        return np.nan, "", (found.missing.get("power_w", NO_BASELINE) if found else NO_BASELINE)
    return found.power_w, found.power_from or "", ""


def energy_table(index: Index, runs: pd.DataFrame, energy: pd.DataFrame) -> pd.DataFrame:
    """Per dataset and engine: joules of the card during training, its power before, joules without that."""
    rows: Rows = []
    for named, wanted in groups(index, runs):
        mine = group(energy, **named)
        row: dict[str, object] = {**named, "n_wanted": len(wanted), **flagged(wanted)}
        row["n"] = int(mine[ENERGY].notna().sum())
        for name, column in MEASURES.items():
            row |= spread(name, mine[column])
        row["baseline_from"] = " and ".join(
            sorted({str(one) for one in mine["baseline_from"] if one})
        )
        for name, column in (("j_per_example", ENERGY), ("net_j_per_example", NET)):
            row |= spread(name, mine[column] / mine["examples"])
        rows.append({**row, "reason": _reasons(mine)})
    return pd.DataFrame(rows)


def _reasons(mine: pd.DataFrame) -> str:
    """Why values are missing."""
    return NO_RUN if mine.empty else "; ".join(remarks(mine["energy_reason"]))


def with_energy(runs: pd.DataFrame, energy: pd.DataFrame) -> pd.DataFrame:
    """The table `runs` with the energy of each run, whole and net, before what it found out."""
    keys = ["dataset", "engine", "repetition"]
    found = runs[keys].merge(energy[[*keys, ENERGY, NET]], on=keys, how="left")
    place = [str(name) for name in runs.columns].index("test_accuracy")
    whole = runs.copy()
    for offset, name in enumerate((ENERGY, NET)):
        whole.insert(place + offset, name, found[name].astype("float64").to_numpy())
    return whole
