"""How long a run took: six times with names."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from statistics import fmean

from evenground.records.times import Moments, Process


@dataclass(frozen=True)
class Times:
    """Times of one run in seconds.

    training_s: start to end of training, compilation inside; the headline, as in the thesis.
    whole_process_s: launch to exit, without the time that the process lingered.
    first_batch_s: start of training until the first batch's result is there.
    steady_s: from there to the end of training.
    first_epoch_s: the first epoch, which compiles.
    later_epoch_s: mean of the epochs after it; NaN if there is only one.
    """

    training_s: float
    whole_process_s: float
    first_batch_s: float
    steady_s: float
    first_epoch_s: float
    later_epoch_s: float


MEASURES = tuple(field.name for field in fields(Times))


def run_times(events: Moments, process: Process) -> Times:
    """Times of one run."""
    # Whole nanoseconds are subtracted before they become seconds: nothing is rounded twice.
    epochs_s = [(epoch.end_ns - epoch.start_ns) / 1e9 for epoch in events.epochs]
    linger_ns = events.linger_end_ns - events.evaluate_end_ns
    later_epoch_s = math.nan
    if len(epochs_s) > 1:
        later_epoch_s = fmean(epochs_s[1:])
    return Times(
        training_s=(events.train_end_ns - events.train_start_ns) / 1e9,
        whole_process_s=(process.exited_ns - process.launched_ns - linger_ns) / 1e9,
        first_batch_s=(events.first_batch_end_ns - events.train_start_ns) / 1e9,
        steady_s=(events.train_end_ns - events.first_batch_end_ns) / 1e9,
        first_epoch_s=epochs_s[0],
        later_epoch_s=later_epoch_s,
    )
