"""Runs of any length on one axis: all phases are equally wide, and cut into equal parts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from evenground.analysis.columns import (
    GROUP,
    PHASE,
    N,
    columns,
    names_of,
    number,
    text,
)
from evenground.analysis.phases import Phase
from evenground.analysis.runs import COUNTER, GAUGES, Floats, Ints, Samples
from evenground.analysis.timeline import CARRIED_PERIODS, COLUMNS, risen
from evenground.records.times import Process

PARTS = 10
# At least that share of a part must lie between samples for its mean to count.
MIN_COVERED = 0.5
# The time between two phases may be microseconds, or nothing: it has no column as wide as theirs.
BETWEEN = ("after ", "before ")
CURVE = (
    text("column", "Column of `timelines`, in whose unit the numbers are."),
    PHASE,
    number("place", "", "Middle of the part, in widths of a phase from the launch on."),
    N,
    number("mean", "", "Mean over the runs; missing where one of them has no value."),
    number("min", "", "Smallest value of a run; missing like the mean."),
    number("max", "", "Largest value of a run; missing like the mean."),
)
FRAME = columns(GROUP, CURVE)


def is_between(phase: str) -> bool:
    """Whether a phase lies between two main ones: after an epoch, or before the evaluation."""
    return phase.startswith(BETWEEN)


def phase_means(
    process: Process, samples: Samples, zero_ns: int, phases: Sequence[Phase]
) -> pd.DataFrame:
    """Mean use over each part of each main phase of a run, units as in the timelines.

    Columns are phase, place and COLUMNS. `place` is the middle of the part, in widths of a phase
    from the launch on; `zero_ns` is the start of training. A part is missing if more than half of
    it lies beyond five periods of any sample.
    """
    main = [phase for phase in phases if not is_between(phase.name)]
    starts_s = np.array([[phase.start_s] for phase in main])
    ends_s = np.array([[phase.end_s] for phase in main])
    # One row of PARTS + 1 edges for each phase.
    edges_s = starts_s + (ends_s - starts_s) * np.linspace(0.0, 1.0, PARTS + 1)
    edges_ns = zero_ns + np.round(edges_s * 1e9).astype(np.int64)
    busy_s, covered_ns = _counted(samples.t_ns, samples.columns[COUNTER], edges_ns)
    columns = {
        "phase": np.repeat([phase.name for phase in main], PARTS),
        "place": (np.arange(len(main) * PARTS) + 0.5) / PARTS,
        # From seconds a nanosecond to percent of the machine.
        # Missing if the number of cores is unknown; `timeline.why_missing` has the reason.
        "cpu_pct": _part_means(busy_s, covered_ns, edges_ns) * (1e11 / (process.cores or np.nan)),
    }
    for name in GAUGES:
        limit_ns = round(CARRIED_PERIODS * 1e9 * process.period_s(name))
        area, covered_ns = _held(samples.t_ns, samples.columns[name], edges_ns, limit_ns)
        columns[name] = _part_means(area, covered_ns, edges_ns)
    return pd.DataFrame(columns)


def _part_means(area: Floats, covered_ns: Floats, edges_ns: Ints) -> Floats:
    """Mean over each part, phase after phase; all arrays are (phases, PARTS + 1).

    It is the difference of `area` over that of `covered_ns` between neighbouring edges.
    """
    covered, width = np.diff(covered_ns, axis=1), np.diff(edges_ns, axis=1)
    enough = (covered >= MIN_COVERED * width) & (covered > 0)
    means = np.full(width.shape, np.nan)
    np.divide(np.diff(area, axis=1), covered, out=means, where=enough)
    return means.ravel()


def _counted(t_ns: Ints, counter: Floats, at_ns: Ints) -> tuple[Floats, Floats]:
    """The counter (N,) at each moment of `at_ns`, and for how long it is known until then.

    Where the counter falls, it is taken to stand still.
    """
    valid = ~np.isnan(counter)
    if not valid.any():
        return np.zeros(at_ns.shape), np.zeros(at_ns.shape)
    first_ns = t_ns[valid][0]
    since_ns = (t_ns[valid] - first_ns).astype(np.float64)
    known_ns = np.clip((at_ns - first_ns).astype(np.float64), 0.0, since_ns[-1])
    return np.interp(known_ns, since_ns, risen(counter[valid])), known_ns


def _held(t_ns: Ints, values: Floats, at_ns: Ints, limit_ns: int) -> tuple[Floats, Floats]:
    """Integral of values (N,) until each moment of `at_ns`, and the time that it covers.

    A value holds until the next one, but no longer than `limit_ns`.
    """
    valid = ~np.isnan(values)
    if not valid.any():
        return np.zeros(at_ns.shape), np.zeros(at_ns.shape)
    t_valid, v_valid = t_ns[valid], values[valid]
    holds = np.minimum(np.diff(t_valid, append=t_valid[-1] + limit_ns), limit_ns).astype(np.float64)
    area = np.concatenate(([0.0], np.cumsum(v_valid * holds)))
    covered = np.concatenate(([0.0], np.cumsum(holds)))
    last = np.maximum(np.searchsorted(t_valid, at_ns, side="right") - 1, 0)
    since_ns = np.clip((at_ns - t_valid[last]).astype(np.float64), 0.0, holds[last])
    return area[last] + v_valid[last] * since_ns, covered[last] + since_ns


def mean_by_phase(runs: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Mean and range over the runs of one dataset and engine, per resource and part.

    The columns are those of CURVE. A run that never measured a resource does not
    count in its `n`. If another one has no value for a part, the mean has none either: the runs
    behind a curve never change along it.
    """
    frames = []
    joined = pd.concat(runs, keys=range(len(runs)), names=["run", None])
    for name in COLUMNS:
        # One value for each row: whether its run measured the resource at all.
        measured = joined[name].notna().groupby("run").transform("any")
        known = joined[measured].groupby(["phase", "place"], sort=False)[name]
        n = int(measured.groupby("run").any().sum())
        frame = known.agg(["mean", "min", "max", "count"]).reset_index()
        complete = frame["count"] == n
        frame[["mean", "min", "max"]] = frame[["mean", "min", "max"]].where(complete)
        frames.append(frame.assign(column=name, n=n))
    return pd.concat(frames, ignore_index=True)[list(names_of(CURVE))]
