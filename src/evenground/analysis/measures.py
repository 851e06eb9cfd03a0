"""One number per run, taken from what an instrument shows. Missing is NaN with a reason."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from evenground.analysis.instruments import FROM_LAUNCH, Trace
from evenground.analysis.runs import Floats, first_known
from evenground.analysis.seen import Windows

# A mean needs nine tenths of the samples in its window.
KNOWN_SHARE = 0.9
MIN_LINGER_S = 1.0
# NVIDIA's driver averages GPU use over up to a second: a value read earlier includes compilation.
DRIVER_MEAN_S = 1.0
# Times are differences of nanoseconds as floats of seconds: half a nanosecond is rounding.
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
    """A measure has no value for a run; the text says why."""


def training_s(trace: Trace, resource: str) -> float:
    """Seconds from the start of training to its end, including compilation, without `left_out`.

    Of a training on the first examples only, the time for all of them: `Sample.whole_s`. Raises
    UnknownError without samples, or if the time cannot be extrapolated.
    """
    if not trace.t_s.size:
        raise UnknownError(NO_SAMPLE)
    whole_s = trace.train_end_s - _left_out_s(trace, trace.train_end_s)
    if trace.sample is None:
        return whole_s
    if trace.sample.lacks:
        raise UnknownError(f"trained on {trace.sample.words} only: {trace.sample.lacks}")
    first_batch_s = trace.first_batch_s - _left_out_s(trace, trace.first_batch_s)
    return trace.sample.whole_s(whole_s, first_batch_s)


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
    """When the largest value first occurs: 0 at the launch, 1 at the first batch's result.

    Raises UnknownError without a value before the end of training.
    """
    values = np.where(trace.t_s <= trace.train_end_s + ROUNDING_S, trace.columns[resource], np.nan)
    if np.isnan(values).all():
        raise UnknownError(NONE_BEFORE_END)
    # Of several largest values `nanargmax` takes the first.
    at_s = float(trace.t_s[int(np.nanargmax(values))])
    return (at_s - trace.launch_s) / until_first_batch_s(trace)


def zero_s(trace: Trace, resource: str) -> float:
    """Seconds without any use between the first batch's result and the end of training.

    All readings weigh the same: if rows repeat one, it counts once, for its share of that time.
    """
    values, seconds = _window(trace, resource, trace.first_batch_s, trace.train_end_s)
    if resource not in trace.counted:
        return float(seconds[values == 0].sum())
    readings = counted_readings(trace, resource)
    return float(np.mean(readings == 0) * (trace.train_end_s - trace.first_batch_s))


def kept(trace: Trace, resource: str) -> float:
    """Share of the amount taken since the launch that the process still holds after lingering.

    1 means everything it held at the end of training. Raises UnknownError if it lingered for less
    than a second.
    """
    if trace.linger_end_s - trace.evaluate_end_s < MIN_LINGER_S:
        raise UnknownError(NO_LINGER)
    held = _at(trace, resource, trace.linger_end_s) - _at_launch(trace, resource)
    return held / taken(trace, resource)


def end_to_peak(trace: Trace, resource: str) -> float:
    """Value at the end of training over the largest one since the launch.

    Raises UnknownError if all values are zero.
    """
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
    """The value of a measure for one run, or NaN and why it has none.

    A training on the first examples only has no measure but its time.
    """
    if measure not in TIMES:
        # Use and memory over a part of the data do not scale like time.
        if trace.sample is not None:
            why = f"'{measure}' of the whole is not known from that"
            return np.nan, f"trained on {trace.sample.words} only: {why}"
        if resource in trace.missing:
            return np.nan, trace.missing[resource]
    try:
        return MEASURES[measure](trace, resource), ""
    except UnknownError as error:
        return np.nan, str(error)


def taken(trace: Trace, resource: str) -> float:
    """What the process took of a resource from its launch to the end of training; above zero.

    Raises UnknownError if that is unknown or nothing.
    """
    amount = _at(trace, resource, trace.train_end_s) - _at_launch(trace, resource)
    if np.isnan(amount):
        raise UnknownError(NONE_AT_END)
    if amount <= 0:
        raise UnknownError(NOTHING_TAKEN)
    return amount


def until_first_batch_s(trace: Trace) -> float:
    """Seconds from the launch to the first batch's result; above zero, or raises UnknownError."""
    span_s = trace.first_batch_s - trace.launch_s
    if span_s <= 0:
        raise UnknownError(NO_SPAN)
    return span_s


