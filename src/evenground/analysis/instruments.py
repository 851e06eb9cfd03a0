"""One run as each of the two instruments shows it: the corrected one and the one of the thesis."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from evenground.analysis.extrapolation import Sample
from evenground.analysis.memory import vram_before
from evenground.analysis.readings import are_first, are_told, once
from evenground.analysis.runs import Floats, Ints, Samples
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

Instrument = Literal["corrected", "as-published"]
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
# What is counted from the launch on: nothing of it is there before.
FROM_LAUNCH = ("vram",)
# UnixStats as it was in April 2022 (github.com/sallaumen/Unix-Stats, 4be1932): `lib/measure/gpu.ex` has the
# card's memory as a constant, and neither use nor memory of a card after so many samples that took too long.
CARD_BYTES = 7981 * 2**20
MAX_SLOW = 30
# A sample took longer than its period where the next one came so many periods after it.
LATE = 1.5
AFTER_LAUNCH = "counted from the first value after the launch"
SILENT = f"0 was written after {MAX_SLOW} slow samples, as UnixStats did"

# The steps in which values come; the error of a value is taken as uniform over one of them.
# The kernel counts CPU time in ticks, 100 a second (USER_HZ), in /proc/stat and of processes that have ended.
TICK_S = 0.01
# Resident memory is counted in pages, and /proc/meminfo moves by them.
PAGE_BYTES = 4096
# NVIDIA's driver gives out memory in larger pieces, and tells what processes hold of it in MiB.
VRAM_STEP_BYTES = 2**20
# NVML tells the use of a card in whole percents.
GPU_STEP_PCT = 1.0
# An engine that writes an event is a process, which has to be scheduled first; its clock is finer than that.
EVENT_STEP_S = 1e-3

NO_MEMORY = "the size of the machine's memory is not recorded"


@dataclass(frozen=True, kw_only=True)
class SinceBoot:
    """A mean since the start of the machine, in percent, when sampling began; and how far it can go.

    `up_s`: how long the machine had been up then; `left_s`: from then until the end of training.
    """

    first_pct: float
    up_s: float
    left_s: float

    @property
    def lowest(self) -> float:
        """The mean at the end of training of a machine that did nothing until then."""
        return self.first_pct * self.up_s / (self.up_s + self.left_s)

    @property
    def highest(self) -> float:
        """The mean at the end of training of a machine that was fully busy until then."""
        return (self.first_pct * self.up_s + 100 * self.left_s) / (self.up_s + self.left_s)


@dataclass(frozen=True, kw_only=True)
class Trace:
    """One run: `t_s` (K,) and moments are seconds after the start of training, columns (K,) by resource.

    cpu, ram, gpu are in percent of the machine; vram is in bytes, as published in percent of the thesis's
    card. A missing value is NaN. What is said of resources is by their names.
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
    """In which steps moments come."""
    steps: Mapping[str, float] = field(default_factory=dict)
    """In which steps the values of a resource come, in its unit."""
    integrals: Mapping[str, tuple[Floats, Floats]] = field(default_factory=dict)
    """Of a resource that a counter tells: times (M,) in seconds, and its use until then in unit seconds."""
    lacks: Mapping[str, str] = field(default_factory=dict)
    """Why a resource has no value at all."""
    since_boot: Mapping[str, SinceBoot] = field(default_factory=dict)
    """Resources whose value is a mean since the start of the machine."""
    sample: Sample | None = None
    """Where the training was one on the first examples only."""
    counted: Mapping[str, tuple[Floats, Floats]] = field(default_factory=dict)
    """Times and values of the samples (M,) of a resource, where rows repeat them: each once."""
    remarks: Mapping[str, str] = field(default_factory=dict)
    """What has to be said of how the values of a resource came about."""
    idle: Windows | None = ()
    """When nothing was computed during the training; None: not known."""
    left_out: Windows = ()
    """Time that times and means leave out."""
    allowed_cpu_pct: float = 100.0
    """How much of the machine's CPU time the run was allowed."""


