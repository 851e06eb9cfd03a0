"""Reading and judging the events an engine wrote (docs/protocol.md)."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import islice, pairwise
from pathlib import Path
from typing import Any, Literal

from jsonschema import Draft202012Validator

from evenground.errors import EvengroundError

Reason = Literal["broken-events", "incomplete-events", "wrong-work"]
COMPILE = ("compile_start", "compile_end")


@dataclass(frozen=True)
class Event:
    """One line of an events file. `fields` has all of it; `line` counts from 1."""

    name: str
    t_unix_ns: int
    fields: dict[str, Any]
    line: int

    @property
    def place(self) -> tuple[str, int | None]:
        """What the order of events is checked by: the name, and the epoch where there is one."""
        return self.name, self.fields.get("epoch")


@dataclass(frozen=True)
class Expected:
    """The work an engine was asked to do; None is not checked. `train_images` is after `--train-limit`."""

    epochs: int | None = None
    batch_size: int | None = None
    network: str | None = None
    seed: int | None = None
    train_images: int | None = None
    test_images: int | None = None
    parameters: int | None = None
    linger_s: float | None = None


class EventsError(EvengroundError):
    """An events file that does not count. `reason` is the run's outcome: what a line is not (broken),
    what is not there or not in its place (incomplete), or what was done instead (wrong work)."""

    def __init__(self, reason: Reason, what: str, path: Path, line: int | None, todo: str) -> None:
        super().__init__(what, f"{path}, line {line}" if line else str(path), todo)
        self.reason: Reason = reason


def check_events(path: Path, expected: Expected) -> list[Event]:
    """Read `path` and validate it; EventsError with its reason otherwise."""
    events = read_events(path)
    validate(events, expected, path)
    return events


def read_events(path: Path) -> list[Event]:
    """All events of a file, each line checked against the schema; EventsError `broken-events` otherwise."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        what, todo = "the engine wrote no events", "see train.log for what stopped it"
        raise EventsError("incomplete-events", what, path, None, todo) from None
    except UnicodeDecodeError as error:
        raise EventsError("broken-events", f"not UTF-8: {error.reason}", path, None, "write UTF-8") from None
    return [_event(text, path, number) for number, text in enumerate(lines, start=1)]


def _event(text: str, path: Path, line: int) -> Event:
    try:
        content = json.loads(text, parse_constant=_refuse_constant)
    except ValueError as error:
        what, todo = f"not a JSON line: {error}", "write one JSON object per line, whole, then flush"
        raise EventsError("broken-events", what, path, line, todo) from None
    wrong = min(_schema().iter_errors(content), key=lambda error: len(error.absolute_path), default=None)
    if wrong:
        field = ".".join(map(str, wrong.absolute_path))
        what = f"{field}: {wrong.message}" if field else wrong.message
        raise EventsError("broken-events", what, path, line, "follow docs/protocol.md")
    return Event(content["event"], content["t_unix_ns"], content, line)


def _refuse_constant(name: str) -> None:
    raise ValueError(f"JSON has no {name}, write null")


@cache
def _schema() -> Draft202012Validator:
    return Draft202012Validator(json.loads(Path(__file__).with_name("events.schema.json").read_text("utf-8")))


def validate(events: Sequence[Event], expected: Expected, path: Path) -> None:
    """Check times, order, completeness, then the work; EventsError with its reason for the first fault."""
    _check_times(events, path)
    _check_order(events, path)
    for line, what in _wrong_work({event.name: event for event in events}, events, expected):
        raise EventsError("wrong-work", what, path, line, "make the engine follow docs/specification.md")


def _check_times(events: Sequence[Event], path: Path) -> None:
    for earlier, later in pairwise(events):
        if later.t_unix_ns < earlier.t_unix_ns:
            what = f"'{later.name}' is {earlier.t_unix_ns - later.t_unix_ns} ns before the event above it"
            todo = "read the clock when the event happens; was the machine's clock set meanwhile?"
            raise EventsError("broken-events", what, path, later.line, todo)


