"""One run as each of the two instruments shows it: the corrected one and the one of the thesis."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import get_args

import numpy as np
import numpy.typing as npt

from evenground.analysis.extrapolation import Sample
from evenground.analysis.memory import VRAM, before_launch
from evenground.analysis.readings import are_first, once
from evenground.analysis.runs import Floats, Ints, Samples, first_known
from evenground.analysis.seen import Seen, Windows
from evenground.analysis.timeline import (
    CARRIED_PERIODS,
    NO_CORES,
    NO_REASON,
    carry_forward,
    risen,
    step_ns,
)
from evenground.records.times import Process
from evenground.records.verdicts import Instrument

INSTRUMENTS: tuple[Instrument, ...] = get_args(Instrument)
OWN_VRAM = "vram_tree_bytes"
SINCE_BOOT = "cpu_since_boot_pct"
# Resource -> column of samples.csv behind it, under each instrument.
SOURCES: Mapping[Instrument, Mapping[str, str]] = {
    "corrected": {
        "cpu": "cpu_s",
        "ram": "rss_bytes",
        "gpu": "gpu_util_pct",
        "vram": "vram_used_bytes",
    },
    "as-published": {
        "cpu": SINCE_BOOT,
        "ram": "free_used_bytes",
        "gpu": "gpu_util_pct",
        "vram": OWN_VRAM,
    },
}
RESOURCES = tuple(SOURCES["corrected"])
# Resources that are counted from the launch on, so that they begin at zero.
FROM_LAUNCH = ("vram",)
# UnixStats as it was in April 2022 (github.com/sallaumen/Unix-Stats, 4be1932): `lib/measure/gpu.ex`
# has the card's memory as a constant, and stops reading a card after so many slow samples.
CARD_BYTES = 7981 * 2**20
MAX_SLOW = 30
# A sample was slow if the next one came more than so many periods after it.
LATE = 1.5
AFTER_LAUNCH = "counted from the first value after the launch"
SILENT = f"0 was written after {MAX_SLOW} slow samples, as UnixStats did"

# The steps between possible values; the error of a value is taken as uniform over one of them.
# The kernel counts CPU time in ticks, 100 a second (USER_HZ), in /proc/stat and for processes that
# have ended.
TICK_S = 0.01
# Resident memory is counted in pages, and /proc/meminfo moves by them.
PAGE_BYTES = 4096
# NVIDIA's driver allocates memory in larger pieces, and reports what processes hold of it in MiB.
VRAM_STEP_BYTES = 2**20
# NVML reports the use of a card in whole percents.
GPU_STEP_PCT = 1.0
# The engine's process has to be scheduled before it writes an event; its clock is finer than that.
EVENT_STEP_S = 1e-3

NO_MEMORY = "the size of the machine's memory is not recorded"


@dataclass(frozen=True, kw_only=True)
class SinceBoot:
    """A mean since the start of the machine, in percent, when sampling began; and its bounds.

    `up_s`: how long the machine had been up then; `left_s`: from then until the end of training.
    """

    first_pct: float
    up_s: float
    left_s: float

    @property
    def lowest(self) -> float:
        """The mean at the end of training if the machine did nothing until then."""
        return self.first_pct * self.up_s / (self.up_s + self.left_s)

    @property
    def highest(self) -> float:
        """The mean at the end of training if the machine was fully busy until then."""
        return (self.first_pct * self.up_s + 100 * self.left_s) / (self.up_s + self.left_s)


@dataclass(frozen=True, kw_only=True)
class Trace:
    """One run: `t_s` (K,) and moments in seconds after the start of training, columns (K,).

    cpu, ram, gpu are in percent of the machine; vram is in bytes, as-published in percent of the
    thesis's card. A missing value is NaN. Mappings are keyed by resource.
    """

    t_s: Floats
    columns: Mapping[str, Floats]
    step_s: float
    launch_s: float
    first_batch_s: float
    train_end_s: float
    evaluate_end_s: float
    linger_end_s: float
    event_step_s: float
    """Resolution of moments."""
    steps: Mapping[str, float]
    """Resolution of the values of a resource, in its unit."""
    integrals: Mapping[str, tuple[Floats, Floats]]
    """Of a resource with a counter: times (M,) in s, and use until then (M,) in unit seconds."""
    missing: Mapping[str, str]
    """Why a resource has no value at all."""
    since_boot: Mapping[str, SinceBoot]
    """Resources whose value is a mean since the start of the machine."""
    counted: Mapping[str, tuple[Floats, Floats]]
    """Of a resource whose rows repeat readings: times (M,) and values (M,), each reading once."""
    remarks: Mapping[str, str]
    """How the values of a resource came about, if a reader needs to know."""
    idle: Windows | None
    """When nothing was computed during the training; None if unknown."""
    sample: Sample | None = None
    """Set if the training used only the first examples."""
    left_out: Windows = ()
    """Time that times and means leave out."""
    allowed_cpu_pct: float = 100.0
    """How much of the machine's CPU time the run was allowed to use."""