def corrected(seen: Seen) -> Trace:
    """CPU and RAM of the process tree, GPU of the card, VRAM as what the card holds more than at the launch.

    What it held then was read before the launch; of a run without that it is the first value after it.
    Clock time. CPU is the difference of a counter over the step that ends at `t_s`.
    """
    line, machine, events = seen.line, seen.environment, seen.run.events
    memory_bytes, step_s = _known(machine.memory_bytes), step_ns(seen.grid_s) / 1e9
    t_s = np.asarray(line.step * step_s, np.float64)
    vram = line.columns["vram_used_bytes"]
    before, why = vram_before(seen.run.process)
    columns = {
        "cpu": line.columns["cpu_pct"],
        "ram": line.columns["rss_bytes"] * 100 / memory_bytes,
        "gpu": line.columns["gpu_util_pct"],
        "vram": vram - (first_known(vram) if why else before),
    }
    steps = {
        "cpu": 100 * TICK_S / (_known(seen.cores) * step_s),
        "ram": 100 * PAGE_BYTES / memory_bytes,
        "gpu": GPU_STEP_PCT,
        "vram": float(VRAM_STEP_BYTES),
    }
    read_ns, use = once(seen.samples, "gpu_util_pct")

    def in_s(t_ns: int) -> float:
        return (t_ns - events.train_start_ns) / 1e9

    return Trace(
        t_s=t_s,
        columns=columns,
        step_s=step_s,
        launch_s=in_s(seen.run.process.launched_ns),
        first_batch_s=in_s(events.first_batch_end_ns),
        train_end_s=in_s(events.train_end_ns),
        evaluate_end_s=in_s(events.evaluate_end_ns),
        linger_end_s=in_s(events.linger_end_ns),
        event_step_s=EVENT_STEP_S,
        steps=steps,
        integrals={"cpu": _cpu_integral(seen)},
        lacks=_lacks(seen, "corrected"),
        counted={"gpu": ((read_ns - events.train_start_ns) / 1e9, use)}
        if are_told(seen.samples)
        else {},
        remarks={"vram": f"{AFTER_LAUNCH} ({why})"} if why and not np.isnan(vram).all() else {},
        idle=seen.idle_windows,
        allowed_cpu_pct=_allowed_cpu_pct(seen),
    )


def _allowed_cpu_pct(seen: Seen) -> float:
    """How much of the machine's CPU time its CPUs and its cgroup's limit allowed; all where not known."""
    cpus = seen.environment.cpus
    if cpus is None or not seen.cores:
        return 100.0
    limits = [limit for limit in (cpus.n_chosen, cpus.quota) if limit is not None]
    return min([100.0, *(100 * limit / seen.cores for limit in limits)])


def as_published(seen: Seen) -> Trace:
    """CPU as the mean since boot, RAM of the whole machine, GPU of the whole card, VRAM of the processes.

    Time is the number of the sample over the sampling rate, however late the samples were; a moment has the
    time of the last sample before it. GPU and VRAM are 0 once MAX_SLOW samples have taken too long.
    """
    samples, process, events = seen.samples, seen.run.process, seen.run.events
    memory_bytes, rate_hz = _known(seen.environment.memory_bytes), process.rate_hz
    zero = int(np.searchsorted(samples.t_ns, events.train_start_ns, side="right")) - 1
    columns = {
        "cpu": samples.columns[SINCE_BOOT],
        "ram": samples.columns["free_used_bytes"] * 100 / memory_bytes,
        "gpu": samples.columns["gpu_util_pct"],
        "vram": own_vram_bytes(samples, process) * 100 / CARD_BYTES,
    }
    silent = is_silent(samples.t_ns, rate_hz)
    of_card = {name: _silenced(columns[name], silent) for name in ("gpu", "vram")}
    t_s = np.asarray((np.arange(samples.t_ns.size) - zero) / rate_hz, np.float64)

    def numbered(t_ns: int) -> float:
        return (int(np.searchsorted(samples.t_ns, t_ns, side="right")) - 1 - zero) / rate_hz

    first = are_first(samples) | silent
    since_boot = _since_boot(seen)
    # Of all cores together; where their number is not known, as of one.
    ticks = (seen.cores or 1) * since_boot.up_s / TICK_S
    steps = {
        "cpu": 100 / ticks if ticks > 0 else np.nan,
        "ram": 100 * PAGE_BYTES / memory_bytes,
        "gpu": GPU_STEP_PCT,
        "vram": 100 * VRAM_STEP_BYTES / CARD_BYTES,
    }
    return Trace(
        t_s=t_s,
        columns={**columns, **of_card},
        step_s=1 / rate_hz,
        launch_s=numbered(process.launched_ns),
        first_batch_s=numbered(events.first_batch_end_ns),
        train_end_s=numbered(events.train_end_ns),
        evaluate_end_s=numbered(events.evaluate_end_ns),
        linger_end_s=numbered(events.linger_end_ns),
        event_step_s=1 / rate_hz,
        steps=steps,
        lacks=_lacks(seen, "as-published"),
        since_boot={"cpu": since_boot},
        counted={"gpu": (t_s[first], of_card["gpu"][first])} if are_told(samples) else {},
        remarks=dict.fromkeys(of_card, SILENT) if silent.any() else {},
        idle=_as_numbered(seen, t_s),
    )


