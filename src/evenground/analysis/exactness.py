"""How exactly a measure is known, and between which values it can lie for any engine."""

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

UNBOUNDED = (-math.inf, math.inf)
# Measures and resources whose values are percent of the machine.
PERCENT_MEASURES = ("mean", "steady", "rise", "peak")
PERCENT_RESOURCES = ("cpu", "gpu")


def resolution(measure: str, trace: Trace, resource: str) -> float:
    """The step between two possible values of a measure, in its unit; NaN if it has no value.

    The error of the measure is taken as uniform over one such step.
    """
    try:
        return RESOLUTIONS[measure](trace, resource)
    except UnknownError:
        return math.nan


def _of_time(trace: Trace, resource: str) -> float:
    """The step of events; an extrapolated time multiplies it by the same factor."""
    if trace.sample:
        return trace.event_step_s * trace.sample.factor
    return trace.event_step_s


def _of_value(trace: Trace, resource: str) -> float:
    return trace.steps[resource]


def _of_mean(trace: Trace, resource: str) -> float:
    return _over(trace, resource, trace.train_end_s)


def _of_steady(trace: Trace, resource: str) -> float:
    return _over(trace, resource, trace.train_end_s - trace.first_batch_s - DRIVER_MEAN_S)


def _over(trace: Trace, resource: str, window_s: float) -> float:
    """The step of a mean over a window."""
    if resource not in trace.integrals:
        return trace.steps[resource]
    # A counter is read only at the ends of the window: the longer that is, the finer the mean.
    return trace.steps[resource] * trace.step_s / window_s


def _of_peak_at(trace: Trace, resource: str) -> float:
    return trace.step_s / until_first_batch_s(trace)


def _of_zero_s(trace: Trace, resource: str) -> float:
    """One sample; if rows repeat readings, the time that one reading stands for."""
    if resource not in trace.counted:
        return trace.step_s
    return (trace.train_end_s - trace.first_batch_s) / counted_readings(trace, resource).size


def _of_kept(trace: Trace, resource: str) -> float:
    """Two steps: numerator and denominator of the share are off by up to one step each."""
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
    """The lowest and the highest value that a measure could have in this run, for any engine."""
    if measure == "zero_s":
        return 0.0, trace.train_end_s
    if measure not in PERCENT_MEASURES or resource not in PERCENT_RESOURCES:
        return UNBOUNDED
    if resource in trace.since_boot:
        return _of_since_boot(measure, trace.since_boot[resource])
    if resource == "cpu":
        return 0.0, trace.allowed_cpu_pct
    return 0.0, 100.0


def _of_since_boot(measure: str, since: SinceBoot) -> tuple[float, float]:
    """The longer the machine has been up, the less a mean since its start can move."""
    if math.isnan(since.up_s):
        return 0.0, 100.0
    if measure == "rise":
        return 0.0, max(since.highest - since.first_pct, since.first_pct - since.lowest)
    if measure == "peak":
        return since.first_pct, since.highest
    return since.lowest, since.highest
