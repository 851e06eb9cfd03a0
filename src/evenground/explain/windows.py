"""The idle windows of an extra training, on the clock that its tracers share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from evenground.analysis.idle import CPU, NONE, IdleRow, idle_of
from evenground.analysis.phases import phases_of
from evenground.analysis.runs import Run
from evenground.explain.places import ExplainedRecord
from evenground.explain.training import Explained
from evenground.records.index import WantedRun


@dataclass(frozen=True)
class Window:
    """One idle window: its cells in the table, and its edges on the monotonic clock."""

    cells: Mapping[str, object]
    start_ns: int
    end_ns: int

    @property
    def length_ns(self) -> int:
        """The time between its edges."""
        return self.end_ns - self.start_ns

    def inside_ns(self, start_ns: int, end_ns: int) -> int:
        """Return how much of the time between two monotonic moments lies in it."""
        return max(0, min(end_ns, self.end_ns) - max(start_ns, self.start_ns))


def windows_of(explained: Explained) -> tuple[list[Window], str]:
    """Return the idle windows of a finished extra training, and why there are none.

    Raises EvengroundError if its files cannot be read.
    """
    run = Run(_wanted(explained.record), explained.folder, explained.record.files)
    samples = run.samples()
    idle = idle_of(run, samples, phases_of(run.events, run.process))
    rows = [row for row in idle.rows if row.resource == CPU]
    return _on_monotonic(run, rows), idle.reason or NONE


def _wanted(record: ExplainedRecord) -> WantedRun:
    return WantedRun(
        dataset=record.dataset,
        engine=record.engine,
        repetition=1,
        key=record.key,
        order=1,
        status="finished",
    )


def _on_monotonic(run: Run, rows: Sequence[IdleRow]) -> list[Window]:
    # The rows count from the start of training, which the events date on the system's clock.
    zero_ns = run.events.train_start_ns - run.times.clock.anchor_ns

    windows = []
    for number, row in enumerate(rows, start=1):
        cells = {
            "window": number,
            "phase": row.phase,
            "start_s": row.start_s,
            "length_s": row.length_s,
        }
        start_ns = zero_ns + round(row.start_s * 1e9)
        end_ns = zero_ns + round(row.end_s * 1e9)
        windows.append(Window(cells=cells, start_ns=start_ns, end_ns=end_ns))
    return windows
