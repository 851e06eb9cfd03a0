"""Runs of any length on one axis: every phase is as wide as every other, and is cut into equal parts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from evenground.analysis.runs import COUNTER, Floats, Ints, Samples
from evenground.analysis.timeline import CARRIED_PERIODS, COLUMNS, risen
from evenground.records.times import Process

PARTS = 10
# Of a part of a phase, so much must lie between samples for its mean to stand.
MIN_COVERED = 0.5
# The time between two phases may be microseconds, or nothing: it has no column as wide as theirs.
BETWEEN = ("after ", "before ")
FRAME = ("dataset", "engine", "column", "phase", "place", "n", "mean", "min", "max")


def is_between(phase: str) -> bool:
    """Whether a phase is the time between two main ones: after an epoch, or before the evaluation."""
    return phase.startswith(BETWEEN)


def phase_means(
    process: Process, samples: Samples, zero_ns: int, phases: Sequence[dict[str, object]]
) -> pd.DataFrame:
    """Mean use over each part of each main phase of a run, units as in the timelines: phase, place, COLUMNS.

    `place` is the middle of the part, in widths of a phase from the launch on; `zero_ns` is the start of
    training. A part is missing where more than half of it lies beyond five periods of any sample.
    """
    phases = [phase for phase in phases if not is_between(str(phase["phase"]))]
    starts, ends = (
        np.array([float(str(p[name])) for p in phases]) for name in ("start_s", "end_s")
    )
    shares = np.linspace(0.0, 1.0, PARTS + 1)
    edges_s = starts[:, None] + (ends - starts)[:, None] * shares
    edges_ns = zero_ns + np.round(edges_s * 1e9).astype(np.int64)
    columns = {
        "cpu_pct": _part_means(
            *_counted(samples.t_ns, samples.columns[COUNTER], edges_ns), edges_ns
        )
    }
    for name in COLUMNS[1:]:
        limit_ns = round(CARRIED_PERIODS * 1e9 * process.period_s(name))
        held = _held(samples.t_ns, samples.columns[name], edges_ns, limit_ns)
        columns[name] = _part_means(*held, edges_ns)
    # Missing where the cores are not known: `timeline.why_missing` says so.
    columns["cpu_pct"] *= 100.0 * 1e9 / (process.cores or np.nan)
    place = (np.arange(len(phases) * PARTS) + 0.5) / PARTS
    return pd.DataFrame(
        {"phase": np.repeat([p["phase"] for p in phases], PARTS), "place": place, **columns}
    )


def _part_means(area: Floats, covered_ns: Floats, edges_ns: Ints) -> Floats:
    """Differences of `area` over those of `covered_ns` between neighbouring edges, phase after phase."""
    covered, width = np.diff(covered_ns, axis=1), np.diff(edges_ns, axis=1)
    enough = (covered >= MIN_COVERED * width) & (covered > 0)
    means = np.full(width.shape, np.nan)
    np.divide(np.diff(area, axis=1), covered, out=means, where=enough)
    return means.ravel()


def _counted(t_ns: Ints, counter: Floats, at_ns: Ints) -> tuple[Floats, Floats]:
    """The counter at each moment (one that falls stands still), and the time it is known for until then."""
    valid = ~np.isnan(counter)
    if not valid.any():
        return np.zeros(at_ns.shape), np.zeros(at_ns.shape)
    since_ns = (t_ns[valid] - t_ns[valid][0]).astype(np.float64)
    rising = risen(counter[valid])
    known_ns = np.clip((at_ns - t_ns[valid][0]).astype(np.float64), 0.0, since_ns[-1])
    return np.interp(known_ns, since_ns, rising), known_ns


def _held(t_ns: Ints, values: Floats, at_ns: Ints, limit_ns: int) -> tuple[Floats, Floats]:
    """Integral of a value that holds until the next one, `limit_ns` at most, and the time it covers."""
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
    """Mean and range over the runs of one dataset and engine, per resource and part: FRAME from `column` on.

    A run that never measured a resource does not count in its `n`; where one of the others lacks a part,
    so has the mean: the runs behind a curve never change along it.
    """
    parts: list[pd.DataFrame] = []
    joined = pd.concat(runs, keys=range(len(runs)), names=["run", None])
    for name in COLUMNS:
        measured = joined[name].notna().groupby("run").transform("any")
        known = joined[measured].groupby(["phase", "place"], sort=False)[name]
        n = int(measured.groupby("run").any().sum())
        found = known.agg(["mean", "min", "max", "count"]).reset_index()
        whole = found["count"] == n
        found[["mean", "min", "max"]] = found[["mean", "min", "max"]].where(whole)
        parts.append(found.assign(column=name, n=n))
    return pd.concat(parts, ignore_index=True)[list(FRAME[2:])]