def counted_readings(trace: Trace, resource: str) -> Floats:
    """The readings (M,) from the first batch's result to the end of training, each once.

    Raises UnknownError if there are none.
    """
    t_s, readings = trace.counted[resource]
    inside = (t_s > trace.first_batch_s + ROUNDING_S) & (t_s <= trace.train_end_s + ROUNDING_S)
    if not inside.any():
        raise UnknownError(NO_READING)
    return readings[inside]


def _spans(trace: Trace, after_s: float, until_s: float) -> Windows:
    """The time between two moments without what is left out, in order."""
    spans = []
    start_s = after_s
    # `left_out` is in order and may reach over either end.
    for left_s, right_s in trace.left_out:
        spans.append((start_s, min(left_s, until_s)))
        start_s = max(start_s, right_s)
    spans.append((start_s, until_s))
    return tuple((start, end) for start, end in spans if end - start > ROUNDING_S)


def _left_out_s(trace: Trace, until_s: float) -> float:
    """How much of the time from the start of training to a moment is left out."""
    left_out_s = 0.0
    for start_s, end_s in trace.left_out:
        left_out_s += max(0.0, min(end_s, until_s) - max(start_s, 0.0))
    return left_out_s


def _mean(trace: Trace, resource: str, after_s: float) -> float:
    """Mean from a moment to the end of training, over the time that is not left out."""
    if resource in trace.integrals:
        return _mean_of_counter(trace, resource, after_s)
    values, seconds = _window(trace, resource, after_s, trace.train_end_s)
    known = ~np.isnan(values)
    return float(np.average(values[known], weights=seconds[known]))


def _mean_of_counter(trace: Trace, resource: str, after_s: float) -> float:
    """The same from the rise of a counter, linear between two of its readings.

    Between the two readings around the edge of time that is left out, the rise counts as outside
    of that time.
    """
    t_s, integral = trace.integrals[resource]
    spans = np.array(_spans(trace, after_s, trace.train_end_s))
    if not spans.size:
        raise UnknownError(NO_TIME)
    # Before its first and after its last reading the counter is unknown.
    known = spans.clip(t_s[0], t_s[-1])
    known_s = float(np.diff(known).sum())
    if known_s < KNOWN_SHARE * float(np.diff(spans).sum()):
        raise UnknownError(TOO_LITTLE)
    starts, ends = np.interp(known, t_s, integral).T
    # Spans that begin or end at time left out use the reading before or after that edge.
    before, after = known[:, 0] > after_s, known[:, 1] < trace.train_end_s
    starts[before] = integral[np.searchsorted(t_s, known[before, 0], side="right") - 1]
    ends[after] = integral[np.searchsorted(t_s, known[after, 1], side="left")]
    return float((ends - starts).sum()) / known_s


def _window(trace: Trace, resource: str, after_s: float, until_s: float) -> tuple[Floats, Floats]:
    """The values (L,) between two moments, and the seconds (L,) that each stands for.

    A value stands for the step that ends with it, or the part of that step inside the window; NaN
    is still missing. In the step in which the window ends, the value before still stands: what is
    read later belongs to what follows.
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
    """Seconds (K,) of the step that ends at each `t_s`, between two moments and not left out."""
    starts_s = trace.t_s - trace.step_s
    weights = np.zeros(trace.t_s.shape)
    for start_s, end_s in _spans(trace, after_s, until_s):
        weights += np.maximum(np.minimum(trace.t_s, end_s) - np.maximum(starts_s, start_s), 0.0)
    # A shorter rest of a step is rounding.
    weights[weights < ROUNDING_S] = 0.0
    return weights


def _before(trace: Trace, resource: str, when_s: float) -> Floats:
    """The known values (L,) up to a moment."""
    values = trace.columns[resource][trace.t_s <= when_s + ROUNDING_S]
    return values[~np.isnan(values)]


def _until_end(trace: Trace, resource: str) -> Floats:
    """The known values (L,) up to the end of training, at least one."""
    known = _before(trace, resource, trace.train_end_s)
    if not known.size:
        raise UnknownError(NONE_BEFORE_END)
    return known


def _at(trace: Trace, resource: str, when_s: float) -> float:
    """The last value known at a moment."""
    return first_known(_before(trace, resource, when_s)[::-1])


def _at_launch(trace: Trace, resource: str) -> float:
    """What was used of a resource before the process took any."""
    if resource in FROM_LAUNCH:
        return 0.0
    return first_known(trace.columns[resource])
