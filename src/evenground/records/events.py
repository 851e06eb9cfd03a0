"""The events of a training (docs/protocol.md): one model per kind, read and judged only here."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import islice, pairwise
from pathlib import Path
from typing import Annotated, Any, Literal, Union

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from evenground.records.faults import SEE_LOG, RecordError, read_bytes
from evenground.validation import first_fault

# 2001-09-09 and 2116-02-20: other clocks and units (milliseconds, time since boot) lie outside.
MIN_UNIX_NS, MAX_UNIX_NS = 10**18, 2**62
# No loss is as large; sums of larger numbers overflow.
MAX_LOSS = 1e100
# Larger integers are not exact in JSON readers that use floats.
MAX_COUNT = 2**53
MAX_EPOCHS = 10_000
# Rounding of an accuracy that an engine computes in float32.
ACCURACY_TOLERANCE = 1e-6
# The names of the events before and after the epochs, in order.
BEFORE_EPOCHS = ["start", "load_start", "load_end", "train_start"]
AFTER_EPOCHS = ["train_end", "evaluate_start", "evaluate_end", "linger_end", "end"]


def _unix_ns(value: int) -> int:
    if not MIN_UNIX_NS <= value < MAX_UNIX_NS:
        raise ValueError(f"{value} is not a current time in nanoseconds since 1970")
    return value


def _loss(value: float) -> float:
    if abs(value) > MAX_LOSS:
        raise ValueError(f"{value:g} is beyond any loss")
    return value


# Functions check these bounds, for readable messages; the schema has to name them again.
UnixNs = Annotated[
    int,
    AfterValidator(_unix_ns),
    Field(json_schema_extra={"minimum": MIN_UNIX_NS, "exclusiveMaximum": MAX_UNIX_NS}),
]
Loss = Annotated[
    float,
    AfterValidator(_loss),
    Field(json_schema_extra={"minimum": -MAX_LOSS, "maximum": MAX_LOSS}),
]
Count = Annotated[int, Field(ge=1, le=MAX_COUNT)]
EpochNumber = Annotated[int, Field(ge=1, le=MAX_EPOCHS)]
Share = Annotated[float, Field(ge=0, le=1)]
Text = Annotated[str, Field(min_length=1, max_length=1000)]
Place = tuple[str, int | None]
"""Name of an event, and its epoch if it has one."""


class _Event(BaseModel):
    """What every event has. Unknown fields are allowed and ignored."""

    # Built when first used: the configuration imports a number from here, in every invocation.
    model_config = ConfigDict(
        strict=True, frozen=True, extra="ignore", allow_inf_nan=False, defer_build=True
    )

    t_unix_ns: UnixNs = Field(
        description="nanoseconds since 1970-01-01T00:00:00Z, read after the device had finished"
    )
    t_mono_ns: Annotated[int, Field(ge=0, lt=MAX_UNIX_NS)] | None = Field(
        default=None,
        description="CLOCK_MONOTONIC of the same moment, if the language can read it: decides"
        " between two possible times if the machine's clock was set back",
    )

    @property
    def place(self) -> Place:
        """Where the event belongs in the order of events."""
        return self.event, getattr(self, "epoch", None)  # type: ignore[attr-defined]


def kind_of(device: str) -> Literal["cpu", "cuda"]:
    """The kind of a device: `cuda:NAME` is a card, of any name."""
    return "cuda" if device.startswith("cuda:") else "cpu"


class Start(_Event):
    """The framework is loaded."""

    event: Literal["start"]
    engine: Text
    versions: dict[str, str] = Field(description="library name: version")
    device: str = Field(pattern=r"^(cpu|cuda:.+)$", max_length=1000)
    options: dict[str, Any] = Field(description="every option of the engine as it took effect")

    @property
    def accelerator(self) -> str:
        """The kind of its device, compared with `Expected.accelerator`."""
        return kind_of(self.device)


class LoadStart(_Event):
    """Before the arrays are read."""

    event: Literal["load_start"]


class LoadEnd(_Event):
    """The arrays are in memory."""

    event: Literal["load_end"]
    train_examples: Count
    test_examples: Count


class TrainStart(_Event):
    """The weights are initialised; nothing has been traced, compiled or trained yet."""

    event: Literal["train_start"]
    seed: int
    epochs: Count
    batch_size: Count
    network: Literal["mlp", "cnn"]
    parameters: Count = Field(description="trained numbers, without moving statistics")


class EpochStart(_Event):
    """An epoch begins; the first is 1."""

    event: Literal["epoch_start"]
    epoch: EpochNumber


class FirstBatchEnd(_Event):
    """The first step's loss is on the host; null if it is not finite."""

    event: Literal["first_batch_end"]
    epoch: Literal[1]
    loss: Loss | None


