"""A run directory read into typed records, each file checked against the run's manifest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from evenground.errors import EvengroundError, set_aside
from evenground.files import sha256_bytes, unreadable
from evenground.records.events import MAX_UNIX_NS, Expected
from evenground.records.faults import RecordError
from evenground.records.index import Condition, Index, WantedRun
from evenground.records.manifest import MANIFEST, Manifest
from evenground.records.samples import AGAIN
from evenground.records.times import SAMPLES, Moments, Process, RunTimes, read_times

if TYPE_CHECKING:
    import pandas as pd

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

TIME = "t_mono_ns"
# CPU seconds of all processes of the run since the launch: use is a difference of it.
COUNTER = "cpu_s"
# Larger numbers overflow in sums; no sampler measures one.
MAX_NUMBER = 1e100
# Momentary values, each on the grid of time.
GAUGES = (
    "rss_bytes",
    "gpu_util_pct",
    "vram_used_bytes",
    "gpu_power_w",
    "machine_used_bytes",
    "free_used_bytes",
    "cpu_since_boot_pct",
)
# What the gates and single measures take from the samples.
WATCHED = (
    "missed_slots",
    "gpu_throttle_reasons",
    "gpu_foreign_processes",
    "vram_tree_bytes",
    "gpu_age_s",
    "gpu_energy_j",
    "gpu_desktop_processes",
    "gpu_desktop_bytes",
)
NUMBERS = (COUNTER,) + GAUGES + WATCHED


@dataclass(frozen=True)
class Samples:
    """The sampled columns, each (N,) with NaN missing.

    `t_ns` (N,) are steady nanoseconds, which rise strictly.
    """

    t_ns: Ints
    columns: dict[str, Floats]


@dataclass(frozen=True)
class Run:
    """A finished run; the files of its folder are read when they are first needed.

    `files` maps each file that the manifest lists to its checksum.
    """

    wanted: WantedRun
    folder: Path
    files: Mapping[str, str]

    @cached_property
    def times(self) -> RunTimes:
        """Its moments, its process and its clock; raises RecordError if a record cannot be read."""
        return read_times(self.content, self.folder, Expected())

    @property
    def events(self) -> Moments:
        """Its moments; raises RecordError as `times` does."""
        return self.times.moments

    @property
    def process(self) -> Process:
        """Its process; raises RecordError as `times` does."""
        return self.times.process

    @property
    def device(self) -> str:
        """What it computed on, as its engine reported; raises RecordError as `times` does."""
        return self.times.device

    def samples(self) -> Samples:
        """Its `samples.csv`; raises RecordError if it is broken."""
        # Large, and therefore not cached.
        where = self.folder / SAMPLES
        return parse_samples(self.content(SAMPLES), where, self.times.clock.anchor_ns)

    def content(self, name: str) -> bytes:
        """The bytes of one of its files; raises EvengroundError if the manifest has others."""
        if name not in self.files:
            raise EvengroundError(
                f"the manifest does not list {name}", str(self.folder), restore_run(self.folder)
            )
        return recorded_bytes(self.folder / name, self.files[name], restore_run(self.folder))


def restore_run(folder: Path) -> str:
    """The fix for a run whose files differ from its manifest."""
    return f"restore it (as by dvc checkout results/runs), or {set_aside(folder)}"


def read_runs(condition: Condition) -> list[Run]:
    """Every finished run, in the condition's order; raises EvengroundError for a changed manifest."""
    return [_open_run(condition, wanted) for wanted in condition.finished]


def all_runs(index: Index) -> list[Run]:
    """`read_runs` of every condition; raises EvengroundError as it does."""
    return [run for condition in index.conditions for run in read_runs(condition)]


def _open_run(condition: Condition, wanted: WantedRun) -> Run:
    """Check the manifest of one run against the condition."""
    folder = condition.root / str(wanted.path)
    path = folder / MANIFEST
    content = recorded_bytes(path, str(wanted.manifest_sha256), restore_run(folder))
    manifest = Manifest.from_bytes(content, path, restore_run(folder))
    run = manifest.run
    if run.machine != condition.machine.class_name:
        raise EvengroundError(
            f"a run of machine class {run.machine} in a condition of {condition.machine.class_name}",
            str(path),
            "report each machine class by itself; nothing averages over classes",
        )
    # A run directory may have been copied to another run's place.
    expected = (wanted.dataset, wanted.engine, wanted.key, wanted.repetition)
    if (run.dataset, run.engine, run.key, run.repetition) != expected:
        what = f"the manifest describes another run than {wanted.name}"
        raise EvengroundError(what, str(path), restore_run(folder))
    return Run(wanted=wanted, folder=folder, files=manifest.files)


def recorded_bytes(path: Path, sha256: str, fix: str) -> bytes:
    """The bytes of a file; raises EvengroundError if their checksum is not the recorded one."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise EvengroundError(unreadable(path, error), str(path), fix) from error
    if sha256_bytes(content) != sha256:
        raise EvengroundError("the file is not the one recorded", str(path), fix)
    return content


def parse_samples(content: bytes, where: Path, anchor_ns: int = 0) -> Samples:
    """Sampled columns of one run; `anchor_ns` is steady time less monotonic time (`records.clock`).

    Raises RecordError `broken-samples` if they cannot be read or the clock does not move forward.
    """
    frame = _read_columns(content, where)
    mono_ns = frame[TIME].to_numpy(np.int64)
    columns = {name: frame[name].to_numpy(np.float64) for name in NUMBERS}
    if np.any((mono_ns < 0) | (mono_ns >= MAX_UNIX_NS)):
        raise RecordError("broken-samples", "a time is out of range", where, AGAIN)
    if any(np.any(np.abs(values) > MAX_NUMBER) for values in columns.values()):
        raise RecordError("broken-samples", "a number is out of range", where, AGAIN)
    stops = np.flatnonzero(np.diff(mono_ns) <= 0)
    if stops.size:
        # Of the second of two rows; the header is line 1.
        line = int(stops[0]) + 3
        raise RecordError("broken-samples", "the clock does not move forward", where, AGAIN, line)
    return Samples(t_ns=mono_ns + anchor_ns, columns=columns)


def _read_columns(content: bytes, where: Path) -> pd.DataFrame:
    """The times and NUMBERS of a samples file; an older sampler's file has not all: NaN."""
    # Slow to import, and preflight, which imports this module, reads no samples.
    import pandas as pd

    try:
        # A time that is not finite is refused with the times out of range; the cast warns, too.
        with np.errstate(invalid="ignore"):
            frame = pd.read_csv(
                BytesIO(content),
                usecols=lambda name: name == TIME or name in NUMBERS,
                # The default parser may differ from the written number in its last bit.
                float_precision="round_trip",
                dtype={TIME: "int64"} | dict.fromkeys(NUMBERS, "float64"),
            )
        if TIME not in frame:
            raise ValueError(f"no column {TIME}")
    except (ValueError, OverflowError, pd.errors.EmptyDataError, pd.errors.ParserError) as error:
        raise RecordError("broken-samples", f"broken samples, {error}", where, AGAIN) from error
    return frame.reindex(columns=[TIME, *NUMBERS])


def largest(values: Floats) -> float:
    """The largest known of the values (N,), NaN if there is none."""
    return float(np.fmax.reduce(values, initial=np.nan))


def first_known(values: Floats) -> float:
    """The first of the values (N,) that is not missing, NaN if all are."""
    known = values[~np.isnan(values)]
    return float(known[0]) if known.size else np.nan


def or_nan(value: float | None) -> float:
    """The value, NaN if it is unknown."""
    return np.nan if value is None else float(value)
