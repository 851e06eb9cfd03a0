"""How long a run took, in six named ways."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import fmean

from evenground.records.times import Moments, Process

MEASURES = (
    "training_s",
    "whole_process_s",
    "first_batch_s",
    "steady_s",
    "first_epoch_s",
    "later_epoch_s",
)


@dataclass(frozen=True)
class Times:
    """Seconds of one run.

    training_s: start to end of training, compilation inside; the headline, as in the thesis.
    whole_process_s: launch to exit, less the time the process was told to linger.
    first_batch_s: start of training until the first batch's result is there.
    steady_s: from there to the end of training.
    first_epoch_s: the first epoch, which compiles.
    later_epoch_s: mean of the epochs after it; NaN where there is one epoch only.
    """

    training_s: float
    whole_process_s: float
    first_batch_s: float
    steady_s: float
    first_epoch_s: float
    later_epoch_s: float


def run_times(events: Moments, process: Process) -> Times:
    """Times of one run; nanoseconds are subtracted as whole numbers before they become seconds."""
    first, *later = [(epoch.end_ns - epoch.start_ns) / 1e9 for epoch in events.epochs]
    linger_ns = events.linger_end_ns - events.evaluate_end_ns
    return Times(
        training_s=(events.train_end_ns - events.train_start_ns) / 1e9,
        whole_process_s=(process.exited_ns - process.launched_ns - linger_ns) / 1e9,
        first_batch_s=(events.first_batch_end_ns - events.train_start_ns) / 1e9,
        steady_s=(events.train_end_ns - events.first_batch_end_ns) / 1e9,
        first_epoch_s=first,
        later_epoch_s=fmean(later) if later else math.nan,
    )
