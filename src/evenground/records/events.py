"""The events of a training (docs/protocol.md): one model a kind, read and judged here and nowhere else."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from evenground.records.faults import RecordError
from evenground.validation import first_fault

# 2001-09-09 and 2116-02-20: other clocks and other units (milliseconds, time since boot) lie outside.
MIN_UNIX_NS, MAX_UNIX_NS = 10**18, 2**62
# No loss is as large; sums of larger numbers overflow.
MAX_LOSS = 1e100
MAX_COUNT = 2**53
MAX_EPOCHS = 10_000
# Rounding of an accuracy that an engine computes in float32.
ACCURACY_TOLERANCE = 1e-6


def _unix_ns(value: int) -> int:
    """Refuse what is no time of today's in nanoseconds since 1970."""
    if not MIN_UNIX_NS <= value < MAX_UNIX_NS:
        raise ValueError(f"{value} is no time of today's in nanoseconds since 1970")
    return value


def _loss(value: float) -> float:
    """Refuse a number that no loss has."""
    if abs(value) > MAX_LOSS:
        raise ValueError(f"{value:g} is beyond any loss")
    return value


# Bounds are checked by functions, whose messages can be read, and told to the schema beside them.
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


class _Event(BaseModel):
    """What every event has. Fields that a model does not know are allowed, and not read."""

    model_config = ConfigDict(strict=True, frozen=True, extra="ignore", allow_inf_nan=False)

    t_unix_ns: UnixNs = Field(
        description="nanoseconds since 1970-01-01T00:00:00Z, read after the device had finished"
    )
    t_mono_ns: Annotated[int, Field(ge=0, lt=MAX_UNIX_NS)] | None = Field(
        default=None,
        description="CLOCK_MONOTONIC of the same moment, where the language can read it: tells which of two "
        "times is meant where the machine's clock was set back",
    )

    @property
    def place(self) -> tuple[str, int | None]:
        """What the order of events is checked by: the name, and the epoch where there is one."""
        return self.event, getattr(self, "epoch", None)  # type: ignore[attr-defined]


def kind_of(device: str) -> Literal["cpu", "cuda"]:
    """`cuda:NAME` is a card, whatever its name."""
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
        """What its device is one of."""
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
    """The weights are initialised, and nothing is traced, compiled or trained yet."""

    event: Literal["train_start"]
    seed: int
    epochs: Count
    batch_size: Count
    network: Literal["mlp", "cnn"]
    parameters: Count = Field(description="trained numbers, moving statistics not among them")


class CompileStart(_Event):
    """A compilation begins; optional."""

    event: Literal["compile_start"]


class CompileEnd(_Event):
    """That compilation is done."""

    event: Literal["compile_end"]


class EpochStart(_Event):
    """An epoch begins; the first is 1."""

    event: Literal["epoch_start"]
    epoch: EpochNumber


class FirstBatchEnd(_Event):
    """The first step's loss is on the host; null where it is not finite."""

    event: Literal["first_batch_end"]
    epoch: Literal[1]
    loss: Loss | None


class EpochEnd(_Event):
    """An epoch is done: the mean loss of its steps, the share correct in training mode, its examples."""

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
    """The process has stayed alive for as long as it was asked to."""

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
    CompileStart,
    CompileEnd,
    EpochStart,
    FirstBatchEnd,
    EpochEnd,
    TrainEnd,
    EvaluateStart,
    EvaluateEnd,
    LingerEnd,
    End,
]
KINDS = get_args(Event)
_LINE: TypeAdapter[Event] = TypeAdapter(Annotated[Event, Field(discriminator="event")])


@dataclass(frozen=True)
class Expected:
    """The work an engine was asked to do; None is not checked. Numbers of examples are after the limits."""

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
        "description": "docs/protocol.md says when each event is written. Further fields are allowed.",
    }
    return head | _LINE.json_schema()


def check_file(path: Path, expected: Expected) -> list[Event]:
    """Read and judge an events file by itself; RecordError for the first fault.

    Whether its times fit the life of the process is judged with the samples beside it (`records.times`).
    """
    events = read_file(path)
    check_order(events, path)
    check_rising([event.t_unix_ns for event in events], events, path)
    check_work(events, expected, path)
    return events


