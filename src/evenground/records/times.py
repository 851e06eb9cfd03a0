"""When a run did what: its events on the steady scale of its clock, judged with the samples beside them.

A training is judged by `read_times` when it ends, and read by it ever after: what is finished can be drawn.
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
from evenground.records.faults import Reason, RecordError
from evenground.records.samples import Baseline, Header, parse_clock, parse_header

EVENTS, SAMPLES, HEADER = "events.jsonl", "samples.csv", "samples.json"
MAX_REASON = 1000


@dataclass(frozen=True)
class Epoch:
    """One epoch; loss is the mean over its steps, accuracy the share right in training mode."""

    number: int
    start_ns: int
    end_ns: int
    loss: float
    accuracy: float
    examples: int


@dataclass(frozen=True)
class Moments:
    """The moments of one run in steady nanoseconds, with the accuracy on the test examples (0 to 1).

    Steady time is Unix time as the clock stood at the launch: it never jumps.
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
    """What `samples.json` says of the process and of the columns beside it; steady nanoseconds."""

    launched_ns: int
    exited_ns: int
    rate_hz: float
    missing: dict[str, str]
    periods_s: dict[str, float] = field(default_factory=dict)
    """Columns that were read less often than there are rows."""
    util_window_s: float | None = None
    """What the driver averages GPU use over, the longest of the cards that count; None: not known."""
    not_seen: tuple[str, ...] | None = None
    """What the sampler could not see, in words; None where it did not say."""
    gpu_baseline: Baseline | None = None
    """What the card held and drew before the launch; None where nobody asked, as in older runs."""
    cores: int | None = None
    """CPUs of the machine; None where the sampler did not say."""
    peak_process_rss_bytes: int | None = None
    """The kernel's high-water mark of the largest single process over its whole life."""

    def period_s(self, column: str) -> float:
        """Time between two values of a column."""
        return max(1 / self.rate_hz, self.periods_s.get(column, 0.0))


@dataclass(frozen=True)
class RunTimes:
    """All that is known of the times of one run."""

    moments: Moments
    process: Process
    clock: Clock
    device: str
    """What the engine computed on by its own word: `cpu` or `cuda:NAME`."""


def read_folder(folder: Path, expected: Expected) -> RunTimes:
    """`read_times` of the files in a folder; RecordError also for a file that is not there."""
    return read_times(lambda name: _content(folder / name), folder, expected)


def read_times(content: Callable[[str], bytes], folder: Path, expected: Expected) -> RunTimes:
    """Read and judge the events of a run beside its samples; `content` gives the bytes of a file by its name.

    Raises RecordError for the first fault: of the samples, of a line, of the order, of a time, of the work.
    """
    events = parse_events(content(EVENTS), folder / EVENTS)
    check_order(events, folder / EVENTS)
    header = parse_header(content(HEADER), folder / HEADER)
    clock = parse_clock(content(SAMPLES), header.summary, folder / SAMPLES)
    times_ns = _placed(events, clock, folder / EVENTS)
    check_work(events, expected, folder / EVENTS)
    device = next(event.device for event in events if isinstance(event, Start))
    return RunTimes(_moments(events, times_ns), _process(header, clock), clock, _printable(device))


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        reason: Reason = "incomplete-events" if path.name == EVENTS else "broken-samples"
        fix = "see train.log for what stopped the engine"
        raise RecordError(reason, "the file is missing", path, fix) from None


def _placed(events: Sequence[Event], clock: Clock, where: Path) -> list[int]:
    """Steady times of the events; RecordError where the clock gives none or more than one answer."""
    try:
        return clock.place([Moment(event.t_unix_ns, event.t_mono_ns) for event in events])
    except ClockError as error:
        what = f"'{events[error.index].event}' has no usable time: {error}"
        if not error.was_set:
            fix = (
                "write nanoseconds since 1970 of this machine's clock, read when the event happens"
            )
            raise RecordError("broken-events", what, where, fix, error.index + 1) from None
        what += f" (the machine's clock was set by {_listed(clock)} during the run)"
        fix = "keep the time service from setting the clock during a training"
        raise RecordError("clock-set", what, where, fix, error.index + 1) from None


def _listed(clock: Clock) -> str:
    return ", ".join(f"{step.by_ns / 1e9:+.6g} s" for step in clock.steps)


def _moments(events: Sequence[Event], times_ns: Sequence[int]) -> Moments:
    """The events of one run, which are complete and in order, by their names."""
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
    unseen = header.summary.not_seen
    windows_s = [card.util_window_s for card in header.counted() if card.util_window_s]
    return Process(
        launched_ns=clock.steady_ns(header.summary.launched_mono_ns),
        exited_ns=clock.steady_ns(header.summary.exited_mono_ns),
        rate_hz=header.rate_hz,
        missing=_all_printable(header.missing),
        periods_s={
            name: column.period_s for name, column in header.columns.items() if column.period_s
        },
        util_window_s=max(windows_s, default=None),
        not_seen=None if unseen is None else tuple(map(_printable, unseen)),
        gpu_baseline=_baseline(header),
        peak_process_rss_bytes=header.summary.peak_process_rss_bytes,
        cores=header.machine.cores,
    )


def _baseline(header: Header) -> Baseline | None:
    found = header.gpu_baseline
    return found and found.model_copy(update={"missing": _all_printable(found.missing)})


def _all_printable(reasons: Mapping[str, str]) -> dict[str, str]:
    return {name: _printable(reason) for name, reason in reasons.items()}


def _printable(text: str) -> str:
    """Text of a run as it can stand in a table or a figure."""
    return "".join(sign if sign.isprintable() else " " for sign in text[:MAX_REASON])
