"""One run folder, read into typed records. Every file is checked against the run's manifest first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field, TypeAdapter, ValidationError

from evenground.analysis.index import Index, WantedRun
from evenground.errors import EvengroundError, set_aside
from evenground.files import sha256_bytes, unreadable
from evenground.records.events import MAX_UNIX_NS, Expected
from evenground.records.faults import RecordError
from evenground.records.samples import AGAIN
from evenground.records.times import SAMPLES, Moments, Process, RunTimes, read_times
from evenground.validation import first_fault

if TYPE_CHECKING:
    import pandas as pd

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

TIME, COUNTER = "t_mono_ns", "cpu_s"
# Beyond it sums overflow; no sampler measures such a number.
MAX_NUMBER = 1e100
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
WATCHED = (
    *("missed_slots", "gpu_throttle_reasons", "gpu_foreign_processes", "vram_tree_bytes"),
    *("gpu_age_s", "gpu_energy_j", "gpu_desktop_processes", "gpu_desktop_bytes"),
)


@dataclass(frozen=True)
class Samples:
    """The sampled columns; `t_ns` rises strictly (steady nanoseconds), a missing cell is NaN."""

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


_MANIFEST = TypeAdapter(_Manifest)


@dataclass(frozen=True)
class Run:
    """A finished run: what was wanted, and its folder, whose files are read when first asked for."""

    wanted: WantedRun
    folder: Path
    files: Mapping[str, str]

    @cached_property
    def times(self) -> RunTimes:
        """When it did what; RecordError where its events or samples cannot be read."""
        return read_times(self.content, self.folder, Expected())

    @property
    def events(self) -> Moments:
        """Its moments; RecordError as by `times`."""
        return self.times.moments

    @property
    def process(self) -> Process:
        """Its process; RecordError as by `times`."""
        return self.times.process

    @property
    def device(self) -> str:
        """What its engine says it computed on; RecordError as by `times`."""
        return self.times.device

    def samples(self) -> Samples:
        """`samples.csv`, read anew at each call (it is large); RecordError when it is broken."""
        where = self.folder / SAMPLES
        return parse_samples(self.content(SAMPLES), where, self.times.clock.anchor_ns)

    def content(self, name: str) -> bytes:
        """Bytes of one of its files; EvengroundError where they are not those of the manifest."""
        if name not in self.files:
            raise EvengroundError(
                f"the manifest does not list {name}", str(self.folder), restore_run(self.folder)
            )
        return _checked_content(self.folder / name, self.files[name])


def restore_run(folder: Path) -> str:
    """What to do about a run whose files are not what its manifest says."""
    return f"restore it (as by dvc checkout results/runs), or {set_aside(folder)}"


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
        what = f"broken manifest, {first_fault(error)}"
        raise EvengroundError(what, str(path), restore_run(folder)) from error
    found = manifest.run
    if found.machine != index.machine.class_name:
        raise EvengroundError(
            f"a run of machine class {found.machine} in an index of {index.machine.class_name}",
            str(path),
            "report each machine class by itself; nothing averages over classes",
        )
    same = (wanted.dataset, wanted.engine, wanted.key, wanted.repetition)
    if (found.dataset, found.engine, found.key, found.repetition) != same:
        what = f"the manifest describes another run than {wanted.name}"
        raise EvengroundError(what, str(path), restore_run(folder))
    return Run(wanted, folder, manifest.files)


def _checked_content(path: Path, sha256: str) -> bytes:
    """Bytes of a file whose sha256 must be the recorded one."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise EvengroundError(
            unreadable(path, error), str(path), restore_run(path.parent)
        ) from error
    if sha256_bytes(content) != sha256:
        what = "the file is not the one recorded when the run ended"
        raise EvengroundError(what, str(path), restore_run(path.parent))
    return content


def parse_samples(content: bytes, where: Path, anchor_ns: int = 0) -> Samples:
    """Sampled columns of one run; `anchor_ns` is steady time less monotonic time (`records.clock`).

    Raises RecordError `broken-samples` when they cannot be read or the monotonic clock does not move forward.
    """
    numbers = (COUNTER, *GAUGES, *WATCHED)
    needed = {TIME, COUNTER, *GAUGES}
    frame = _read_columns(content, where, needed, numbers)
    mono_ns = frame[TIME].to_numpy(np.int64)
    columns = {name: frame[name].to_numpy(np.float64) for name in numbers}
    if np.any((mono_ns < 0) | (mono_ns >= MAX_UNIX_NS)):
        raise RecordError("broken-samples", "a time is out of range", where, AGAIN)
    if any(np.any(np.abs(values) > MAX_NUMBER) for values in columns.values()):
        raise RecordError("broken-samples", "a number is out of range", where, AGAIN)
    if np.any(np.diff(mono_ns) <= 0):
        line = int(np.argmax(np.diff(mono_ns) <= 0)) + 3
        raise RecordError("broken-samples", "the clock does not move forward", where, AGAIN, line)
    return Samples(mono_ns + anchor_ns, columns)


def _read_columns(
    content: bytes, where: Path, needed: set[str], numbers: Sequence[str]
) -> pd.DataFrame:
    """The times and `numbers` of a samples file, a column that may be absent as NaN."""
    import pandas as pd  # slow to import, and preflight, which comes by here, reads no samples

    try:
        # A time that is not finite is refused below; the cast's own warning would be a second line.
        with np.errstate(invalid="ignore"):
            frame = pd.read_csv(
                BytesIO(content),
                usecols=lambda name: name in needed or name in WATCHED,
                float_precision="round_trip",
                dtype={TIME: "int64", **dict.fromkeys(numbers, "float64")},
            )
        if absent := sorted(needed - set(frame.columns)):
            raise ValueError(f"no column {', '.join(absent)}")
    except (ValueError, OverflowError, pd.errors.EmptyDataError, pd.errors.ParserError) as error:
        raise RecordError("broken-samples", f"broken samples, {error}", where, AGAIN) from error
    return frame.reindex(columns=[TIME, *numbers])


def unreadable_runs(index: Index) -> dict[WantedRun, RecordError]:
    """The finished runs of an index whose events or samples cannot be read, and why.

    Raises EvengroundError for a manifest or a file that is not the recorded one.
    """
    errors: dict[WantedRun, RecordError] = {}
    for run in read_runs(index):
        try:
            run.samples()
        except RecordError as error:
            errors[run.wanted] = error
    return errors
