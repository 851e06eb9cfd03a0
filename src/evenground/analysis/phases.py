"""The phases of a run, from the launch of its process to the exit."""

from __future__ import annotations

from dataclasses import dataclass

from evenground.records.times import Moments, Process


@dataclass(frozen=True)
class Phase:
    """One phase; seconds after the start of training."""

    name: str
    start_s: float
    end_s: float


def phases_of(events: Moments, process: Process) -> list[Phase]:
    """All phases of a run in order, without a gap between them.

    load: launch to start of training (start of the interpreter, imports, reading, building);
    first batch: until its result is there, compilation inside; epoch 1: the rest of that epoch;
    after epoch N: until the next epoch starts, or the training ends; before evaluate: until it
    starts.
    """
    ends_ns = [("load", events.train_start_ns), ("first batch", events.first_batch_end_ns)]
    next_starts_ns = [epoch.start_ns for epoch in events.epochs[1:]] + [events.train_end_ns]
    # The time after an epoch is microseconds long in one engine, and seconds in another.
    for epoch, next_start_ns in zip(events.epochs, next_starts_ns, strict=True):
        ends_ns.append((f"epoch {epoch.number}", epoch.end_ns))
        ends_ns.append((f"after epoch {epoch.number}", next_start_ns))
    ends_ns += [
        ("before evaluate", events.evaluate_start_ns),
        ("evaluate", events.evaluate_end_ns),
        ("linger", events.linger_end_ns),
        ("exit", process.exited_ns),
    ]
    zero_ns = events.train_start_ns
    phases = []
    start_ns = process.launched_ns
    for name, end_ns in ends_ns:
        start_s, end_s = (start_ns - zero_ns) / 1e9, (end_ns - zero_ns) / 1e9
        phases.append(Phase(name=name, start_s=start_s, end_s=end_s))
        start_ns = end_ns
    return phases
