"""One finished run, read once for all frames that are made of it."""

from __future__ import annotations

from dataclasses import dataclass

from evenground.analysis.environment import read_environment
from evenground.analysis.idle import CPU, Idle, idle_of
from evenground.analysis.phases import Phase, phases_of
from evenground.analysis.runs import Run, Samples
from evenground.analysis.timeline import Timeline, align
from evenground.records.environment import Environment

Windows = tuple[tuple[float, float], ...]
"""Start and end of each window, in seconds after the start of training."""


@dataclass(frozen=True, kw_only=True)
class Seen:
    """A run with everything recorded of it; `line`: its samples on a grid of `grid_s` seconds."""

    run: Run
    samples: Samples
    environment: Environment
    grid_s: float
    line: Timeline
    phases: list[Phase]
    idle: Idle

    @property
    def cores(self) -> int | None:
        """Cores of the machine, as the sampler counted them; None if unknown."""
        return self.run.process.cores

    @property
    def idle_windows(self) -> Windows | None:
        """When nothing was computed during the training; None if unknown."""
        if self.idle.reason:
            return None
        # A GPU that is idle does not mean that the run waits.
        rows = [row for row in self.idle.rows if row.resource == CPU]
        return tuple((row.start_s, row.end_s) for row in rows)


def see(run: Run, grid_s: float) -> Seen:
    """Read everything of a run. Raises EvengroundError if it cannot be read."""
    samples = run.samples()
    phases = phases_of(run.events, run.process)
    return Seen(
        run=run,
        samples=samples,
        environment=read_environment(run),
        grid_s=grid_s,
        line=align(run.events, run.process, samples, grid_s),
        phases=phases,
        idle=idle_of(run, samples, phases),
    )