def corrected(seen: Seen) -> Trace:
    """CPU and RAM of the process tree, GPU of the card, VRAM as the card's increase since launch.

    Times are clock times. CPU is the difference of a counter over the step that ends at `t_s`.
    """
    events = seen.run.events
    step_s = step_ns(seen.grid_s) / 1e9
    columns, remarks = _corrected_columns(seen)
    read_ns, use_pct = once(seen.samples, "gpu_util_pct")

    def in_s(t_ns: int) -> float:
        return (t_ns - events.train_start_ns) / 1e9

    return Trace(
        t_s=np.asarray(seen.line.step * step_s, np.float64),
        columns=columns,
        step_s=step_s,
        launch_s=in_s(seen.run.process.launched_ns),
        first_batch_s=in_s(events.first_batch_end_ns),
        train_end_s=in_s(events.train_end_ns),
        evaluate_end_s=in_s(events.evaluate_end_ns),
        linger_end_s=in_s(events.linger_end_ns),
        event_step_s=EVENT_STEP_S,
        steps={
            "cpu": 100 * TICK_S / (_known(seen.cores) * step_s),
            "ram": _page_pct(seen),
            "gpu": GPU_STEP_PCT,
            "vram": float(VRAM_STEP_BYTES),
        },
        integrals={"cpu": _cpu_integral(seen)},
        missing=_missing(seen, "corrected"),
        since_boot={},
        counted={"gpu": ((read_ns - events.train_start_ns) / 1e9, use_pct)},
        remarks=remarks,
        idle=seen.idle_windows,
        allowed_cpu_pct=_allowed_cpu_pct(seen),
    )


def _corrected_columns(seen: Seen) -> tuple[dict[str, Floats], dict[str, str]]:
    """The columns (K,) of the corrected instrument, and remarks."""
    line = seen.line.columns
    vram_bytes, remarks = line["vram_used_bytes"], {}
    before_bytes, unknown = before_launch(seen.run.process, VRAM)
    if unknown:
        # The first value after the launch is the next best thing.
        before_bytes = first_known(vram_bytes)
        if not np.isnan(vram_bytes).all():
            remarks["vram"] = f"{AFTER_LAUNCH} ({unknown})"
    columns = {
        "cpu": line["cpu_pct"],
        "ram": line["rss_bytes"] * 100 / _known(seen.environment.memory_bytes),
        "gpu": line["gpu_util_pct"],
        "vram": vram_bytes - before_bytes,
    }
    return columns, remarks


def _page_pct(seen: Seen) -> float:
    """A page in percent of the machine's memory; NaN if that is unknown."""
    return 100 * PAGE_BYTES / _known(seen.environment.memory_bytes)


def _allowed_cpu_pct(seen: Seen) -> float:
    """The machine's CPU time that the run's CPUs and cgroup limit allowed; 100 if unknown."""
    allowed_pct = 100.0
    cpus = seen.environment.cpus
    if cpus is None or not seen.cores:
        return allowed_pct
    for limit in (cpus.n_chosen, cpus.quota):
        if limit is not None:
            allowed_pct = min(allowed_pct, 100 * limit / seen.cores)
    return allowed_pct


def as_published(seen: Seen) -> Trace:
    """CPU as the mean since boot, RAM of the whole machine, GPU of the whole card, VRAM of the run.

    Time is the number of the sample over the sampling rate, however late the samples were; a moment
    has the time of the last sample before it. GPU and VRAM are 0 after MAX_SLOW slow samples.
    """
    samples, process, events = seen.samples, seen.run.process, seen.run.events
    rate_hz = process.rate_hz

    def number(t_ns: int) -> int:
        return int(np.searchsorted(samples.t_ns, t_ns, side="right")) - 1

    zero = number(events.train_start_ns)
    t_s = np.asarray((np.arange(samples.t_ns.size) - zero) / rate_hz, np.float64)

    def numbered_s(t_ns: int) -> float:
        return (number(t_ns) - zero) / rate_hz

    silent = is_silent(samples.t_ns, rate_hz)
    columns = _published_columns(seen, silent)
    # Every 0 of the silent sampler is a reading of its own.
    first = are_first(samples) | silent
    remarks = {}
    if silent.any():
        remarks = {"gpu": SILENT, "vram": SILENT}
    since_boot = _since_boot(seen)
    return Trace(
        t_s=t_s,
        columns=columns,
        step_s=1 / rate_hz,
        launch_s=numbered_s(process.launched_ns),
        first_batch_s=numbered_s(events.first_batch_end_ns),
        train_end_s=numbered_s(events.train_end_ns),
        evaluate_end_s=numbered_s(events.evaluate_end_ns),
        linger_end_s=numbered_s(events.linger_end_ns),
        event_step_s=1 / rate_hz,
        steps={
            "cpu": _since_boot_step(since_boot, seen.cores),
            "ram": _page_pct(seen),
            "gpu": GPU_STEP_PCT,
            "vram": 100 * VRAM_STEP_BYTES / CARD_BYTES,
        },
        integrals={},
        missing=_missing(seen, "as-published"),
        since_boot={"cpu": since_boot},
        counted={"gpu": (t_s[first], columns["gpu"][first])},
        remarks=remarks,
        idle=_as_numbered(seen, t_s),
    )


