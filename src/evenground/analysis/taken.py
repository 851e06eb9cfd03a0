"""The frame `measures`: every measure of a run under both instruments, as verdicts need it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from evenground.analysis.columns import REASON, number, text
from evenground.analysis.exactness import attainable, resolution
from evenground.analysis.extrapolation import Sample, formula_error
from evenground.analysis.groups import Rows
from evenground.analysis.instruments import INSTRUMENTS, RESOURCES, TRACES, Trace
from evenground.analysis.measures import MEASURES, TIMES, take
from evenground.analysis.seen import Seen
from evenground.records.verdicts import Instrument

# Waiting lowers a mean, but neither a peak nor what a run holds.
LOWERED_BY_WAITS = {("mean", "cpu"), ("mean", "gpu"), ("steady", "cpu"), ("steady", "gpu")}


FRAME = (
    text("instrument", "`corrected` is ours; `as-published` measures as the thesis did."),
    text("measure", "What was measured (docs/instruments.md)."),
    text("resource", "`cpu`, `ram`, `gpu` or `vram`; empty for a time."),
    number("value", "", "In seconds, CPU seconds, percent or bytes, as the measure is."),
    number("without_idle", "", "The same without the run's idle time, if that is known."),
    number("resolution", "", "The step in which it is measured."),
    number("low_attainable", "", "The least that it could have been, whatever the engine did."),
    number("high_attainable", "", "The most that it could have been; may be infinite."),
    number(
        "formula_error",
        "",
        "Relative standard error of the formula that extrapolates a time; 0 for all else.",
    ),
    text("remark", "What is to be known of the value."),
    REASON,
)


def measures_of(seen: Seen, sample: Sample | None) -> Rows:
    """Every measure of a run, as FRAME has it; `sample`: of a training on the first examples."""
    found: Rows = []
    for instrument in INSTRUMENTS:
        trace = replace(TRACES[instrument](seen), sample=sample)
        busy = None
        if trace.idle is not None:
            busy = replace(trace, left_out=trace.idle)
        for measure in MEASURES:
            if measure in TIMES:
                row = _measure(instrument, measure, "", trace, busy)
                if sample is not None:
                    row["formula_error"] = formula_error(sample, seen.run.events)
                found.append(row)
            else:
                for resource in RESOURCES:
                    found.append(_measure(instrument, measure, resource, trace, busy))
    return found


def _measure(
    instrument: Instrument, measure: str, resource: str, trace: Trace, busy: Trace | None
) -> dict[str, object]:
    """One measure of a trace; `busy` is the trace without idle time, None if that is unknown."""
    value, reason = take(measure, trace, resource)
    without_idle = value
    if measure in TIMES or (measure, resource) in LOWERED_BY_WAITS:
        without_idle = np.nan
        if busy is not None:
            without_idle, _ = take(measure, busy, resource)
    step = np.nan
    if not reason:
        step = resolution(measure, trace, resource)
    low, high = attainable(measure, trace, resource)
    return {
        "instrument": instrument,
        "measure": measure,
        "resource": resource,
        "value": value,
        "without_idle": without_idle,
        "resolution": step,
        "low_attainable": low,
        "high_attainable": high,
        "formula_error": 0.0,
        "remark": trace.remarks.get(resource, ""),
        "reason": reason,
    }
