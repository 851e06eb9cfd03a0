"""The frame `measures`: every measure of a run under both instruments, with all that a verdict asks of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from evenground.analysis.exactness import attainable, resolution
from evenground.analysis.extrapolation import Sample, formula_error
from evenground.analysis.groups import Rows
from evenground.analysis.instruments import INSTRUMENTS, RESOURCES, TRACES, Trace
from evenground.analysis.measures import MEASURES, TIMES, take
from evenground.analysis.seen import Seen

KEYS = ("instrument", "measure", "resource")
NUMBERS = (
    "value",
    "without_idle",
    "resolution",
    "low_attainable",
    "high_attainable",
    "formula_error",
)
COLUMNS = (*KEYS, *NUMBERS, "remark", "reason")
# The means of what a run that waits does not use; a peak or what it holds is the same with its waits.
WITHOUT_WAITS = frozenset({("mean", "cpu"), ("mean", "gpu"), ("steady", "cpu"), ("steady", "gpu")})


def measure_rows(seen: Seen, sample: Sample | None) -> Rows:
    """One row per instrument, measure and resource, named as in COLUMNS; a time has the resource "".

    value: as by `measures.take`, NaN beside a `reason`. without_idle: the same without the time in which the
    run computed nothing; NaN where that is not known. resolution, low_attainable, high_attainable: as by
    `exactness`. formula_error: relative standard error of the formula of a time that is extrapolated, 0 of
    all else. `sample`: of a training on the first examples only.
    """
    rows: Rows = []
    for instrument in INSTRUMENTS:
        trace = replace(TRACES[instrument](seen), sample=sample)
        busy = None if trace.idle is None else replace(trace, left_out=trace.idle)
        for measure, resource in _each():
            named = {"instrument": instrument, "measure": measure, "resource": resource}
            error = formula_error(sample, seen.run.events) if sample and measure in TIMES else 0.0
            rows.append({**named, **_row(measure, resource, trace, busy), "formula_error": error})
    return rows


def _each() -> Iterator[tuple[str, str]]:
    """Every measure with each resource that it is taken of."""
    for measure in MEASURES:
        for resource in ("",) if measure in TIMES else RESOURCES:
            yield measure, resource


def _row(measure: str, resource: str, trace: Trace, busy: Trace | None) -> dict[str, object]:
    """One measure of one trace; `busy` is the same without its idle time, None where that is not known."""
    value, reason = take(measure, trace, resource)
    low, high = attainable(measure, trace, resource)
    without = value
    if measure in TIMES or (measure, resource) in WITHOUT_WAITS:
        without = take(measure, busy, resource)[0] if busy else np.nan
    return {
        "value": value,
        "without_idle": without,
        "resolution": np.nan if reason else resolution(measure, trace, resource),
        "low_attainable": low,
        "high_attainable": high,
        "remark": trace.remarks.get(resource, ""),
        "reason": reason,
    }