def _published_columns(seen: Seen, silent: npt.NDArray[np.bool_]) -> dict[str, Floats]:
    """The columns (N,) of the thesis's instrument."""
    columns = seen.samples.columns
    vram_pct = own_vram_bytes(seen.samples, seen.run.process) * 100 / CARD_BYTES
    return {
        "cpu": columns[SINCE_BOOT],
        "ram": columns["free_used_bytes"] * 100 / _known(seen.environment.memory_bytes),
        "gpu": _silenced(columns["gpu_util_pct"], silent),
        "vram": _silenced(vram_pct, silent),
    }


def own_vram_bytes(samples: Samples, process: Process) -> Floats:
    """GPU memory of the engine's processes in each row (N,), in bytes; NaN if unknown.

    The driver is queried once a second: the last value stands in the rows between. As in
    `nvidia-smi` nothing is listed, 0, before the first of the processes has a context on the card,
    and after the last has ended.
    """
    values = samples.columns[OWN_VRAM]
    known = np.flatnonzero(~np.isnan(values))
    if not known.size:
        return values
    limit_ns = round(CARRIED_PERIODS * 1e9 * process.period_s(OWN_VRAM))
    held = carry_forward(samples.t_ns, values, samples.t_ns, limit_ns)
    if values[known[0]] == 0:
        held[: known[0]] = 0.0
    held[samples.t_ns >= process.exited_ns] = 0.0
    return held


def is_silent(t_ns: Ints, rate_hz: float) -> npt.NDArray[np.bool_]:
    """Whether at least MAX_SLOW samples before each (N,) took longer than a period of the rate."""
    slow = np.diff(t_ns) > LATE * 1e9 / rate_hz
    before = np.concatenate(([0], np.cumsum(slow)))
    return np.asarray(before[: t_ns.size] >= MAX_SLOW, np.bool_)


def _silenced(values: Floats, silent: npt.NDArray[np.bool_]) -> Floats:
    """The values (N,), 0 where the sampler was silent; a resource never measured stays missing."""
    measured = not np.isnan(values).all()
    return np.where(silent & measured, 0.0, values)


TRACES: Mapping[Instrument, Callable[[Seen], Trace]] = {
    "corrected": corrected,
    "as-published": as_published,
}


def _known(value: int | None) -> float:
    return float(value) if value else np.nan


def _cpu_integral(seen: Seen) -> tuple[Floats, Floats]:
    """Times (M,) in seconds after the start of training, and CPU use until then in % seconds."""
    counter = seen.samples.columns["cpu_s"]
    known = ~np.isnan(counter)
    t_s = (seen.samples.t_ns[known] - seen.run.events.train_start_ns) / 1e9
    if not t_s.size:
        return t_s, counter[known]
    return t_s, risen(counter[known]) * 100 / _known(seen.cores)


def _missing(seen: Seen, instrument: Instrument) -> dict[str, str]:
    """Resource -> why it has no value, as the sampler recorded it; only resources without one."""
    reasons = {}
    # Without these the shares in percent cannot be computed.
    if not seen.environment.memory_bytes:
        reasons["ram"] = NO_MEMORY
    if not seen.cores and instrument == "corrected":
        reasons["cpu"] = NO_CORES
    for resource, column in SOURCES[instrument].items():
        if np.isnan(seen.samples.columns[column]).all():
            why = seen.run.process.missing.get(column, NO_REASON)
            reasons[resource] = f"column not measured: {column}: {why}"
    return reasons


def _since_boot(seen: Seen) -> SinceBoot:
    """The mean since the start of the machine at its first value; all NaN without one."""
    values = seen.samples.columns[SINCE_BOOT]
    known = np.flatnonzero(~np.isnan(values))
    if not known.size:
        return SinceBoot(first_pct=np.nan, up_s=np.nan, left_s=np.nan)
    first = known[0]
    at_ns = int(seen.samples.t_ns[first])
    return SinceBoot(
        first_pct=float(values[first]),
        up_s=(at_ns - seen.run.times.clock.anchor_ns) / 1e9,
        left_s=(seen.run.events.train_end_ns - at_ns) / 1e9,
    )


def _since_boot_step(since_boot: SinceBoot, cores: int | None) -> float:
    """The step of a mean since boot in percent; NaN if the time since boot is unknown."""
    # The ticks of all cores together; of one core if their number is unknown.
    ticks = (cores or 1) * since_boot.up_s / TICK_S
    return 100 / ticks if ticks > 0 else np.nan


def _as_numbered(seen: Seen, t_s: Floats) -> Windows | None:
    """The idle windows in the time of numbered samples `t_s` (N,), interpolated linearly."""
    windows = seen.idle_windows
    if not windows or not t_s.size:
        return windows
    clock_s = (seen.samples.t_ns - seen.run.events.train_start_ns) / 1e9
    return tuple((float(start), float(end)) for start, end in np.interp(windows, clock_s, t_s))
