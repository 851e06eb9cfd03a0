"""When the GPU was idle: stretches of readings of 0 % use, and what follows for its idle time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from evenground.analysis.readings import distance_s, once
from evenground.analysis.runs import Samples
from evenground.records.times import Process

COLUMN = "gpu_util_pct"
# The sampler queries the driver at most twenty times a second (docs/sidecar.md), less often if the
# driver is slow; rows in between repeat the value.
DRIVER_PERIOD_S = 0.05
# Between two values further apart than this many periods, one is missing.
MAX_GAP_PERIODS = 1.5


@dataclass(frozen=True)
class GpuWindow:
    """An idle window of the GPU on the samples' clock, edges right to half of `plus_minus_s`."""

    start_ns: int
    end_ns: int
    plus_minus_s: float
    samples: int
    open: str
    """On which sides it may be longer, as the next value there is missing."""


def period_s(process: Process, samples: Samples) -> float:
    """Seconds between two readings of the GPU's use that can differ."""
    return max(process.period_s(COLUMN), DRIVER_PERIOD_S, distance_s(samples))


def stretches(flags: npt.NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Stretches of true `flags` (N,): the first index of each, and the one behind its last."""
    # 1 where a stretch begins, -1 behind its end.
    edges = np.diff(np.concatenate(([0], flags.astype(np.int8), [0])))
    firsts, ends = np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)
    return list(zip(firsts.tolist(), ends.tolist(), strict=True))


def gpu_windows(process: Process, samples: Samples) -> list[GpuWindow]:
    """Every idle window of the GPU, inside and outside of the training: two or more zeros in a row.

    A value at t is the driver's mean over a window of length w that ended within w before t; values
    come every p. From the first zero at a and the last at b follows: the GPU fell idle between
    a - p - 2w and a - w, and was busy again between b - w and b + p. The window's edges are the
    middles, so that its length is b - a + p + w, right to p + w. An unknown w counts as zero.
    """
    period = period_s(process, samples)
    driver_s = process.util_window_s or 0.0
    t_ns, values = once(samples, COLUMN)
    earlier_ns = round((period / 2 + 1.5 * driver_s) * 1e9)
    later_ns = round((period / 2 - driver_s / 2) * 1e9)
    # Neighbours are both known, and no value is missing between them.
    near = np.diff(t_ns) <= MAX_GAP_PERIODS * period * 1e9
    zero, known = values == 0, ~np.isnan(values)
    # Whether each value has a neighbour before it; none before the first and behind the last.
    neighbour = np.concatenate(([False], known[1:] & known[:-1] & near, [False]))
    windows = []
    # One zero alone may be a moment shorter than the driver's own window: pairs of them count.
    for first, last in stretches(zero[1:] & zero[:-1] & near):
        open_sides = []
        if not neighbour[first]:
            open_sides.append("before")
        if not neighbour[last + 1]:
            open_sides.append("after")
        window = GpuWindow(
            start_ns=int(t_ns[first]) - earlier_ns,
            end_ns=int(t_ns[last]) + later_ns,
            plus_minus_s=period + driver_s,
            samples=last - first + 1,
            open=" and ".join(open_sides),
        )
        windows.append(window)
    return windows


def unseen(process: Process, samples: Samples, start_ns: int, end_ns: int) -> bool:
    """Whether the GPU's use is unknown for a part of the time between two moments."""
    t_ns, values = once(samples, COLUMN)
    known_ns = t_ns[~np.isnan(values)]
    # The last value at or before the start, and the first one at or behind the end.
    first = int(np.searchsorted(known_ns, start_ns, side="right")) - 1
    last = int(np.searchsorted(known_ns, end_ns, side="left"))
    if first < 0 or last >= known_ns.size:
        return True
    max_gap_ns = MAX_GAP_PERIODS * period_s(process, samples) * 1e9
    return bool(np.any(np.diff(known_ns[first : last + 1]) > max_gap_ns))
