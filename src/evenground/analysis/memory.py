"""What memory is still in use when a training has ended: does a framework give it back before it exits?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from evenground.analysis.groups import Rows, flagged, group, groups, remarks, spread
from evenground.analysis.index import Index
from evenground.analysis.runs import Floats, Run, Samples
from evenground.analysis.timeline import CARRIED_PERIODS, carry_forward
from evenground.records.times import Process

if TYPE_CHECKING:
    import pandas as pd

# Column -> what it is called in the table.
MOMENTS = {
    "at_launch": "launch",
    "at_train_end": "end of training",
    "at_linger_end": "end of linger",
    "after_exit": "after exit",
}
COLUMNS = ("column", *MOMENTS, "peak", "launch_remark")
UNSAMPLED = "no sample then"
VRAM = "vram_used_bytes"
RESOURCES = ("rss_bytes", VRAM, "machine_used_bytes")
NO_BASELINE = "nothing was read before the launch"
FIRST = "the first value after it"


def memory_rows(run: Run, samples: Samples) -> Rows:
    """Per resource its value in bytes at each moment, and the largest of the whole run; NaN is missing.

    What the card held at the launch was read before it; `launch_remark` says where it was not.
    """
    events = run.events
    gone = samples.t_ns >= run.process.exited_ns
    # A process that has left its memory and waits to be collected is gone too.
    gone |= (samples.t_ns > events.linger_end_ns) & (samples.columns["rss_bytes"] == 0)
    rows: Rows = []
    for name in RESOURCES:
        values, limit_ns = (
            samples.columns[name],
            round(CARRIED_PERIODS * 1e9 * run.process.period_s(name)),
        )
        ends = np.array([events.train_end_ns, events.linger_end_ns], np.int64)
        at_train_end, at_linger_end = carry_forward(samples.t_ns, values, ends, limit_ns).tolist()
        known = ~np.isnan(values)
        soon = known & (samples.t_ns <= run.process.launched_ns + limit_ns)
        first = _one(values[soon][:1])
        at_launch, remark = _vram_before(run.process, first) if name == VRAM else (first, "")
        row = {"column": name, "at_launch": at_launch, "at_train_end": at_train_end}
        row |= {"at_linger_end": at_linger_end, "after_exit": _one(values[known & gone][-1:])}
        row |= {
            "peak": float(values[known].max()) if known.any() else np.nan,
            "launch_remark": remark,
        }
        rows.append(row)
    return rows


def vram_before(process: Process) -> tuple[float, str]:
    """What the card held before the launch in bytes, or NaN and why that is not known."""
    found = process.gpu_baseline
    if found is None:
        return np.nan, NO_BASELINE
    if found.vram_used_bytes is None:
        return np.nan, found.missing.get(VRAM, NO_BASELINE)
    return float(found.vram_used_bytes), ""


def _vram_before(process: Process, first: float) -> tuple[float, str]:
    """The same, or in its place the first value after the launch, which is said; NaN has no remark."""
    before, why = vram_before(process)
    if not why:
        return before, ""
    return first, "" if np.isnan(first) else f"{FIRST}: {why}"


def _one(values: Floats) -> float:
    return float(values[0]) if values.size else np.nan


def memory_table(
    index: Index, runs: pd.DataFrame, memory: pd.DataFrame, missing: pd.DataFrame
) -> pd.DataFrame:
    """Per dataset, engine, resource and moment: bytes in use and their share of the run's peak (0 to 1)."""
    import pandas as pd  # slow to import, and preflight, which comes by here, makes no table

    rows: Rows = []
    for named, wanted in groups(index, runs):
        mine, lacking = (group(frame, **named) for frame in (memory, missing))
        reasons = dict(zip(lacking["column"], lacking["reason"], strict=True))
        for name in RESOURCES:
            values = mine[mine["column"] == name]
            for column, moment in MOMENTS.items():
                row = {**named, "resource": name, "unit": "bytes", "moment": moment}
                used = {**spread("used", values[column]), "n": int(values[column].notna().sum())}
                lacks = values[column].isna().any() or values.empty
                why = [reasons.get(name, UNSAMPLED)] if lacks else []
                why += remarks(values["launch_remark"]) if column == "at_launch" else []
                told = {**_shares(values, column), **_wanted(wanted), "reason": "; ".join(why)}
                rows.append({**row, **used, **told})
    return pd.DataFrame(rows)


def _shares(values: pd.DataFrame, column: str) -> dict[str, float]:
    return spread("share_of_peak", values[column] / values["peak"].where(values["peak"] > 0))


def _wanted(runs: pd.DataFrame) -> dict[str, int]:
    return {"n_wanted": len(runs), **flagged(runs)}
