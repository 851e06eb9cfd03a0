"""`samples.json` and the clocks of `samples.csv`, as the sidecar writes them (docs/sidecar.md)."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, Field

from evenground.errors import EvengroundError
from evenground.records.base import TravellingFields, TravellingRecord
from evenground.records.clock import Clock, Reading
from evenground.records.events import MAX_UNIX_NS
from evenground.records.faults import RecordError
from evenground.sidecar.columns import COLUMNS
from evenground.validation import one_line

CLOCKS = b"t_unix_ns,t_mono_ns,"
TOO_EARLY = "recorded before this column existed"
AGAIN = "the run cannot be used: have it made again, or take it from a copy"
# Reasons are shown in tables and figures.
MAX_REASON = 1000


def _shown(text: str) -> str:
    return one_line(text[:MAX_REASON])


Nanoseconds = Annotated[int, Field(ge=0, lt=MAX_UNIX_NS)]
Bytes = Annotated[int, Field(ge=0, lt=2**63)]
Text = Annotated[str, AfterValidator(_shown)]


class Summary(TravellingFields):
    """How the measured command went. Optional fields are None if the sampler did not record them."""

    launched_unix_ns: Nanoseconds
    launched_mono_ns: Nanoseconds
    exited_unix_ns: Nanoseconds
    exited_mono_ns: Nanoseconds
    exit_code: int | None = None
    """None also if a signal ended it."""
    signal: int | None = None
    timed_out: bool = False
    not_started: str | None = None
    """Why it never ran."""
    rows: int | None = None
    missed_slots: int | None = None
    """Sampling deadlines without a row."""
    cpu_s: float | None = None
    """The kernel's total of all waited-for processes."""
    cgroup_cpu_s: float | None = None
    cgroup_peak_bytes: Bytes | None = None
    max_rss_bytes: Bytes | None = None
    max_pss_bytes: Bytes | None = None
    peak_process_rss_bytes: Bytes | None = None
    """The kernel's high-water mark of the largest single process over its whole life."""
    survivors: int | None = None
    """Processes that outlived the command."""
    not_ended: int | None = None
    not_seen: tuple[Text, ...] | None = None
    """What could not be measured as intended, as text."""
    empty_cells: dict[str, int] | None = None
    """Column -> rows in which a value was due and is missing."""
    sidecar_cpu_s: float
    """The sidecar's own CPU, with the start of its interpreter."""
    sidecar_sampling_cpu_s: float
    """Its share from the command's start to its end."""


class Column(TravellingFields):
    """What a column holds."""

    unit: str | None = None
    source: str | None = None
    period_s: Annotated[float, Field(ge=0, le=1e6)] = 0.0
    """A value comes at most this often; 0 for one in every row."""


class Device(TravellingFields):
    """A card or a MIG instance; None is a value that the driver did not tell."""

    name: str | None = None
    uuid: str | None = None
    memory_total_bytes: Bytes | None = None


class Instance(Device):
    """A MIG instance."""

    card: str | None = None
    """As in 0/mig1."""


class Card(Device):
    """A card; `missing` has the reasons of what is None."""

    index: int | None = None
    mig: list[Instance] = []
    util_window_s: Annotated[float, Field(ge=0)] | None = None
    """Time over which the driver averages the card's use."""
    util_window_reason: str | None = None
    missing: dict[str, Text] = {}


class Baseline(TravellingFields):
    """What the card of the training held and drew before the launch; None if unknown."""

    read_mono_ns: Nanoseconds | None = None
    seconds: float | None = None
    """How long power was looked at."""
    vram_used_bytes: Bytes | None = None
    power_w: Annotated[float, Field(ge=0, le=1e6, allow_inf_nan=False)] | None = None
    power_from: Literal["counter", "reading"] | None = None
    """From the card's counter of energy, or the driver's own reading."""
    missing: dict[str, Text] = {}


class SampledMachine(TravellingFields):
    """The machine."""

    cores: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    memory_bytes: Bytes | None = None


class Header(TravellingRecord):
    """`samples.json` of a command that was measured to its end.

    While it is measured `summary` is null, and after `attach` it has other fields: no run is made
    so.
    """

    WHAT: ClassVar[str] = "header of the samples"
    SCHEMA: ClassVar[int] = 2

    columns: dict[str, Column]
    card_columns: dict[str, Column] = {}
    util_sample_columns: dict[str, Column] = {}
    missing: dict[str, Text]
    """Column -> why it has no values."""
    rate_hz: Annotated[float, Field(ge=1e-6, le=1e6)]
    slot_zero_mono_ns: Nanoseconds | None = None
    gpus: list[Card] = []
    gpu_card: str | None = None
    """The only card or MIG instance (0/mig1) that counts; None: all do."""
    gpu_baseline: Baseline | None = None
    machine: SampledMachine = SampledMachine()
    marks: int | None = None
    """How many; None if no marks were asked for."""
    lacks: list[str] = []
    """What this user or machine does not let the sidecar do."""
    mode: str | None = None
    scheduling: str | None = None
    no_cgroup: str | None = None
    """Why the command had no cgroup of its own."""
    cpu_source: str | None = None
    summary: Summary

    def absent(self) -> dict[str, str]:
        """Column of today's sampler -> why it has no values, if it has none."""
        early = [name for name in COLUMNS if name not in self.columns]
        return dict.fromkeys(early, TOO_EARLY) | self.missing

    def counted(self) -> list[Card]:
        """The cards whose values are in the columns."""
        if self.gpu_card is None:
            return self.gpus
        index, _, _ = self.gpu_card.partition("/")
        return [card for card in self.gpus if str(card.index) == index]


def parse_header(content: bytes, where: Path) -> Header:
    """`samples.json` from its bytes.

    Raises RecordError `broken-samples` if it cannot be read or has another schema.
    """
    try:
        header = Header.from_bytes(content, where, AGAIN)
    except EvengroundError as error:
        raise RecordError("broken-samples", error.what, where, error.fix) from error
    # Everything after relies on a life of the process that is not negative.
    if header.summary.exited_mono_ns < header.summary.launched_mono_ns:
        raise RecordError("broken-samples", "the command ended before it began", where, AGAIN)
    return header


def parse_clock(content: bytes, header: Header, where: Path) -> Clock:
    """The clocks at the launch, in every row of `samples.csv` (`content`) and at the exit.

    Raises RecordError `broken-samples` if a row has no times, or the columns are not `header`'s.
    """
    if not content.startswith(CLOCKS):
        what = f"its columns do not begin with {CLOCKS.decode().rstrip(',')}"
        raise RecordError("broken-samples", what, where, AGAIN)
    summary = header.summary
    readings = [Reading(summary.launched_unix_ns, summary.launched_mono_ns)]
    names, *rows = content.removesuffix(b"\n").split(b"\n")
    if names != ",".join(header.columns).encode():
        what = "its columns are not those that samples.json describes"
        raise RecordError("broken-samples", what, where, AGAIN)
    for line, row in enumerate(rows, start=2):
        readings.append(_reading(row, where, line))
    readings.append(Reading(summary.exited_unix_ns, summary.exited_mono_ns))
    return Clock(readings)


def _reading(row: bytes, where: Path, line: int) -> Reading:
    unix, _, rest = row.partition(b",")
    mono, _, _ = rest.partition(b",")
    # `int` would allow blanks, signs and underscores.
    if not (unix.isdigit() and mono.isdigit() and len(unix) < 20 and len(mono) < 20):
        raise RecordError("broken-samples", "a row without its times", where, AGAIN, line)
    return Reading(int(unix), int(mono))
