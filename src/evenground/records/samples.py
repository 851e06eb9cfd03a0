"""`samples.json` and the clocks of `samples.csv`, as the sidecar writes them (docs/sidecar.md)."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from evenground.records import versions
from evenground.records.clock import Clock, Reading
from evenground.records.events import MAX_UNIX_NS
from evenground.records.faults import RecordError
from evenground.sidecar.columns import COLUMNS
from evenground.validation import first_fault, one_line

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


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True)


class Summary(_Model):
    """What is read of how the measured command went."""

    launched_unix_ns: Nanoseconds
    launched_mono_ns: Nanoseconds
    exited_unix_ns: Nanoseconds
    exited_mono_ns: Nanoseconds
    not_seen: tuple[Text, ...] | None = None
    """What could not be measured as intended, as text; None if the sampler did not record it."""
    peak_process_rss_bytes: Bytes | None = None
    """The kernel's high-water mark of the largest single process over its whole life."""


class Column(_Model):
    """What is read of a column's description."""

    period_s: Annotated[float, Field(ge=0, le=1e6)] = 0.0


class Card(_Model):
    """What is read of a GPU's description."""

    index: int | None = None
    util_window_s: Annotated[float, Field(ge=0)] | None = None


class Baseline(_Model):
    """What the card of the training held and drew before the launch; None if unknown."""

    vram_used_bytes: Bytes | None = None
    power_w: Annotated[float, Field(ge=0, le=1e6, allow_inf_nan=False)] | None = None
    power_from: Literal["counter", "reading"] | None = None
    """From the card's counter of energy, or the driver's own reading."""
    missing: dict[str, Text] = {}


class Machine(_Model):
    """What is read of the machine."""

    cores: Annotated[int, Field(ge=1, le=1_000_000)] | None = None


class Header(_Model):
    """`samples.json`."""

    rate_hz: Annotated[float, Field(ge=1e-6, le=1e6)]
    summary: Summary
    columns: dict[str, Column]
    missing: dict[str, Text]
    """Column -> why the sampler could not measure it."""
    gpus: list[Card] = []
    gpu_card: str | None = None
    """The only card or MIG instance (0/mig1) that counts; None: all do."""
    gpu_baseline: Baseline | None = None
    machine: Machine = Machine()

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


class _Schema(_Model):
    schema_version: int = Field(alias="schema")


def parse_header(content: bytes, where: Path) -> Header:
    """`samples.json` from its bytes.

    Raises RecordError `broken-samples` if it cannot be read or has another schema.
    """
    try:
        schema = _Schema.model_validate_json(content).schema_version
        if schema != versions.SAMPLES:
            what = versions.other_version(schema, versions.SAMPLES)
            raise RecordError("broken-samples", what, where, versions.CONVERT)
        header = Header.model_validate_json(content)
    except ValidationError as error:
        what = f"broken file, {first_fault(error)}"
        raise RecordError("broken-samples", what, where, AGAIN) from error
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
