"""One run as each of the two instruments shows it: the corrected one and the one of the thesis."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

import numpy as np

from evenground.analysis.environment import read_environment
from evenground.analysis.runs import Floats, Run
from evenground.analysis.timeline import align, step_ns
from evenground.claims.extrapolation import Sample

Instrument = Literal["corrected", "as-published"]
INSTRUMENTS: tuple[Instrument, ...] = get_args(Instrument)
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
        "vram": "vram_used_bytes",
    },
}
RESOURCES = tuple(SOURCES["corrected"])


@dataclass(frozen=True)
class Trace:
    """One run: `t_s` (K,) and moments are seconds after the start of training, columns (K,) by resource.

    cpu, ram, gpu are in percent of the machine, vram in bytes; a missing value is NaN.
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


def corrected(run: Run, grid_s: float) -> Trace:
    """CPU and RAM of the process tree, GPU of the card, VRAM as what the card holds more than at the launch.

    Clock time. CPU is the difference of a counter over the step that ends at `t_s`.
    """
    line = align(run.events, run.process, run.samples(), grid_s)
    machine = read_environment(run)
    vram = line.columns["vram_used_bytes"]
    columns = {
        "cpu": line.columns["cpu_pct"] / _known(machine.cores),
        "ram": line.columns["rss_bytes"] * 100 / _known(machine.memory_bytes),
        "gpu": line.columns["gpu_util_pct"],
        "vram": vram - first_known(vram),
    }
    step_s = step_ns(grid_s) / 1e9
    t_s = np.asarray(line.step * step_s, np.float64)
    return _trace(run, t_s, columns, step_s, _clock(run))


def as_published(run: Run, grid_s: float) -> Trace:
    """CPU as the mean since boot, RAM of the whole machine, GPU and VRAM of the whole card.

    Time is the number of the sample over the sampling rate, however late the samples were; a moment has the
    time of the last sample before it.
    """
    samples, machine = run.samples(), read_environment(run)
    rate_hz = run.process.rate_hz
    zero = int(np.searchsorted(samples.t_ns, run.events.train_start_ns, side="right")) - 1
    columns = {
        "cpu": samples.columns["cpu_since_boot_pct"],
        "ram": samples.columns["free_used_bytes"] * 100 / _known(machine.memory_bytes),
        "gpu": samples.columns["gpu_util_pct"],
        "vram": samples.columns["vram_used_bytes"],
    }
    t_s = np.asarray((np.arange(samples.t_ns.size) - zero) / rate_hz, np.float64)

    def numbered(t_ns: int) -> float:
        return (int(np.searchsorted(samples.t_ns, t_ns, side="right")) - 1 - zero) / rate_hz

    return _trace(run, t_s, columns, 1 / rate_hz, numbered)


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
