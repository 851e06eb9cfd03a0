"""One run as each of the two instruments shows it: the corrected one and the one of the thesis."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from evenground.analysis.environment import read_environment
from evenground.analysis.memory import vram_before
from evenground.analysis.readings import are_first, are_told, once
from evenground.analysis.runs import Floats, Ints, Run, Samples
from evenground.analysis.timeline import CARRIED_PERIODS, align, carry_forward, step_ns
from evenground.claims.extrapolation import Sample
from evenground.records.times import Process

Instrument = Literal["corrected", "as-published"]
INSTRUMENTS: tuple[Instrument, ...] = get_args(Instrument)
OWN_VRAM = "vram_tree_bytes"
# Resource -> column of samples.csv behind it, under each instrument.
SOURCES: Mapping[Instrument, Mapping[str, str]] = {
    "corrected": {
        "cpu": "cpu_s",
        "ram": "rss_bytes",
        "gpu": "gpu_util_pct",
        "vram": "vram_used_bytes",
    },
    "as-published": {
        "cpu": "cpu_since_boot_pct",
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
MOST_SLOW = 30
# A sample took longer than its period where the next one came so many periods after it.
LATE = 1.5
AFTER_LAUNCH = "counted from the first value after the launch"
SILENT = f"0 was written after {MOST_SLOW} slow samples, as UnixStats did"


@dataclass(frozen=True)
class Trace:
    """One run: `t_s` (K,) and moments are seconds after the start of training, columns (K,) by resource.

    cpu, ram, gpu are in percent of the machine; vram is in bytes, as published in percent of the thesis's
    card. A missing value is NaN.
    """

    t_s: Floats
    columns: Mapping[str, Floats]
    step_s: float
    launch_s: float
    first_batch_s: float
    train_end_s: float
    evaluate_end_s: float
    linger_end_s: float
    sample: Sample | None = field(default=None, kw_only=True)
    """Where the training was one on the first images only."""
    counted: Mapping[str, tuple[Floats, Floats]] = field(default_factory=dict, kw_only=True)
    """Resource -> times and values of its samples (M,), where rows repeat them: each once."""
    remarks: Mapping[str, str] = field(default_factory=dict, kw_only=True)
    """Resource -> what has to be said of how its values came about."""


def corrected(run: Run, grid_s: float) -> Trace:
    """CPU and RAM of the process tree, GPU of the card, VRAM as what the card holds more than at the launch.

    What it held then was read before the launch; of a run without that it is the first value after it.
    Clock time. CPU is the difference of a counter over the step that ends at `t_s`.
    """
    samples = run.samples()
    line = align(run.events, run.process, samples, grid_s)
    machine = read_environment(run)
    vram = line.columns["vram_used_bytes"]
    before, why = vram_before(run.process)
    columns = {
        "cpu": line.columns["cpu_pct"] / _known(machine.cores),
        "ram": line.columns["rss_bytes"] * 100 / _known(machine.memory_bytes),
        "gpu": line.columns["gpu_util_pct"],
        "vram": vram - (first_known(vram) if why else before),
    }
    step_s = step_ns(grid_s) / 1e9
    t_s = np.asarray(line.step * step_s, np.float64)
    trace = _trace(run, t_s, columns, step_s, _clock(run))
    remarks = {"vram": f"{AFTER_LAUNCH} ({why})"} if why and not np.isnan(vram).all() else {}
    read_ns, use = once(samples, "gpu_util_pct")
    in_s = (read_ns - run.events.train_start_ns) / 1e9
    counted = {"gpu": (in_s, use)} if are_told(samples) else {}
    return replace(trace, counted=counted, remarks=remarks)


def as_published(run: Run, grid_s: float) -> Trace:
    """CPU as the mean since boot, RAM of the whole machine, GPU of the whole card, VRAM of the processes.

    Time is the number of the sample over the sampling rate, however late the samples were; a moment has the
    time of the last sample before it. GPU and VRAM are 0 once MOST_SLOW samples have taken too long.
    """
    samples, machine = run.samples(), read_environment(run)
    rate_hz = run.process.rate_hz
    zero = int(np.searchsorted(samples.t_ns, run.events.train_start_ns, side="right")) - 1
    columns = {
        "cpu": samples.columns["cpu_since_boot_pct"],
        "ram": samples.columns["free_used_bytes"] * 100 / _known(machine.memory_bytes),
        "gpu": samples.columns["gpu_util_pct"],
        "vram": own_vram_bytes(samples, run.process) * 100 / CARD_BYTES,
    }
    silent = is_silent(samples.t_ns, rate_hz)
    of_card = {name: _silenced(columns[name], silent) for name in ("gpu", "vram")}
    remarks = dict.fromkeys(of_card, SILENT) if silent.any() else {}
    t_s = np.asarray((np.arange(samples.t_ns.size) - zero) / rate_hz, np.float64)

    def numbered(t_ns: int) -> float:
        return (int(np.searchsorted(samples.t_ns, t_ns, side="right")) - 1 - zero) / rate_hz

    first = are_first(samples) | silent
    counted = {"gpu": (t_s[first], of_card["gpu"][first])} if are_told(samples) else {}
    trace = _trace(run, t_s, {**columns, **of_card}, 1 / rate_hz, numbered)
    return replace(trace, counted=counted, remarks=remarks)


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
    """Whether MOST_SLOW samples or more before each (N,) took longer than a period of the rate."""
    slow = np.diff(t_ns) > LATE * 1e9 / rate_hz
    before = np.concatenate(([0], np.cumsum(slow)))
    return np.asarray(before[: t_ns.size] >= MOST_SLOW, np.bool_)


def _silenced(values: Floats, silent: npt.NDArray[np.bool_]) -> Floats:
    """The values, 0 where the sampler was silent; what was never measured stays missing."""
    return values if np.isnan(values).all() else np.where(silent, 0.0, values)


TRACES: Mapping[Instrument, Callable[[Run, float], Trace]] = {
    "corrected": corrected,
    "as-published": as_published,
}


def first_known(values: Floats) -> float:
    """The first value that is not missing, NaN where none is there."""
    known = values[~np.isnan(values)]
    return float(known[0]) if known.size else np.nan


def _known(value: int | None) -> float:
    return float(value) if value else np.nan


def _clock(run: Run) -> Callable[[int], float]:
    return lambda t_ns: (t_ns - run.events.train_start_ns) / 1e9


def _trace(
    run: Run, t_s: Floats, columns: dict[str, Floats], step_s: float, when: Callable[[int], float]
) -> Trace:
    events = run.events
    moments = (
        run.process.launched_ns,
        events.first_batch_end_ns,
        events.train_end_ns,
        events.evaluate_end_ns,
        events.linger_end_ns,
    )
    return Trace(t_s, columns, step_s, *(when(moment) for moment in moments))