def read_file(path: Path) -> list[Event]:
    """All events of a file; RecordError where there is none or a line is no event."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        what, fix = "the engine wrote no events", "see train.log for what stopped it"
        raise RecordError("incomplete-events", what, path, fix) from None
    return parse_events(content, path)


def parse_events(content: bytes, where: Path) -> list[Event]:
    """Every line of an events file as an event; RecordError `broken-events` for the first that is none."""
    lines = content.split(b"\n")
    # The last line ends with a line break, too; JSON allows a carriage return before it.
    if lines[-1] == b"":
        lines.pop()
    return [_parse_line(line, where, number) for number, line in enumerate(lines, start=1)]


def _parse_line(line: bytes, where: Path, number: int) -> Event:
    try:
        return _LINE.validate_json(line)
    except ValidationError as error:
        fix = "write one JSON object per line as docs/protocol.md says, whole, then flush"
        raise RecordError("broken-events", str(first_fault(error)), where, fix, number) from None


def check_rising(times_ns: Sequence[int], events: Sequence[Event], where: Path) -> None:
    """RecordError `broken-events` for an event that is earlier than the one above it."""
    for index in range(1, len(times_ns)):
        back_ns = times_ns[index - 1] - times_ns[index]
        if back_ns > 0:
            what = f"'{events[index].event}' is {back_ns} ns before the event above it"
            fix = "read the clock when the event happens"
            raise RecordError("broken-events", what, where, fix, index + 1)


def check_order(events: Sequence[Event], where: Path) -> None:
    """RecordError `incomplete-events` unless the events stand in the one order there is.

    It follows from the number of epochs that `train_start` names.
    """
    promised = next((event.epochs for event in events if isinstance(event, TrainStart)), 1)
    found = [
        (line, event)
        for line, event in enumerate(events, start=1)
        if not isinstance(event, CompileStart | CompileEnd)
    ]
    # One more than there are: enough to name what is missing, however many epochs are promised.
    wanted = list(islice(_order(promised), len(found) + 1))
    for (line, event), place in zip(found, wanted, strict=False):
        if event.place != place:
            what = f"{_shown(*event.place)} where {_shown(*place)} belongs"
            raise RecordError(
                "incomplete-events", what, where, "write every event in its order", line
            )
    if len(found) < len(wanted):
        what = f"they stop before {_shown(*wanted[len(found)])}"
        raise RecordError(
            "incomplete-events", what, where, "see train.log for what stopped the engine"
        )
    if len(found) > len(wanted):
        line = found[len(wanted)][0]
        raise RecordError(
            "incomplete-events", "events after 'end'", where, "write 'end' last", line
        )
    _check_compile(events, where)


def _order(epochs: int) -> Iterator[tuple[str, int | None]]:
    yield from ((name, None) for name in ("start", "load_start", "load_end", "train_start"))
    for epoch in range(1, epochs + 1):
        yield "epoch_start", epoch
        if epoch == 1:
            yield "first_batch_end", 1
        yield "epoch_end", epoch
    yield from (
        (name, None)
        for name in ("train_end", "evaluate_start", "evaluate_end", "linger_end", "end")
    )


def _shown(name: str, epoch: int | None) -> str:
    return f"'{name}'" if epoch is None else f"'{name}' of epoch {epoch}"


def _check_compile(events: Sequence[Event], where: Path) -> None:
    """Compile events are optional; they come in pairs, after `train_start` and before the first result."""
    allowed, compiling = False, False
    for line, event in enumerate(events, start=1):
        if isinstance(event, CompileStart | CompileEnd):
            begins = isinstance(event, CompileStart)
            if not allowed or begins == compiling:
                what = f"'{event.event}' out of place"
                fix = "write it in pairs between train_start and first_batch_end"
                raise RecordError("incomplete-events", what, where, fix, line)
            compiling = begins
        elif isinstance(event, TrainStart):
            allowed = True
        elif isinstance(event, FirstBatchEnd):
            allowed = False
            if compiling:
                what, fix = (
                    "'compile_start' without its end",
                    "write 'compile_end' before 'first_batch_end'",
                )
                raise RecordError("incomplete-events", what, where, fix, line)


def check_work(events: Sequence[Event], expected: Expected, where: Path) -> None:
    """RecordError `wrong-work` for the first thing done otherwise than asked; the order is right already."""
    for line, what in _wrong_work(events, expected):
        raise RecordError(
            "wrong-work", what, where, "make the engine follow docs/specification.md", line
        )


def _wrong_work(events: Sequence[Event], expected: Expected) -> Iterator[tuple[int, str]]:
    """Line and description of everything that was done otherwise than asked."""
    load = next(event for event in events if isinstance(event, LoadEnd))
    start = next(event for event in events if isinstance(event, TrainStart))
    full_batches = load.train_examples - load.train_examples % start.batch_size
    for line, event in enumerate(events, start=1):
        for name, value in vars(expected).items():
            done = getattr(event, name, value)
            if value is not None and done != value:
                yield line, f"{name} is {done}, asked was {value}"
        if isinstance(event, EpochEnd) and event.examples != full_batches:
            yield line, f"examples is {event.examples}, the full batches hold {full_batches}"
        if isinstance(event, FirstBatchEnd | EpochEnd):
            loss = f"the loss at {_shown(*event.place)}"
            yield from ((line, f"{loss} {fault}") for fault in _of_loss(event.loss))
        if isinstance(event, EvaluateEnd):
            yield from ((line, fault) for fault in _of_evaluation(event, load.test_examples))


def _of_loss(loss: float | None) -> Iterator[str]:
    if loss is None:
        yield "is not finite"
    elif loss < 0:
        yield f"is {loss}, and a cross-entropy is never negative"


def _of_evaluation(event: EvaluateEnd, test_examples: int) -> Iterator[str]:
    if event.examples != test_examples:
        yield f"evaluated on {event.examples} examples, the test set has {test_examples}"
    share = event.correct / event.examples
    if event.correct > event.examples or abs(event.accuracy - share) > ACCURACY_TOLERANCE:
        yield f"accuracy {event.accuracy} is not {event.correct} correct of {event.examples} examples"
