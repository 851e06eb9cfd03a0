"""One number per run, taken from what an instrument shows. Missing is NaN with a reason, never zero."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from evenground.analysis.instruments import FROM_LAUNCH, Trace, first_known
from evenground.analysis.runs import Floats
from evenground.analysis.seen import Windows

# A mean over a window that lacks more than a tenth of its samples is none.
KNOWN_SHARE = 0.9
MIN_LINGER_S = 1.0
# NVIDIA's driver averages GPU use over up to a second: before that, compilation is in it.
DRIVER_MEAN_S = 1.0
ROUNDING_S = 5e-10

NO_SAMPLE = "no sample was taken"
NO_TIME = "no time to take it over: the training ended within a second of its first batch"
TOO_LITTLE = "more than a tenth of the values are missing"
NONE_BEFORE_END = "no value between the launch and the end of training"
NONE_AT_END = "no value at the end of training"
NO_READING = "no reading between the first batch and the end of training"
NO_LINGER = "lingered for less than a second"
NOTHING_TAKEN = "nothing was taken between the launch and the end of training"
ALL_ZERO = "its largest value is zero"
NO_SPAN = "no time between the launch and the first batch's result"


class UnknownError(Exception):
    """Why a measure has no value for a run, in words."""


def training_s(trace: Trace, resource: str) -> float:
    """Seconds from the start of training to its end, compilation inside, without what is left out.

    Of a training on the first examples only, those of one on all of them: `Sample.whole_s`.
    """
    if not trace.t_s.size:
        raise UnknownError(NO_SAMPLE)
    whole_s, first_s = (
        moment - _left_out_s(trace, moment) for moment in (trace.train_end_s, trace.first_batch_s)
    )
    if trace.sample is None:
        return whole_s
    if lacks := trace.sample.lacks:
        raise UnknownError(f"trained on {trace.sample.words} only: {lacks}")
    return trace.sample.whole_s(whole_s, first_s)


def mean(trace: Trace, resource: str) -> float:
    """Mean use from the start of training to its end."""
    return _mean(trace, resource, 0.0)


def steady(trace: Trace, resource: str) -> float:
    """Mean use from a second after the first batch's result to the end of training."""
    return _mean(trace, resource, trace.first_batch_s + DRIVER_MEAN_S)


def rise(trace: Trace, resource: str) -> float:
    """Largest less smallest value from the launch of the process to the end of training."""
    known = _until_end(trace, resource)
    return float(known.max() - known.min())


def peak(trace: Trace, resource: str) -> float:
    """Largest value from the launch of the process to the end of training."""
    return float(_until_end(trace, resource).max())


def peak_at(trace: Trace, resource: str) -> float:
    """When the first largest value comes: 0 at the launch, 1 when the first batch's result is there."""
    values = np.where(trace.t_s <= trace.train_end_s + ROUNDING_S, trace.columns[resource], np.nan)
    if np.isnan(values).all():
        raise UnknownError(NONE_BEFORE_END)
    at_s = float(trace.t_s[int(np.nanargmax(values))])
    return (at_s - trace.launch_s) / until_first_batch_s(trace)


def zero_s(trace: Trace, resource: str) -> float:
    """Seconds without any use between the first batch's result and the end of training.

    Each sample stands for as long as every other: where rows repeat one, for its part of that time.
    """
    values, seconds = _window(trace, resource, trace.first_batch_s, trace.train_end_s)
    if resource not in trace.counted:
        return float(seconds[values == 0].sum())
    readings = counted_readings(trace, resource)
    return float(np.mean(readings == 0) * (trace.train_end_s - trace.first_batch_s))


def kept(trace: Trace, resource: str) -> float:
    """Share of what was taken since the launch that is still held when the process has lingered.

    1: all that it held at the end of training; missing where it lingered less than a second.
    """
    if trace.linger_end_s - trace.evaluate_end_s < MIN_LINGER_S:
        raise UnknownError(NO_LINGER)
    return (_at(trace, resource, trace.linger_end_s) - _at_launch(trace, resource)) / taken(
        trace, resource
    )


def end_to_peak(trace: Trace, resource: str) -> float:
    """Value at the end of training over the largest one since the launch."""
    largest = peak(trace, resource)
    if largest <= 0:
        raise UnknownError(ALL_ZERO)
    return _at(trace, resource, trace.train_end_s) / largest


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


def take(measure: str, trace: Trace, resource: str) -> tuple[float, str]:
    """A measure of one run, or NaN and why it has none.

    Of a training on the first examples only there is none but its time.
    """
    if trace.sample is not None and measure not in TIMES:
        why = f"'{measure}' of the whole is not known from that"
        return np.nan, f"trained on {trace.sample.words} only: {why}"
    if measure not in TIMES and resource in trace.lacks:
        return np.nan, trace.lacks[resource]
    try:
        return MEASURES[measure](trace, resource), ""
    except UnknownError as error:
        return np.nan, str(error)


def taken(trace: Trace, resource: str) -> float:
    """What the process took of a resource from its launch to the end of training; above zero."""
    found = _at(trace, resource, trace.train_end_s) - _at_launch(trace, resource)
    if np.isnan(found):
        raise UnknownError(NONE_AT_END)
    if found <= 0:
        raise UnknownError(NOTHING_TAKEN)
    return found


