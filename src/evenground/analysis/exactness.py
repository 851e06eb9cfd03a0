"""How exactly a measure is known, and between which values it could lie, whatever an engine did."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

from evenground.analysis.instruments import SinceBoot, Trace
from evenground.analysis.measures import (
    DRIVER_MEAN_S,
    UnknownError,
    counted_readings,
    peak,
    taken,
    until_first_batch_s,
)

EVERYTHING = (-math.inf, math.inf)
# Measures and resources in percent of the machine.
USES = ("mean", "steady", "rise", "peak")
SHARES = ("cpu", "gpu")


def resolution(measure: str, trace: Trace, resource: str) -> float:
    """The step in which a measure comes, in its unit: its error is taken as uniform over one such step.

    NaN where the measure has no value.
    """
    try:
        return RESOLUTIONS[measure](trace, resource)
    except UnknownError:
        return math.nan


def _of_time(trace: Trace, resource: str) -> float:
    """Of the time: multiplied as the time is, where that is extrapolated."""
    factor = trace.sample.factor if trace.sample else 1.0
    return trace.event_step_s * factor


def _of_value(trace: Trace, resource: str) -> float:
    return trace.steps[resource]


def _of_mean(trace: Trace, resource: str) -> float:
    return _over(trace, resource, trace.train_end_s)


def _of_steady(trace: Trace, resource: str) -> float:
    return _over(trace, resource, trace.train_end_s - trace.first_batch_s - DRIVER_MEAN_S)


def _over(trace: Trace, resource: str, window_s: float) -> float:
    """Of a mean: a counter is read at the two ends of the window, all else is as coarse as each value."""
    if resource not in trace.integrals:
        return trace.steps[resource]
    return trace.steps[resource] * trace.step_s / window_s


def _of_peak_at(trace: Trace, resource: str) -> float:
    return trace.step_s / until_first_batch_s(trace)


def _of_zero_s(trace: Trace, resource: str) -> float:
    """One sample; where rows repeat readings, the time that one reading stands for."""
    if resource not in trace.counted:
        return trace.step_s
    return (trace.train_end_s - trace.first_batch_s) / counted_readings(trace, resource).size


def _of_kept(trace: Trace, resource: str) -> float:
    """Of a share: above and below its line stand differences or values of one step each."""
    return 2 * trace.steps[resource] / taken(trace, resource)


def _of_end_to_peak(trace: Trace, resource: str) -> float:
    return 2 * trace.steps[resource] / peak(trace, resource)


RESOLUTIONS: Mapping[str, Callable[[Trace, str], float]] = {
    "training_s": _of_time,
    "mean": _of_mean,
    "steady": _of_steady,
    "rise": _of_value,
    "peak": _of_value,
    "peak_at": _of_peak_at,
    "zero_s": _of_zero_s,
    "kept": _of_kept,
    "end_to_peak": _of_end_to_peak,
}


def attainable(measure: str, trace: Trace, resource: str) -> tuple[float, float]:
    """The lowest and the highest value that a measure could have in this run, whatever the engine did."""
    if measure == "zero_s":
        return 0.0, trace.train_end_s
    if measure not in USES or resource not in SHARES:
        return EVERYTHING
    if resource in trace.since_boot:
        return _of_since_boot(measure, trace.since_boot[resource])
    return 0.0, trace.allowed_cpu_pct if resource == "cpu" else 100.0


def _of_since_boot(measure: str, since: SinceBoot) -> tuple[float, float]:
    """A mean since the start of the machine moves the less, the longer that has been up."""
    if math.isnan(since.up_s):
        return 0.0, 100.0
    if measure == "rise":
        return 0.0, max(since.highest - since.first_pct, since.first_pct - since.lowest)
    if measure == "peak":
        return since.first_pct, since.highest
    return since.lowest, since.highest