def _check_order(events: Sequence[Event], path: Path) -> None:
    """Compare with the one order there is for the number of epochs that `train_start` names."""
    started = next((event for event in events if event.name == "train_start"), None)
    found = [event for event in events if event.name not in COMPILE]
    wanted = list(islice(_order(started.fields["epochs"] if started else 1), len(found) + 1))
    for event, place in zip(found, wanted, strict=False):
        if event.place != place:
            what = f"{_shown(*event.place)} where {_shown(*place)} belongs"
            raise EventsError("incomplete-events", what, path, event.line, "write every event in its order")
    if len(found) != len(wanted):
        more = len(found) > len(wanted)
        line = found[len(wanted)].line if more else None
        what = "events after 'end'" if more else f"they stop before {_shown(*wanted[len(found)])}"
        raise EventsError("incomplete-events", what, path, line, "see train.log for what stopped the engine")
    _check_compile(events, path)


def _order(epochs: int) -> Iterator[tuple[str, int | None]]:
    yield from ((name, None) for name in ("start", "load_start", "load_end", "train_start"))
    for epoch in range(1, epochs + 1):
        yield "epoch_start", epoch
        if epoch == 1:
            yield "first_batch_end", 1
        yield "epoch_end", epoch
    for name in ("train_end", "evaluate_start", "evaluate_end", "linger_end", "end"):
        yield name, None


def _shown(name: str, epoch: int | None) -> str:
    return f"'{name}'" if epoch is None else f"'{name}' of epoch {epoch}"


def _check_compile(events: Sequence[Event], path: Path) -> None:
    """Compile events are optional; they come in pairs, after `train_start` and before the first result."""
    inside, expected = False, 0
    for event in events:
        if event.name in ("train_start", "first_batch_end"):
            inside = event.name == "train_start"
        if event.name in COMPILE and (not inside or event.name != COMPILE[expected]):
            what = f"'{event.name}' out of place"
            todo = "write it in pairs between train_start and first_batch_end"
            raise EventsError("incomplete-events", what, path, event.line, todo)
        expected = 1 - expected if event.name in COMPILE else expected
        if event.name == "first_batch_end" and expected:
            what, todo = "'compile_start' without its end", "write 'compile_end' before 'first_batch_end'"
            raise EventsError("incomplete-events", what, path, event.line, todo)


def _wrong_work(
    by_name: dict[str, Event], events: Sequence[Event], expected: Expected
) -> Iterator[tuple[int, str]]:
    """Line and description of everything done otherwise than asked. `by_name` has the last of each name."""
    load, start = by_name["load_end"], by_name["train_start"]
    for event, names in (
        (load, ("train_images", "test_images")),
        (start, ("epochs", "batch_size", "network", "seed", "parameters")),
        (by_name["linger_end"], ("linger_s",)),
    ):
        for name in names:
            asked = getattr(expected, name)
            if asked is not None and event.fields[name] != asked:
                yield event.line, f"{name} is {event.fields[name]}, asked was {asked}"

    batch_size, train_images = start.fields["batch_size"], load.fields["train_images"]
    whole = train_images - train_images % batch_size
    for event in events:
        if event.name == "epoch_end" and event.fields["images"] != whole:
            yield event.line, f"images is {event.fields['images']}, the full batches hold {whole}"
        loss = event.fields.get("loss", 0.0)
        if loss is None or not math.isfinite(loss):
            yield event.line, f"the loss at {_shown(*event.place)} is not finite"
    yield from _wrong_evaluation(by_name["evaluate_end"], load.fields["test_images"])


def _wrong_evaluation(event: Event, test_images: int) -> Iterator[tuple[int, str]]:
    images, hits, accuracy = (event.fields[name] for name in ("images", "hits", "accuracy"))
    if images != test_images:
        yield event.line, f"evaluated on {images} images, the test set has {test_images}"
    if hits > images or abs(accuracy - hits / images) > 1e-6:
        yield event.line, f"accuracy {accuracy} is not {hits} hits of {images} images"
