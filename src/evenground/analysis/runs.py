"""One run folder, read into typed records. Every file is checked against the run's manifest first."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from io import BytesIO
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import Field, TypeAdapter, ValidationError

from evenground.analysis.index import Index, WantedRun, first_fault
from evenground.errors import EvengroundError
from evenground.files import sha256_bytes

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

DELETE = "delete this run's folder and call the pipeline again"
COUNTER = "cpu_s"
# Moments beyond it are no times in nanoseconds, and sums of them would not fit 64 bits.
LATEST_NS = 2**62
GAUGES = (
    "rss_bytes",
    "gpu_util_pct",
    "vram_used_bytes",
    "gpu_power_w",
    "machine_used_bytes",
    "free_used_bytes",
    "cpu_since_boot_pct",
)
# What a sampler may not have written, because it is older or has no GPU.
WATCHED = ("missed_slots", "gpu_throttle_reasons", "gpu_foreign_processes")


@dataclass(frozen=True)
class Epoch:
    """One epoch; loss is the mean over its steps, accuracy the share right in training mode."""

    number: int
    start_ns: int
    end_ns: int
    loss: float
    accuracy: float
    images: int | None = None


@dataclass(frozen=True)
class Events:
    """The moments of one run in Unix nanoseconds, with the accuracy on the test images (0 to 1)."""

    load_start_ns: int
    load_end_ns: int
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
    """What `samples.json` says of the process and of the columns beside it."""

    launched_ns: int
    exited_ns: int
    rate_hz: float
    missing: dict[str, str]
    periods_s: dict[str, float] = field(default_factory=dict)
    """Columns that were read less often than there are rows."""
    util_window_s: float | None = None
    """What the driver averages GPU use over, the longest of all cards; None where it is not known."""

    def period_s(self, column: str) -> float:
        """Time between two values of a column."""
        return max(1 / self.rate_hz, self.periods_s.get(column, 0.0))


@dataclass(frozen=True)
class Samples:
    """The sampled columns; `t_ns` rises strictly (Unix nanoseconds), a missing cell is NaN."""

    t_ns: Ints
    columns: dict[str, Floats]


@dataclass(frozen=True)
class _ManifestRun:
    machine: str
    dataset: str
    engine: str
    key: str
    repetition: int


@dataclass(frozen=True)
class _Manifest:
    schema_version: Annotated[Literal[1], Field(validation_alias="schema")]
    run: _ManifestRun
    files: dict[str, str]


@dataclass(frozen=True)
class _Summary:
    launched_unix_ns: Annotated[int, Field(ge=0, lt=LATEST_NS)]
    exited_unix_ns: Annotated[int, Field(ge=0, lt=LATEST_NS)]


@dataclass(frozen=True)
class _Column:
    period_s: Annotated[float, Field(ge=0)] = 0.0


@dataclass(frozen=True)
class _Card:
    util_window_s: Annotated[float, Field(ge=0)] | None = None


@dataclass(frozen=True)
class _SamplesInfo:
    schema_version: Annotated[Literal[1], Field(validation_alias="schema")]
    rate_hz: Annotated[float, Field(gt=0)]
    summary: _Summary
    columns: dict[str, _Column]
    missing: dict[str, str]
    gpus: list[_Card] = field(default_factory=list)


_MANIFEST, _SAMPLES_INFO = TypeAdapter(_Manifest), TypeAdapter(_SamplesInfo)


@dataclass(frozen=True)
class Run:
    """A finished run: what was wanted, and its folder, whose files are read when first asked for."""

    wanted: WantedRun
    folder: Path
    files: Mapping[str, str]

    @cached_property
    def events(self) -> Events:
        """`events.jsonl`; EvengroundError when it is broken or incomplete."""
        return parse_events(self.content("events.jsonl"), self.folder / "events.jsonl")

    @cached_property
    def process(self) -> Process:
        """`samples.json`; EvengroundError when it is broken."""
        path, content = self.folder / "samples.json", self.content("samples.json")
        try:
            info = _SAMPLES_INFO.validate_json(content)
        except ValidationError as error:
            raise EvengroundError(f"broken file, {first_fault(error)}", str(path), DELETE) from error
        launched_ns, exited_ns = info.summary.launched_unix_ns, info.summary.exited_unix_ns
        if not launched_ns <= self.events.load_start_ns <= self.events.linger_end_ns <= exited_ns:
            raise EvengroundError("the clock was set during the run", str(path), DELETE)
        periods_s = {name: column.period_s for name, column in info.columns.items() if column.period_s}
        window_s = max((card.util_window_s for card in info.gpus if card.util_window_s), default=None)
        return Process(launched_ns, exited_ns, info.rate_hz, info.missing, periods_s, window_s)

    def samples(self) -> Samples:
        """`samples.csv`, read anew at each call (it is large); EvengroundError when it is broken."""
        return parse_samples(self.content("samples.csv"), self.folder / "samples.csv")

    def content(self, name: str) -> bytes:
        """Bytes of one of its files; EvengroundError where they are not those of the manifest."""
        if name not in self.files:
            raise EvengroundError(f"the manifest does not list {name}", str(self.folder), DELETE)
        return _checked_content(self.folder / name, self.files[name])


def read_runs(index: Index) -> list[Run]:
    """Every finished run of the index, in its order. EvengroundError when a manifest is not as recorded."""
    return [_open_run(index, wanted) for wanted in index.finished]


def _open_run(index: Index, wanted: WantedRun) -> Run:
    """Check the manifest of one run against the index."""
    folder = index.root / str(wanted.path)
    path = folder / "manifest.json"
    content = _checked_content(path, str(wanted.manifest_sha256))
    try:
        manifest = _MANIFEST.validate_json(content)
    except ValidationError as error:
        raise EvengroundError(f"broken manifest, {first_fault(error)}", str(path), DELETE) from error
    found = manifest.run
    if found.machine != index.machine.class_name:
        raise EvengroundError(
            f"a run of machine class {found.machine} in an index of {index.machine.class_name}",
            str(path),
            "report each machine class by itself; nothing averages over classes",
        )
    same = (wanted.dataset, wanted.engine, wanted.key, wanted.repetition)
    if (found.dataset, found.engine, found.key, found.repetition) != same:
        raise EvengroundError(f"the manifest describes another run than {wanted.name}", str(path), DELETE)
    return Run(wanted, folder, manifest.files)


def _checked_content(path: Path, sha256: str) -> bytes:
    """Bytes of a file whose sha256 must be the recorded one."""
    try:
        content = path.read_bytes()
    except OSError as error:
        what = "the file is missing" if isinstance(error, FileNotFoundError) else f"cannot read it: {error}"
        raise EvengroundError(what, str(path), DELETE) from error
    if sha256_bytes(content) != sha256:
        raise EvengroundError("the file is not the one recorded when the run ended", str(path), DELETE)
    return content


def parse_events(content: bytes, where: Path) -> Events:
    """Events of one finished run; EvengroundError when one is missing, broken or the clock goes back."""
    rows = _event_rows(content, where)
    once = {row["event"]: row for row in rows}
    try:
        times = {
            f"{name}_ns": int(once[name]["t_unix_ns"])
            for name in (
                "load_start",
                "load_end",
                "train_start",
                "first_batch_end",
                "train_end",
                "evaluate_start",
                "evaluate_end",
                "linger_end",
            )
        }
        epochs = _epochs(rows)
        return Events(**times, epochs=epochs, test_accuracy=_number(once["evaluate_end"]["accuracy"]))
    except (KeyError, TypeError, ValueError) as error:
        raise EvengroundError(f"incomplete events, no usable {error}", str(where), DELETE) from error


def _event_rows(content: bytes, where: Path) -> list[dict[str, Any]]:
    """The lines as dictionaries, each with an event name and a clock that never goes back."""
    rows: list[dict[str, Any]] = []
    last_ns = 0
    for number, line in enumerate(content.splitlines(), start=1):
        try:
            row = json.loads(line)
            t_ns = int(row["t_unix_ns"])
            row["event"].encode()
            if not 0 <= t_ns < LATEST_NS:
                raise ValueError("no time in nanoseconds")
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise EvengroundError(f"line {number} is no event", str(where), DELETE) from error
        if t_ns < last_ns:
            raise EvengroundError(f"the clock goes back in line {number}", str(where), DELETE)
        last_ns = t_ns
        rows.append(row)
    return rows


def _epochs(rows: list[dict[str, Any]]) -> tuple[Epoch, ...]:
    """The epochs in order; KeyError when one has a start or an end only, or when there is none."""
    starts = {row["epoch"]: int(row["t_unix_ns"]) for row in rows if row["event"] == "epoch_start"}
    ends = {row["epoch"]: row for row in rows if row["event"] == "epoch_end"}
    if not starts or starts.keys() != ends.keys():
        raise KeyError("epoch_end")
    return tuple(
        Epoch(
            k,
            starts[k],
            int(end["t_unix_ns"]),
            _number(end["loss"]),
            _number(end["accuracy"]),
            int(end["images"]) if "images" in end else None,
        )
        for k, end in sorted(ends.items())
    )


def _number(value: object) -> float:
    """A measured number; null (a loss that is no number any more) is NaN, anything else a ValueError."""
    if value is None:
        return math.nan
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"number in {value!r}")
    return float(value)


def parse_samples(content: bytes, where: Path) -> Samples:
    """Sampled columns of one run; EvengroundError when unreadable or when the clock goes back."""
    needed = {"t_unix_ns", COUNTER, *GAUGES}
    numbers = (COUNTER, *GAUGES, *WATCHED)
    try:
        frame = pd.read_csv(
            BytesIO(content),
            usecols=lambda name: name in needed or name in WATCHED,
            float_precision="round_trip",
            dtype={"t_unix_ns": "int64", **dict.fromkeys(numbers, "float64")},
        )
        if lacking := sorted(needed - set(frame.columns)):
            raise ValueError(f"no column {', '.join(lacking)}")
    except (ValueError, pd.errors.EmptyDataError, pd.errors.ParserError) as error:
        raise EvengroundError(f"broken samples, {error}", str(where), DELETE) from error
    t_ns = frame["t_unix_ns"].to_numpy(np.int64)
    if np.any(np.diff(t_ns) <= 0):
        row = int(np.argmax(np.diff(t_ns) <= 0)) + 3
        raise EvengroundError(f"the clock does not move forward at line {row}", str(where), DELETE)
    absent = np.full(t_ns.size, np.nan)
    return Samples(t_ns, {n: frame[n].to_numpy(np.float64) if n in frame else absent for n in numbers})