def own_vram_bytes(samples: Samples, process: Process) -> Floats:
    """GPU memory of the engine's processes in each row (N,); NaN where it is not known.

    The driver is asked once a second: the last value stands in the rows between. As in `nvidia-smi` nothing
    is listed, 0, before the first of them has a context on the card, and after the last has ended.
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
    """Whether MAX_SLOW samples or more before each (N,) took longer than a period of the rate."""
    slow = np.diff(t_ns) > LATE * 1e9 / rate_hz
    before = np.concatenate(([0], np.cumsum(slow)))
    return np.asarray(before[: t_ns.size] >= MAX_SLOW, np.bool_)


def _silenced(values: Floats, silent: npt.NDArray[np.bool_]) -> Floats:
    """The values, 0 where the sampler was silent; what was never measured stays missing."""
    return values if np.isnan(values).all() else np.where(silent, 0.0, values)


TRACES: Mapping[Instrument, Callable[[Seen], Trace]] = {
    "corrected": corrected,
    "as-published": as_published,
}


def first_known(values: Floats) -> float:
    """The first value that is not missing, NaN where none is there."""
    known = values[~np.isnan(values)]
    return float(known[0]) if known.size else np.nan


def _known(value: int | None) -> float:
    return float(value) if value else np.nan


def _cpu_integral(seen: Seen) -> tuple[Floats, Floats]:
    """Times (M,) in seconds after the start of training, and the CPU use until then in percent seconds."""
    counter = seen.samples.columns["cpu_s"]
    known = ~np.isnan(counter)
    t_s = (seen.samples.t_ns[known] - seen.run.events.train_start_ns) / 1e9
    if not t_s.size:
        return t_s, counter[known]
    return t_s, risen(counter[known]) * 100 / _known(seen.cores)


def _lacks(seen: Seen, instrument: Instrument) -> dict[str, str]:
    """Resource -> why it has no value, as the sampler recorded it; only of those that have none."""
    reasons = {}
    # What is shown in percent of something that nobody recorded.
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
    values, nan = seen.samples.columns[SINCE_BOOT], np.nan
    known = np.flatnonzero(~np.isnan(values))
    if not known.size:
        return SinceBoot(first_pct=nan, up_s=nan, left_s=nan)
    first = known[0]
    at_ns = int(seen.samples.t_ns[first])
    return SinceBoot(
        first_pct=float(values[first]),
        up_s=(at_ns - seen.run.times.clock.anchor_ns) / 1e9,
        left_s=(seen.run.events.train_end_ns - at_ns) / 1e9,
    )


def _as_numbered(seen: Seen, t_s: Floats) -> Windows | None:
    """The idle windows in the time of numbered samples `t_s` (N,), straight between two of them."""
    windows = seen.idle_windows
    if not windows or not t_s.size:
        return windows
    clock_s = (seen.samples.t_ns - seen.run.events.train_start_ns) / 1e9
    return tuple((float(start), float(end)) for start, end in np.interp(windows, clock_s, t_s))
