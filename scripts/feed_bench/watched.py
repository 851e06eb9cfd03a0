"""A process's CPU clock while it runs, and what it says of one stretch of time: CPU seconds, idle windows."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

PERIOD_S = 0.05
# A window is idle when the process uses less than this share of one core for at least so long.
IDLE_SHARE = 0.2
IDLE_S = 0.3


@dataclass(frozen=True)
class Sample:
    """CPU seconds at a moment of the system's clock: of a process, of all processes, stolen by the host."""

    t_unix_s: float
    cpu_s: float
    machine_s: float = 0.0
    stolen_s: float = 0.0


@dataclass(frozen=True)
class Window:
    """An idle window, in seconds from the training's start, and how many cores others had meanwhile.

    A process that waits leaves the cores free; one that is kept waiting by other work does not.
    """

    start_s: float
    end_s: float
    others_cores: float
    stolen_cores: float


@dataclass(frozen=True)
class Cost:
    """What a stretch of time took, and its idle windows."""

    wall_s: float
    cpu_s: float
    idle: tuple[Window, ...]

    @property
    def idle_s(self) -> float:
        """Seconds in all idle windows together."""
        return sum(window.end_s - window.start_s for window in self.idle)


def watch(process: subprocess.Popen[str]) -> list[Sample]:
    """Read the CPU clocks of `process` and of the machine every 50 ms until it ends."""
    # The kernel's number for "CPU clock of the process with this id", as in clock_getcpuclockid(3).
    clock = (~process.pid << 3) | 2
    samples = []
    while process.poll() is None:
        machine_s, stolen_s = machine()
        try:
            cpu_s = time.clock_gettime(clock)
        except OSError:
            # It ended between the two calls.
            break
        samples.append(Sample(time.time(), cpu_s, machine_s, stolen_s))
        time.sleep(PERIOD_S)
    return samples


def machine() -> tuple[float, float]:
    """CPU seconds of all processes, and seconds that the host took, since the machine started."""
    first = Path("/proc/stat").read_text(encoding="ascii").splitlines()[0]
    # cpu user nice system idle iowait irq softirq steal (proc(5)); user has the guests' time in it.
    user, nice, system, _, _, irq, softirq, steal = map(int, first.split()[1:9])
    ticks_per_s = os.sysconf("SC_CLK_TCK")
    return (user + nice + system + irq + softirq) / ticks_per_s, steal / ticks_per_s


def cost(samples: Sequence[Sample], start_unix_s: float, end_unix_s: float) -> Cost:
    """Wall and CPU seconds between two moments, and the idle windows in between."""
    times, used = [one.t_unix_s for one in samples], [one.cpu_s for one in samples]
    ends = np.interp([start_unix_s, end_unix_s], times, used)
    quiet = idle_stretches(samples, start_unix_s, end_unix_s)
    idle = tuple(described(samples, since, until, start_unix_s) for since, until in quiet)
    return Cost(wall_s=end_unix_s - start_unix_s, cpu_s=float(ends[1] - ends[0]), idle=idle)


def idle_stretches(
    samples: Sequence[Sample], start_unix_s: float, end_unix_s: float
) -> list[tuple[float, float]]:
    """Begin and end of each idle window on the system's clock, cut to the stretch between two moments."""
    merged: list[tuple[float, float]] = []
    for before, after in pairwise(samples):
        if after.cpu_s - before.cpu_s >= IDLE_SHARE * (after.t_unix_s - before.t_unix_s):
            continue
        touches = merged and merged[-1][1] == before.t_unix_s
        since = merged.pop()[0] if touches else before.t_unix_s
        merged.append((since, after.t_unix_s))
    cut = [(max(since, start_unix_s), min(until, end_unix_s)) for since, until in merged]
    return [(since, until) for since, until in cut if until - since >= IDLE_S]


def described(samples: Sequence[Sample], since: float, until: float, start_unix_s: float) -> Window:
    """The window between two moments, with the cores that others and the host had in it."""
    times = [one.t_unix_s for one in samples]
    others_s = np.interp([since, until], times, [one.machine_s - one.cpu_s for one in samples])
    stolen_s = np.interp([since, until], times, [one.stolen_s for one in samples])
    return Window(
        start_s=since - start_unix_s,
        end_s=until - start_unix_s,
        others_cores=float(others_s[1] - others_s[0]) / (until - since),
        stolen_cores=float(stolen_s[1] - stolen_s[0]) / (until - since),
    )
