"""When a run did what: its events on one scale of time, checked against its samples.

The same function judges a training when it ends and reads the run later, for tables and figures.
So a run that counts as finished can always be read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from evenground.records.clock import Clock, ClockError, Moment
from evenground.records.events import (
    EpochEnd,
    EvaluateEnd,
    Event,
    Expected,
    Start,
    check_order,
    check_work,
    parse_events,
)
from evenground.records.faults import Reason, RecordError, read_bytes
from evenground.records.samples import Baseline, Header, parse_clock, parse_header
from evenground.validation import one_line

EVENTS, SAMPLES, HEADER = "events.jsonl", "samples.csv", "samples.json"


@dataclass(frozen=True)
class Epoch:
    """One epoch; loss is the mean over its steps, accuracy the share correct in training mode."""

    number: int
    start_ns: int
    end_ns: int
    loss: float
    accuracy: float
    examples: int


@dataclass(frozen=True)
class Moments:
    """The moments of one run in steady nanoseconds, and the accuracy on the test examples.

    Steady time is monotonic time plus a constant, so that it is Unix time at the launch. It never
    jumps when the machine's clock is set.
    """

    train_start_ns: int
    first_batch_end_ns: int
    train_end_ns: int
    evaluate_start_ns: int
    evaluate_end_ns: int
    linger_end_ns: int
    epochs: tuple[Epoch, ...]
    test_accuracy: float


@dataclass(frozen=True)
class Process:
    """The process and the columns of its samples, from `samples.json`; times in steady nanoseconds."""

    launched_ns: int
    exited_ns: int
    rate_hz: float
    missing: dict[str, str]
    """Column -> why it has no values."""
    periods_s: dict[str, float] = field(default_factory=dict)
    """Column -> time between two readings, which may span many rows; 0 for every row."""
    util_window_s: float | None = None
    """Time over which the driver averages GPU use, the longest of the cards; None if unknown."""
    not_seen: tuple[str, ...] | None = None
    """What the sampler could not see, as text; None if it did not record that."""
    gpu_baseline: Baseline | None = None
    """What the card held and drew before the launch; None if that was not measured."""
    cores: int | None = None
    """CPUs of the machine; None if the sampler did not record them."""
    peak_process_rss_bytes: int | None = None
    """The kernel's high-water mark of the largest single process over its whole life."""

    def period_s(self, column: str) -> float:
        """Time between two values of a column."""
        return max(1 / self.rate_hz, self.periods_s.get(column, 0.0))


@dataclass(frozen=True)
class RunTimes:
    """Everything known of the times of one run."""

    moments: Moments
    process: Process
    clock: Clock
    device: str
    """What the engine reports that it computed on: `cpu` or `cuda:NAME`."""


def read_folder(folder: Path, expected: Expected) -> RunTimes:
    """`read_times` for the files in a folder. Raises RecordError, also if a file is missing."""

    def content(name: str) -> bytes:
        # The engine writes the events, the sampler the other files.
        reason: Reason = "incomplete-events" if name == EVENTS else "broken-samples"
        return read_bytes(folder / name, reason)

    return read_times(content, folder, expected)


def read_times(content: Callable[[str], bytes], folder: Path, expected: Expected) -> RunTimes:
    """Read and judge the events of a run with its samples.

    `content` returns a file by its name; `folder` is only named in messages. `expected` is the work
    that the engine was started for. Raises RecordError for a broken file, for events that are
    missing or out of order, have no usable time or report other work.
    """
    # Next comes the order, which also finds missing events: all that follows relies on them.
    events = parse_events(content(EVENTS), folder / EVENTS)
    check_order(events, folder / EVENTS)
    header = parse_header(content(HEADER), folder / HEADER)
    clock = parse_clock(content(SAMPLES), header, folder / SAMPLES)
    times_ns = _placed(events, clock, folder / EVENTS)
    check_work(events, expected, folder / EVENTS)
    device = next(event.device for event in events if isinstance(event, Start))
    return RunTimes(
        moments=_moments(events, times_ns),
        process=_process(header, clock),
        clock=clock,
        device=one_line(device),
    )


def _placed(events: Sequence[Event], clock: Clock, where: Path) -> list[int]:
    """Steady times of the events. Raises RecordError if the clock gives none or several."""
    try:
        return clock.place([Moment(event.t_unix_ns, event.t_mono_ns) for event in events])
    except ClockError as error:
        line = error.index + 1
        what = f"'{events[error.index].event}' has no usable time: {error}"
        if not error.was_set:
            fix = (
                "write nanoseconds since 1970 of this machine's clock, read when the event happens"
            )
            raise RecordError("broken-events", what, where, fix, line) from None
        set_by = ", ".join(f"{step.by_ns / 1e9:+.6g} s" for step in clock.steps)
        what += f" (the machine's clock was set by {set_by} during the run)"
        fix = "keep the time service from setting the clock during a training"
        raise RecordError("clock-set", what, where, fix, line) from None


def _moments(events: Sequence[Event], times_ns: Sequence[int]) -> Moments:
    """The moments of one run from its events, which are complete and in order."""
    at_ns = {event.place: time_ns for event, time_ns in zip(events, times_ns, strict=True)}
    accuracy = next(event.accuracy for event in events if isinstance(event, EvaluateEnd))
    return Moments(
        train_start_ns=at_ns["train_start", None],
        first_batch_end_ns=at_ns["first_batch_end", 1],
        train_end_ns=at_ns["train_end", None],
        evaluate_start_ns=at_ns["evaluate_start", None],
        evaluate_end_ns=at_ns["evaluate_end", None],
        linger_end_ns=at_ns["linger_end", None],
        epochs=tuple(_epoch(event, at_ns) for event in events if isinstance(event, EpochEnd)),
        test_accuracy=accuracy,
    )


def _epoch(ended: EpochEnd, at_ns: Mapping[tuple[str, int | None], int]) -> Epoch:
    # `check_work` has refused a loss that is not finite.
    assert ended.loss is not None
    return Epoch(
        number=ended.epoch,
        start_ns=at_ns["epoch_start", ended.epoch],
        end_ns=at_ns["epoch_end", ended.epoch],
        loss=ended.loss,
        accuracy=ended.accuracy,
        examples=ended.examples,
    )


def _process(header: Header, clock: Clock) -> Process:
    summary = header.summary
    windows_s = [card.util_window_s for card in header.counted() if card.util_window_s]
    return Process(
        launched_ns=clock.steady_ns(summary.launched_mono_ns),
        exited_ns=clock.steady_ns(summary.exited_mono_ns),
        rate_hz=header.rate_hz,
        missing=header.absent(),
        periods_s={name: column.period_s for name, column in header.columns.items()},
        util_window_s=max(windows_s, default=None),
        not_seen=summary.not_seen,
        gpu_baseline=header.gpu_baseline,
        peak_process_rss_bytes=summary.peak_process_rss_bytes,
        cores=header.machine.cores,
    )