class EpochEnd(_Event):
    """An epoch is done: mean loss of its steps, share correct in training mode, its examples."""

    event: Literal["epoch_end"]
    epoch: EpochNumber
    loss: Loss | None
    accuracy: Share
    examples: Count = Field(description="those of the full batches")


class TrainEnd(_Event):
    """Nothing of the training is still running."""

    event: Literal["train_end"]


class EvaluateStart(_Event):
    """Before the first test example."""

    event: Literal["evaluate_start"]


class EvaluateEnd(_Event):
    """All test examples are classified."""

    event: Literal["evaluate_end"]
    accuracy: Share
    correct: Annotated[int, Field(ge=0, le=MAX_COUNT)]
    examples: Count


class LingerEnd(_Event):
    """The process has stayed alive for the requested time."""

    event: Literal["linger_end"]
    linger_s: Annotated[float, Field(ge=0, le=1e9)]


class End(_Event):
    """The last line."""

    event: Literal["end"]


Event = Union[  # noqa: UP007  (an alias that pydantic and mypy both read)
    Start,
    LoadStart,
    LoadEnd,
    TrainStart,
    EpochStart,
    FirstBatchEnd,
    EpochEnd,
    TrainEnd,
    EvaluateStart,
    EvaluateEnd,
    LingerEnd,
    End,
]


@cache
def _line() -> TypeAdapter[Event]:
    """What reads a line of an events file."""
    return TypeAdapter(Annotated[Event, Field(discriminator="event")])


@dataclass(frozen=True)
class Expected:
    """The work requested of an engine; None is not checked. Numbers of examples are after limits.

    Each name is that of the field, or property, of the event that reports it.
    """

    epochs: int | None = None
    batch_size: int | None = None
    network: str | None = None
    seed: int | None = None
    train_examples: int | None = None
    test_examples: int | None = None
    parameters: int | None = None
    linger_s: float | None = None
    accelerator: Literal["cpu", "cuda"] | None = None


def json_schema() -> dict[str, Any]:
    """JSON Schema of one line, for engines in other languages."""
    head = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "One line of an engine's events file",
        "description": "docs/protocol.md says when each event is written. Further fields are"
        " allowed.",
    }
    return head | _line().json_schema()


def check_file(path: Path, expected: Expected) -> list[Event]:
    """Read and judge an events file without its samples. Raises RecordError for the first fault.

    `records.times` checks whether the times fit the life of the process, which takes the samples.
    """
    events = read_file(path)
    check_order(events, path)
    _check_rising(events, path)
    check_work(events, expected, path)
    return events


def read_file(path: Path) -> list[Event]:
    """All events of a file. Raises RecordError if it is missing or a line is not an event."""
    return parse_events(read_bytes(path, "incomplete-events"), path)


def parse_events(content: bytes, where: Path) -> list[Event]:
    """Every line of an events file as an event.

    Raises RecordError `broken-events` for the first line that is not an event.
    """
    lines = content.split(b"\n")
    # The last line ends with a line break, too; JSON allows a carriage return before it.
    if lines[-1] == b"":
        lines.pop()
    return [_parse_line(line, where, number) for number, line in enumerate(lines, start=1)]


def _parse_line(line: bytes, where: Path, number: int) -> Event:
    try:
        return _line().validate_json(line)
    except ValidationError as error:
        fix = "write one JSON object per line as docs/protocol.md says, whole, then flush"
        raise RecordError("broken-events", str(first_fault(error)), where, fix, number) from None


