"""What a run was doing when: its phases, from the launch of its process to the exit."""

from __future__ import annotations

from itertools import pairwise

from evenground.analysis.groups import Rows
from evenground.records.times import Moments, Process


def phase_rows(events: Moments, process: Process) -> Rows:
    """What the run was doing when, from launch to exit without a gap; seconds after the start of training.

    load: launch to start of training (start of the interpreter, imports, reading, building);
    first batch: until its result is there, compilation inside; epoch 1: the rest of that epoch;
    after epoch N: until the next epoch starts, or the training ends; before evaluate: until it starts.
    """
    first = events.epochs[0]
    ends = [
        ("load", events.train_start_ns),
        ("first batch", events.first_batch_end_ns),
        (f"epoch {first.number}", first.end_ns),
    ]
    for before, epoch in pairwise(events.epochs):
        ends += [
            (f"after epoch {before.number}", epoch.start_ns),
            (f"epoch {epoch.number}", epoch.end_ns),
        ]
    ends += [
        (f"after epoch {events.epochs[-1].number}", events.train_end_ns),
        ("before evaluate", events.evaluate_start_ns),
        ("evaluate", events.evaluate_end_ns),
        ("linger", events.linger_end_ns),
        ("exit", process.exited_ns),
    ]
    starts_ns = [process.launched_ns, *(end_ns for _, end_ns in ends)]
    zero_ns = events.train_start_ns
    return [
        {"phase": phase, "start_s": (start_ns - zero_ns) / 1e9, "end_s": (end_ns - zero_ns) / 1e9}
        for start_ns, (phase, end_ns) in zip(starts_ns, ends, strict=False)
    ]