def until_first_batch_s(trace: Trace) -> float:
    """Seconds from the launch to the first batch's result; above zero."""
    span_s = trace.first_batch_s - trace.launch_s
    if span_s <= 0:
        raise UnknownError(NO_SPAN)
    return span_s


def counted_readings(trace: Trace, resource: str) -> Floats:
    """The readings (M,) from the first batch's result to the end of training, each once; one at least."""
    t_s, readings = trace.counted[resource]
    inside = (t_s > trace.first_batch_s + ROUNDING_S) & (t_s <= trace.train_end_s + ROUNDING_S)
    if not inside.any():
        raise UnknownError(NO_READING)
    return readings[inside]


def _spans(trace: Trace, after_s: float, until_s: float) -> Windows:
    """The time between two moments without what is left out, in order."""
    spans, start_s = [], after_s
    for left_s, right_s in trace.left_out:
        spans.append((start_s, min(left_s, until_s)))
        start_s = max(start_s, right_s)
    spans.append((start_s, until_s))
    return tuple((start, end) for start, end in spans if end - start > ROUNDING_S)


def _left_out_s(trace: Trace, until_s: float) -> float:
    """How much of the time from the start of training to a moment is left out."""
    return sum(
        max(0.0, min(end_s, until_s) - max(start_s, 0.0)) for start_s, end_s in trace.left_out
    )


def _mean(trace: Trace, resource: str, after_s: float) -> float:
    """Mean from a moment to the end of training, over the time that is not left out."""
    if resource in trace.integrals:
        return _mean_of_counter(trace, resource, after_s)
    values, seconds = _window(trace, resource, after_s, trace.train_end_s)
    known = ~np.isnan(values)
    return float(np.average(values[known], weights=seconds[known]))


def _mean_of_counter(trace: Trace, resource: str, after_s: float) -> float:
    """The same by the rise of a counter, straight between two of its values.

    Between the two around the edge of time that is left out, it rose outside of that.
    """
    t_s, integral = trace.integrals[resource]
    spans = np.array(_spans(trace, after_s, trace.train_end_s))
    if not spans.size:
        raise UnknownError(NO_TIME)
    known = spans.clip(t_s[0], t_s[-1])
    known_s = float(np.diff(known).sum())
    if known_s < KNOWN_SHARE * float(np.diff(spans).sum()):
        raise UnknownError(TOO_LITTLE)
    starts, ends = np.interp(known, t_s, integral).T
    before, after = known[:, 0] > after_s, known[:, 1] < trace.train_end_s
    starts[before] = integral[np.searchsorted(t_s, known[before, 0], side="right") - 1]
    ends[after] = integral[np.searchsorted(t_s, known[after, 1], side="left")]
    return float((ends - starts).sum()) / known_s


def _window(trace: Trace, resource: str, after_s: float, until_s: float) -> tuple[Floats, Floats]:
    """The values (L,) between two moments, and the seconds that each stands for; NaN is still missing.

    A value stands for the step that ends with it, where the window begins in it for the rest of it. In the
    step in which the window ends the value before still stands: what is read later belongs to what follows.
    """
    seconds = _weights_s(trace, after_s, until_s)
    inside = np.flatnonzero(seconds)
    if not inside.size:
        raise UnknownError(NO_TIME)
    last = int(np.searchsorted(trace.t_s, until_s + ROUNDING_S, side="right")) - 1
    values, seconds = trace.columns[resource][inside.clip(max=max(last, 0))], seconds[inside]
    if seconds[~np.isnan(values)].sum() < KNOWN_SHARE * seconds.sum():
        raise UnknownError(TOO_LITTLE)
    return values, seconds


def _weights_s(trace: Trace, after_s: float, until_s: float) -> Floats:
    """Seconds (K,) of the step that ends at each `t_s` that lie between two moments and are not left out."""
    starts_s = trace.t_s - trace.step_s
    weights = np.zeros(trace.t_s.shape)
    for start_s, end_s in _spans(trace, after_s, until_s):
        weights += np.maximum(np.minimum(trace.t_s, end_s) - np.maximum(starts_s, start_s), 0.0)
    # What rounding leaves of a step is none of it.
    weights[weights < ROUNDING_S] = 0.0
    return weights


def _before(trace: Trace, resource: str, when_s: float) -> Floats:
    """The known values up to a moment."""
    values = trace.columns[resource][trace.t_s <= when_s + ROUNDING_S]
    return values[~np.isnan(values)]


def _until_end(trace: Trace, resource: str) -> Floats:
    """The known values up to the end of training, one at least."""
    known = _before(trace, resource, trace.train_end_s)
    if not known.size:
        raise UnknownError(NONE_BEFORE_END)
    return known


def _at(trace: Trace, resource: str, when_s: float) -> float:
    """The last value known at a moment."""
    return first_known(_before(trace, resource, when_s)[::-1])


def _at_launch(trace: Trace, resource: str) -> float:
    """What there was of a resource before the process took any."""
    return 0.0 if resource in FROM_LAUNCH else first_known(trace.columns[resource])
