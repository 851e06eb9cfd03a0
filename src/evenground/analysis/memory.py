"""Memory in use after the end of a training: does a framework give it back before the exit?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from evenground.analysis.columns import (
    FLAGGED,
    GROUP,
    N_WANTED,
    REASON,
    RESOURCE,
    UNIT,
    N,
    columns,
    number,
    spread,
    text,
)
from evenground.analysis.groups import Rows, counts, group, groups, median_and_range, remarks
from evenground.analysis.runs import Run, Samples, first_known, largest
from evenground.analysis.timeline import CARRIED_PERIODS, carry_forward
from evenground.records.index import Condition
from evenground.records.times import Process

if TYPE_CHECKING:
    import pandas as pd

# Column -> its name in the table.
MOMENTS = {
    "at_launch": "launch",
    "at_train_end": "end of training",
    "at_linger_end": "end of linger",
    "after_exit": "after exit",
}
UNSAMPLED = "no sample then"
VRAM = "vram_used_bytes"
RESOURCES = ("rss_bytes", VRAM, "machine_used_bytes")
NO_BASELINE = "nothing was read before the launch"
FIRST = "the first value after it"


FRAME = columns(
    text("column", "Column of the samples."),
    number("at_launch", "bytes", "In use before the engine."),
    number("at_train_end", "bytes", "In use at the end of training."),
    number("at_linger_end", "bytes", "In use at the end of the time that it lingered."),
    number("after_exit", "bytes", "In use after its last process was gone."),
    number("peak", "bytes", "Largest value from launch to exit."),
    text("launch_remark", "Why the value at the launch was not read before it."),
)
MOMENT = text(
    "moment",
    "`launch`: before the engine; of the card it was read before the launch, or `reason` says so. "
    "`after exit`: after its last process was gone, if there is a sample.",
)
TABLE = columns(
    GROUP,
    RESOURCE,
    UNIT,
    MOMENT,
    spread("used", UNIT, "Memory in use at that moment"),
    N,
    spread("share_of_peak", "", "The same as share (0 to 1) of the run's largest value"),
    N_WANTED,
    FLAGGED,
    REASON,
)


def memory_of(run: Run, samples: Samples) -> Rows:
    """The memory of a run, as FRAME describes it: a row for each resource."""
    return [_memory(run, samples, resource) for resource in RESOURCES]


def _memory(run: Run, samples: Samples, resource: str) -> dict[str, object]:
    process, events = run.process, run.events
    t_ns, values = samples.t_ns, samples.columns[resource]
    limit_ns = round(CARRIED_PERIODS * 1e9 * process.period_s(resource))
    ends_ns = np.array([events.train_end_ns, events.linger_end_ns], np.int64)
    at_train_end, at_linger_end = carry_forward(t_ns, values, ends_ns, limit_ns).tolist()
    at_launch = first_known(values[t_ns <= process.launched_ns + limit_ns])
    remark = ""
    # The card was read before the launch: others may hold a part of it.
    if resource == VRAM:
        before, why = before_launch(process, VRAM)
        if not why:
            at_launch = before
        elif not np.isnan(at_launch):
            remark = f"{FIRST}: {why}"
    gone = t_ns >= process.exited_ns
    # A process that has left its memory and waits to be collected is gone too.
    gone |= (t_ns > events.linger_end_ns) & (samples.columns["rss_bytes"] == 0)
    return {
        "column": resource,
        "at_launch": at_launch,
        "at_train_end": at_train_end,
        "at_linger_end": at_linger_end,
        # The last sample, which is farthest from the exit.
        "after_exit": first_known(values[gone][::-1]),
        "peak": largest(values),
        "launch_remark": remark,
    }


def before_launch(process: Process, name: str) -> tuple[float, str]:
    """A reading of the card before the launch, in its unit, or NaN and why it is unknown."""
    baseline = process.gpu_baseline
    if baseline is None:
        return np.nan, NO_BASELINE
    value: float | None = getattr(baseline, name)
    if value is None:
        return np.nan, baseline.missing.get(name, NO_BASELINE)
    return float(value), ""


def memory_table(
    condition: Condition, runs: pd.DataFrame, memory: pd.DataFrame, missing: pd.DataFrame
) -> pd.DataFrame:
    """Per dataset, engine, resource and moment: bytes in use, and their share of the peak."""
    # Slow to import, and preflight, which imports this module, makes no table.
    from evenground.analysis.table import frame_of

    rows: Rows = []
    for names, wanted in groups(condition, runs):
        used, absent = group(memory, **names), group(missing, **names)
        reasons = dict(zip(absent["column"], absent["reason"], strict=True))
        for resource in RESOURCES:
            values = used[used["column"] == resource]
            # A share of nothing would be infinite.
            peaks = values["peak"].where(values["peak"] > 0)
            for column, moment in MOMENTS.items():
                known = values[column].notna()
                why = []
                if not known.all() or values.empty:
                    why.append(reasons.get(resource, UNSAMPLED))
                if column == "at_launch":
                    why += remarks(values["launch_remark"])
                row = {
                    **names,
                    "resource": resource,
                    "unit": "bytes",
                    "moment": moment,
                    **median_and_range("used", values[column]),
                    "n": int(known.sum()),
                    **median_and_range("share_of_peak", values[column] / peaks),
                    **counts(wanted),
                    "reason": "; ".join(why),
                }
                rows.append(row)
    return frame_of(rows, TABLE)
