"""The idle windows of an extra training, on the clock that its tracers share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from evenground.analysis.groups import Rows
from evenground.analysis.idle import CPU, NONE, idle_of
from evenground.analysis.index import WantedRun
from evenground.analysis.phases import phase_rows
from evenground.analysis.runs import Run
from evenground.explain.training import Explained


@dataclass(frozen=True)
class Window:
    """One idle window: its cells in the table, and its edges on the monotonic clock."""

    cells: Mapping[str, object]
    start_ns: int
    end_ns: int

    def inside_ns(self, start_ns: int, end_ns: int) -> int:
        """How much of the time between two monotonic moments lies in it."""
        return max(0, min(end_ns, self.end_ns) - max(start_ns, self.start_ns))


@dataclass(frozen=True)
class Windows:
    """Those of one training in order, and where there is none why."""

    found: tuple[Window, ...]
    why_none: str


def windows_of(explained: Explained) -> Windows:
    """The idle windows of a finished extra training; EvengroundError when its files cannot be read."""
    run = Run(_wanted(explained), explained.folder, explained.files)
    samples = run.samples()
    idle = idle_of(run, samples, phase_rows(run.events, run.process))
    rows = [row for row in idle.rows if row["resource"] == CPU]
    return Windows(tuple(_on_monotonic(run, rows)), str(idle.condition["idle_reason"] or NONE))


def _wanted(explained: Explained) -> WantedRun:
    run = explained.run
    return WantedRun(run.dataset, run.engine, run.repetition, run.key, run.order, "finished")


def _on_monotonic(run: Run, rows: Rows) -> list[Window]:
    """The windows with their edges on the monotonic clock."""
    # Of the start of training, which the rows count from.
    zero_ns = run.events.train_start_ns - run.times.clock.anchor_ns
    windows = []
    for number, row in enumerate(rows, start=1):
        start_ns, end_ns = (
            zero_ns + round(float(str(row[name])) * 1e9) for name in ("start_s", "end_s")
        )
        cells = {name: row[name] for name in ("phase", "start_s", "length_s")}
        windows.append(Window({"window": number, **cells}, start_ns, end_ns))
    return windows
