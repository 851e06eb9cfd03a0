"""One number per run, taken from what an instrument shows. Missing is NaN, never zero."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from evenground.analysis.runs import Floats
from evenground.claims.instruments import FROM_LAUNCH, Trace, first_known

# A mean over a window that lacks more than a tenth of its samples is none.
KNOWN_SHARE = 0.9
SHORTEST_LINGER_S = 1.0
# NVIDIA's driver averages GPU use over up to a second: before that, compilation is in it.
DRIVER_MEAN_S = 1.0
ROUNDING_S = 5e-10


def training_s(trace: Trace, resource: str) -> float:
    """Seconds from the start of training to its end, compilation inside.

    Of a training on the first images only, those of one on all of them: `Sample.whole_s`.
    """
    if trace.sample is None:
        return trace.train_end_s
    return trace.sample.whole_s(trace.train_end_s, trace.first_batch_s)


def mean(trace: Trace, resource: str) -> float:
    """Mean use from the start of training to its end."""
    return _mean(_window(trace, resource, 0.0, trace.train_end_s))


def steady(trace: Trace, resource: str) -> float:
    """Mean use from a second after the first batch's result to the end of training."""
    return _mean(_window(trace, resource, trace.first_batch_s + DRIVER_MEAN_S, trace.train_end_s))


def rise(trace: Trace, resource: str) -> float:
    """Largest less smallest value from the launch of the process to the end of training."""
    known = _until_end(trace, resource)
    return float(known.max() - known.min()) if known.size else np.nan


def peak(trace: Trace, resource: str) -> float:
    """Largest value from the launch of the process to the end of training."""
    known = _until_end(trace, resource)
    return float(known.max()) if known.size else np.nan


def peak_at(trace: Trace, resource: str) -> float:
    """When the first largest value comes: 0 at the launch, 1 when the first batch's result is there."""
    values = np.where(trace.t_s <= trace.train_end_s + ROUNDING_S, trace.columns[resource], np.nan)
    if np.isnan(values).all():
        return np.nan
    span_s = trace.first_batch_s - trace.launch_s
    at_s = float(trace.t_s[int(np.nanargmax(values))])
    return (at_s - trace.launch_s) / span_s if span_s > 0 else np.nan


def zero_s(trace: Trace, resource: str) -> float:
    """Seconds without any use between the first batch's result and the end of training.

    Each sample stands for as long as every other: where rows repeat one, for its part of that time.
    """
    values = _window(trace, resource, trace.first_batch_s, trace.train_end_s)
    if not _enough(values):
        return np.nan
    if resource not in trace.counted:
        return float(np.sum(values == 0) * trace.step_s)
    t_s, counted = trace.counted[resource]
    mine = counted[(t_s > trace.first_batch_s + ROUNDING_S) & (t_s <= trace.train_end_s + ROUNDING_S)]
    return float(np.mean(mine == 0) * (trace.train_end_s - trace.first_batch_s)) if mine.size else np.nan


def kept(trace: Trace, resource: str) -> float:
    """Share of what was taken since the launch that is still held when the process has lingered.

    1: all that it held at the end of training; missing where it lingered less than a second.
    """
    if trace.linger_end_s - trace.evaluate_end_s < SHORTEST_LINGER_S:
        return np.nan
    first = 0.0 if resource in FROM_LAUNCH else first_known(trace.columns[resource])
    end = _at(trace, resource, trace.train_end_s)
    taken = end - first
    return (_at(trace, resource, trace.linger_end_s) - first) / taken if taken > 0 else np.nan


def end_to_peak(trace: Trace, resource: str) -> float:
    """Value at the end of training over the largest one since the launch."""
    largest = peak(trace, resource)
    return _at(trace, resource, trace.train_end_s) / largest if largest > 0 else np.nan


MEASURES: Mapping[str, Callable[[Trace, str], float]] = {
    "training_s": training_s,
    "mean": mean,
    "steady": steady,
    "rise": rise,
    "peak": peak,
    "peak_at": peak_at,
    "zero_s": zero_s,
    "kept": kept,
    "end_to_peak": end_to_peak,
}
TIMES = ("training_s",)


def take(measure: str, trace: Trace, resource: str) -> float:
    """A measure of one run; NaN for all but the time of a training on the first images only."""
    if trace.sample is not None and measure not in TIMES:
        return np.nan
    return MEASURES[measure](trace, resource)


def _window(trace: Trace, resource: str, after_s: float, until_s: float) -> Floats:
    """Values of the samples after one moment, up to another; a step of the grid counts where it ends."""
    inside = (trace.t_s > after_s + ROUNDING_S) & (trace.t_s <= until_s + ROUNDING_S)
    return trace.columns[resource][inside]


def _until_end(trace: Trace, resource: str) -> Floats:
    values = _window(trace, resource, -np.inf, trace.train_end_s)
    return values[~np.isnan(values)]


def _enough(values: Floats) -> bool:
    return bool(values.size) and float(np.mean(~np.isnan(values))) >= KNOWN_SHARE


def _mean(values: Floats) -> float:
    return float(np.nanmean(values)) if _enough(values) else np.nan


def _at(trace: Trace, resource: str, when_s: float) -> float:
    """The last value known at a moment."""
    values = _window(trace, resource, -np.inf, when_s)
    return first_known(values[::-1])
