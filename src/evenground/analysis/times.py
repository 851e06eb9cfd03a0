"""How long a run took: six times with names."""

from __future__ import annotations

import math
from statistics import fmean

from evenground.analysis.columns import names_of, number
from evenground.records.times import Moments, Process

TIMES = (
    number(
        "training_s",
        "s",
        "Start to end of training, compilation inside: the headline, as in the thesis.",
    ),
    number("whole_process_s", "s", "Launch to exit, less the time that it was told to linger."),
    number("first_batch_s", "s", "Start of training until the first batch's result is there."),
    number("steady_s", "s", "From there to the end of training."),
    number("first_epoch_s", "s", "The first epoch, with compilation."),
    number("later_epoch_s", "s", "Mean of the epochs after it; missing if there is only one."),
)
MEASURES = names_of(TIMES)


def run_times(events: Moments, process: Process) -> dict[str, float]:
    """Times of one run in seconds, as TIMES describes them; NaN is missing."""
    # Whole nanoseconds are subtracted before they become seconds: nothing is rounded twice.
    epochs_s = [(epoch.end_ns - epoch.start_ns) / 1e9 for epoch in events.epochs]
    linger_ns = events.linger_end_ns - events.evaluate_end_ns
    later_epoch_s = math.nan
    if len(epochs_s) > 1:
        later_epoch_s = fmean(epochs_s[1:])
    return {
        "training_s": (events.train_end_ns - events.train_start_ns) / 1e9,
        "whole_process_s": (process.exited_ns - process.launched_ns - linger_ns) / 1e9,
        "first_batch_s": (events.first_batch_end_ns - events.train_start_ns) / 1e9,
        "steady_s": (events.train_end_ns - events.first_batch_end_ns) / 1e9,
        "first_epoch_s": epochs_s[0],
        "later_epoch_s": later_epoch_s,
    }
