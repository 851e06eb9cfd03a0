"""When the GPU did nothing: stretches of samples that read 0 % use, and what they say of its idle time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from evenground.analysis.readings import distance_s, once
from evenground.analysis.runs import Floats, Ints, Samples
from evenground.records.times import Process

COLUMN = "gpu_util_pct"
# The sampler asks the driver at most twenty times a second (docs/sidecar.md), and less often where the driver
# is slow; rows between repeat the value.
DRIVER_PERIOD_S = 0.05
# One zero alone may be a moment shorter than the driver's own window.
MIN_ZEROS = 2
# Two values further apart than this many periods have a missing one between them.
MAX_GAP_PERIODS = 1.5


@dataclass(frozen=True)
class Span:
    """Rows `first` to `last` of the samples, all zero; whether the value before and after it is known."""

    first: int
    last: int
    closed_before: bool
    closed_after: bool


@dataclass(frozen=True)
class GpuWindow:
    """An idle window of the GPU on the clock of the samples; an edge is right to half of `plus_minus_s`."""

    start_ns: int
    end_ns: int
    plus_minus_s: float
    samples: int
    open: str
    """On which sides it may go on, as the next value there is missing."""


def period_s(process: Process, samples: Samples) -> float:
    """Time between two values of the GPU's use that can differ."""
    return max(process.period_s(COLUMN), DRIVER_PERIOD_S, distance_s(samples))


def zero_spans(t_ns: Ints, values: Floats, farthest_ns: float) -> list[Span]:
    """Runs of at least `MIN_ZEROS` zeros among `values` (N,), none across a missing value or a gap in `t_ns`.

    Values more than `farthest_ns` apart are not consecutive: one is missing between them.
    """
    zero, known = values == 0, ~np.isnan(values)
    near = np.diff(t_ns) <= farthest_ns
    joined = zero[1:] & zero[:-1] & near
    edges = np.diff(np.concatenate(([0], joined.astype(np.int8), [0])))
    firsts, lasts = np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)
    neighbour = np.concatenate(([False], known[1:] & known[:-1] & near, [False]))
    return [
        Span(int(first), int(last), bool(neighbour[first]), bool(neighbour[last + 1]))
        for first, last in zip(firsts, lasts, strict=True)
        if last - first + 1 >= MIN_ZEROS
    ]


def gpu_windows(process: Process, samples: Samples) -> list[GpuWindow]:
    """Every idle window of the GPU, in and outside of the training.

    A value at t is the driver's mean over a window of length w that ended within w before t; values come
    every p. From the first zero at a and the last at b follows: the GPU fell idle between a - p - 2w and
    a - w, and was busy again between b - w and b + p. The window's edges are the middles, so that its
    length is b - a + p + w, right to p + w. Where w is not known it counts as zero.
    """
    period, driver_s = period_s(process, samples), process.util_window_s or 0.0
    t_ns, values = once(samples, COLUMN)
    earlier_ns = round((period / 2 + 1.5 * driver_s) * 1e9)
    later_ns = round((period / 2 - driver_s / 2) * 1e9)
    found = []
    for span in zero_spans(t_ns, values, MAX_GAP_PERIODS * period * 1e9):
        sides = (("before", span.closed_before), ("after", span.closed_after))
        window = GpuWindow(
            start_ns=int(t_ns[span.first]) - earlier_ns,
            end_ns=int(t_ns[span.last]) + later_ns,
            plus_minus_s=period + driver_s,
            samples=span.last - span.first + 1,
            open=" and ".join(side for side, closed in sides if not closed),
        )
        found.append(window)
    return found


def unseen(process: Process, samples: Samples, start_ns: int, end_ns: int) -> bool:
    """Whether the GPU's use is not known for a part of the time between two moments."""
    t_ns, values = once(samples, COLUMN)
    known_ns = t_ns[~np.isnan(values)]
    first = int(np.searchsorted(known_ns, start_ns, side="right")) - 1
    last = int(np.searchsorted(known_ns, end_ns, side="left"))
    if first < 0 or last >= known_ns.size:
        return True
    return bool(
        np.any(
            np.diff(known_ns[first : last + 1]) > MAX_GAP_PERIODS * period_s(process, samples) * 1e9
        )
    )
