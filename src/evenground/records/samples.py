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
    """How the measured command went. Null, if nothing else is said: it was not recorded."""

    launched_unix_ns: Nanoseconds
    """When the command was started, in nanoseconds since 1970 (UTC)."""
    launched_mono_ns: Nanoseconds
    """The same moment by CLOCK_MONOTONIC, in nanoseconds."""
    exited_unix_ns: Nanoseconds
    """When the command ended, in nanoseconds since 1970 (UTC)."""
    exited_mono_ns: Nanoseconds
    """The same moment by CLOCK_MONOTONIC, in nanoseconds."""
    exit_code: int | None = None
    """Its exit status; null if a signal ended it."""
    signal: int | None = None
    """Number of the signal that ended it, or prevented its start; null without one."""
    timed_out: bool = False
    """Whether it ran past its time limit."""
    not_started: str | None = None
    """Why it never ran; null if it ran."""
    rows: int | None = None
    """How many rows were taken."""
    missed_slots: int | None = None
    """Sampling deadlines without a row."""
    cpu_s: float | None = None
    """CPU of all its processes that were waited for, by the kernel, in seconds."""
    cgroup_cpu_s: float | None = None
    """CPU of all that ran in its cgroup, in seconds; null also without one, or if some left it."""
    cgroup_peak_bytes: Bytes | None = None
    """Most memory in that cgroup at once, with page cache; null also if that is not counted."""
    max_rss_bytes: Bytes | None = None
    """Largest resident memory of any row, summed over its processes; null: no row has it."""
    max_pss_bytes: Bytes | None = None
    """The same of proportional memory: a page that n processes share counts 1/n in each."""
    peak_process_rss_bytes: Bytes | None = None
    """The kernel's high-water mark of the largest single process over its whole life."""
    survivors: int | None = None
    """Processes that outlived the command and were told to end."""
    not_ended: int | None = None
    """Those of them that could not be ended."""
    not_seen: tuple[Text, ...] | None = None
    """What could not be measured as intended, as text."""
    empty_cells: dict[str, int] | None = None
    """Column -> rows in which a value was due and is missing."""
    sidecar_cpu_s: float
    """The sidecar's own CPU, with the start of its interpreter, in seconds."""
    sidecar_sampling_cpu_s: float
    """Its share from the command's start to its end, in seconds."""


class Column(TravellingFields):
    """What a column holds; null: not recorded."""

    unit: str | None = None
    """Unit of its values; `1` for a number of things."""
    source: str | None = None
    """What is read, and how the value is made of it."""
    period_s: Annotated[float, Field(ge=0, le=1e6)] = 0.0
    """A value comes at most this often, in seconds; 0 for one in every row."""


class Device(TravellingFields):
    """A card or a MIG instance; null is a value that the driver did not tell."""

    name: str | None = None
    """Its name, as the driver has it."""
    uuid: str | None = None
    """Its UUID; bundles leave it out."""
    memory_total_bytes: Bytes | None = None
    """All its memory, in bytes."""


class Instance(Device):
    """A MIG instance; the card's `missing` has the reasons of what is null."""

    card: str | None = None
    """Number of its card, and its own: 0/mig1."""


class Card(Device):
    """A card; `missing` has the reasons of what is null."""

    index: int | None = None
    """Its number among the machine's cards, from 0 on."""
    mig: list[Instance] = []
    """Its MIG instances."""
    util_window_s: Annotated[float, Field(ge=0)] | None = None
    """Time over which the driver averages the card's use, in seconds."""
    util_window_reason: str | None = None
    """Why that time is not known; null if it is."""
    missing: dict[str, Text] = {}
    """Field, or column of its rows -> why a value is missing; `0/mig1 name`: of an instance."""


class Baseline(TravellingFields):
    """What the cards that count held and drew before the launch; null: not known."""

    read_mono_ns: Nanoseconds | None = None
    """When their memory was read, by CLOCK_MONOTONIC, in nanoseconds."""
    seconds: float | None = None
    """How long the cards were watched."""
    vram_used_bytes: Bytes | None = None
    """Memory in use on them together, by whomever, in bytes."""
    power_w: Annotated[float, Field(ge=0, le=1e6, allow_inf_nan=False)] | None = None
    """Power that they drew together, in watts."""
    power_from: Literal["counter", "reading"] | None = None
    """`counter`: the cards' counters of energy; `reading`: the driver's own figure."""
    missing: dict[str, Text] = {}
    """Field -> why it is null."""


class SampledMachine(TravellingFields):
    """The machine; null: not recorded."""

    cores: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    """Its hardware threads."""
    memory_bytes: Bytes | None = None
    """Its memory, in bytes."""


class Header(TravellingRecord):
    """`samples.json` of a command that was measured to its end.

    While it is measured `summary` is null, and after `attach` it has other fields: no run is made
    so. Null, if nothing else is said: the command never ran, or an older sidecar did not record it.
    """

    WHAT: ClassVar[str] = "header of the samples"
    SCHEMA: ClassVar[int] = 2

    columns: dict[str, Column]
    """Column of samples.csv -> what it holds, in the order of the file."""
    card_columns: dict[str, Column] = {}
    """The same of samples.cards.csv, with rows of each card and MIG instance."""
    util_sample_columns: dict[str, Column] = {}
    """The same of samples.util.csv, with the driver's own samples of each card's use."""
    missing: dict[str, Text]
    """Column -> why values of it are missing."""
    rate_hz: Annotated[float, Field(ge=1e-6, le=1e6)]
    """Rows in a second."""
    slot_zero_mono_ns: Nanoseconds | None = None
    """When the first row was due, by CLOCK_MONOTONIC, in nanoseconds."""
    gpus: list[Card] = []
    """The NVIDIA cards that the user may read."""
    gpu_card: str | None = None
    """The only card or MIG instance (0/mig1) that counts; null: all do."""
    gpu_baseline: Baseline | None = None
    """What these cards held and drew before the launch; null also if none was watched."""
    machine: SampledMachine = SampledMachine()
    """The machine."""
    marks: int | None = None
    """How many phase marks came; null if none were asked for."""
    lacks: list[str] = []
    """What this user or machine does not let the sidecar do."""
    mode: str | None = None
    """`run`: the sidecar started the command."""
    scheduling: str | None = None
    """How rows are kept in time: `fifo`, `slice` or `slack` (sidecar.md)."""
    no_cgroup: str | None = None
    """Why the command had no cgroup of its own; null also if it had one."""
    cpu_source: str | None = None
    """What `cpu_s` is from: `cgroup`, `processes`, or both if some left the cgroup."""
    summary: Summary
    """How the command went."""

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