def _check_rising(events: Sequence[Event], where: Path) -> None:
    """Raises RecordError `broken-events` for an event that is earlier than the one above it."""
    for line, (above, event) in enumerate(pairwise(events), start=2):
        back_ns = above.t_unix_ns - event.t_unix_ns
        if back_ns > 0:
            what = f"'{event.event}' is {back_ns} ns before the event above it"
            fix = "read the clock when the event happens"
            raise RecordError("broken-events", what, where, fix, line)


def check_order(events: Sequence[Event], where: Path) -> None:
    """Raises RecordError `incomplete-events` unless the events are in the only allowed order.

    The order follows from the number of epochs in `train_start`.
    """
    epochs = 1
    for event in events:
        if isinstance(event, TrainStart):
            epochs = event.epochs
    # One place more than there are events names what is missing, for any number of epochs.
    wanted = list(islice(_order(epochs), len(events) + 1))
    for line, (event, place) in enumerate(zip(events, wanted, strict=False), start=1):
        if event.place != place:
            what = f"{_shown(event.place)} where {_shown(place)} belongs"
            fix = "write every event in its order"
            raise RecordError("incomplete-events", what, where, fix, line)
    if len(events) < len(wanted):
        what = f"they stop before {_shown(wanted[-1])}"
        raise RecordError("incomplete-events", what, where, SEE_LOG)
    if len(events) > len(wanted):
        line = len(wanted) + 1
        fix = "write 'end' last"
        raise RecordError("incomplete-events", "events after 'end'", where, fix, line)


def _order(epochs: int) -> Iterator[Place]:
    """The places of all events."""
    for name in BEFORE_EPOCHS:
        yield name, None
    for epoch in range(1, epochs + 1):
        yield "epoch_start", epoch
        if epoch == 1:
            yield "first_batch_end", 1
        yield "epoch_end", epoch
    for name in AFTER_EPOCHS:
        yield name, None


def _shown(place: Place) -> str:
    name, epoch = place
    if epoch is None:
        return f"'{name}'"
    return f"'{name}' of epoch {epoch}"


def check_work(events: Sequence[Event], expected: Expected, where: Path) -> None:
    """Raises RecordError `wrong-work` for the first difference from the requested work.

    The events must be in their order already.
    """
    for line, what in _wrong_work(events, expected):
        fix = "make the engine follow docs/specification.md"
        raise RecordError("wrong-work", what, where, fix, line)


def _wrong_work(events: Sequence[Event], expected: Expected) -> Iterator[tuple[int, str]]:
    """Line and description of every difference from the requested work."""
    load = next(event for event in events if isinstance(event, LoadEnd))
    start = next(event for event in events if isinstance(event, TrainStart))
    full_batches = load.train_examples - load.train_examples % start.batch_size
    for line, event in enumerate(events, start=1):
        # Fields that an event does not have are not checked.
        for name, value in vars(expected).items():
            done = getattr(event, name, value)
            if value is not None and done != value:
                yield line, f"{name} is {done}, expected {value}"
        if isinstance(event, EpochEnd) and event.examples != full_batches:
            yield line, f"examples is {event.examples}, the full batches hold {full_batches}"
        if isinstance(event, FirstBatchEnd | EpochEnd):
            loss = f"the loss at {_shown(event.place)}"
            if event.loss is None:
                yield line, f"{loss} is not finite"
            elif event.loss < 0:
                yield line, f"{loss} is {event.loss}, and a cross-entropy is never negative"
        if isinstance(event, EvaluateEnd):
            for fault in _evaluation_faults(event, load.test_examples):
                yield line, fault


def _evaluation_faults(event: EvaluateEnd, test_examples: int) -> Iterator[str]:
    examples, correct = event.examples, event.correct
    if examples != test_examples:
        yield f"evaluated on {examples} examples, the test set has {test_examples}"
    difference = abs(event.accuracy - correct / examples)
    if correct > examples or difference > ACCURACY_TOLERANCE:
        yield f"accuracy {event.accuracy} is not {correct} correct of {examples} examples"
