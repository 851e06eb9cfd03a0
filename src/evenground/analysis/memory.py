"""What memory is still in use when a training has ended: does a framework give it back before it exits?"""

from __future__ import annotations

import numpy as np
import pandas as pd

from evenground.analysis.groups import Rows, flagged, group, groups
from evenground.analysis.index import Index
from evenground.analysis.runs import Floats, Run, Samples
from evenground.analysis.statistics import summarise
from evenground.analysis.timeline import CARRIED_PERIODS, carry_forward

RESOURCES = ("rss_bytes", "vram_used_bytes", "machine_used_bytes")
# Column -> what it is called in the table.
MOMENTS = {
    "at_launch": "launch",
    "at_train_end": "end of training",
    "at_linger_end": "end of linger",
    "after_exit": "after exit",
}
COLUMNS = ("column", *MOMENTS, "peak")
UNSAMPLED = "no sample then"


def memory_rows(run: Run, samples: Samples) -> Rows:
    """Per resource its value in bytes at each moment, and the largest of the whole run; NaN is missing."""
    events = run.events
    gone = samples.t_ns >= run.process.exited_ns
    # A process that has left its memory and waits to be collected is gone too.
    gone |= (samples.t_ns > events.linger_end_ns) & (samples.columns["rss_bytes"] == 0)
    rows: Rows = []
    for name in RESOURCES:
        values, limit_ns = samples.columns[name], round(CARRIED_PERIODS * 1e9 * run.process.period_s(name))
        ends = np.array([events.train_end_ns, events.linger_end_ns], np.int64)
        at_train_end, at_linger_end = carry_forward(samples.t_ns, values, ends, limit_ns).tolist()
        known = ~np.isnan(values)
        soon = known & (samples.t_ns <= run.process.launched_ns + limit_ns)
        at = {"at_launch": _one(values[soon][:1]), "at_train_end": at_train_end}
        at |= {"at_linger_end": at_linger_end, "after_exit": _one(values[known & gone][-1:])}
        rows.append({"column": name, **at, "peak": float(values[known].max()) if known.any() else np.nan})
    return rows


def _one(values: Floats) -> float:
    return float(values[0]) if values.size else np.nan


def memory_table(
    index: Index, runs: pd.DataFrame, memory: pd.DataFrame, missing: pd.DataFrame
) -> pd.DataFrame:
    """Per dataset, engine, resource and moment: bytes in use and their share of the run's peak (0 to 1)."""
    rows: Rows = []
    for named, wanted in groups(index, runs):
        mine, lacking = (group(frame, **named) for frame in (memory, missing))
        reasons = dict(zip(lacking["column"], lacking["reason"], strict=True))
        for name in RESOURCES:
            values = mine[mine["column"] == name]
            for column, moment in MOMENTS.items():
                row = {**named, "resource": name, "unit": "bytes", "moment": moment}
                used = _summary("used", values[column])
                lacks = values[column].isna().any() or values.empty
                why = reasons.get(name, UNSAMPLED) if lacks else ""
                rows.append({**row, **used, **_shares(values, column), **_wanted(wanted), "reason": why})
    return pd.DataFrame(rows)


def _shares(values: pd.DataFrame, column: str) -> dict[str, object]:
    shares = _summary("share_of_peak", values[column] / values["peak"].where(values["peak"] > 0))
    return {name: value for name, value in shares.items() if name != "n"}


def _summary(name: str, values: pd.Series[float]) -> dict[str, object]:
    found = summarise(values.tolist())
    spread = {"median": found.median, "min": found.minimum, "max": found.maximum}
    return {**{f"{name}_{key}": value for key, value in spread.items()}, "n": found.n}


def _wanted(runs: pd.DataFrame) -> dict[str, int]:
    return {"n_wanted": len(runs), **flagged(runs)}
