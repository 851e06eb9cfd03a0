"""The sampler's calibration on a machine, as `sidecar calibrate` writes it (docs/sidecar.md)."""

from __future__ import annotations

from typing import ClassVar

from evenground.records.base import TravellingFields, TravellingRecord


class Figure(TravellingFields):
    """One figure."""

    what: str
    """What was measured, in words."""
    unit: str
    """Unit of the goal and of the measured value."""
    goal: float | None
    """What the value has to be at most, or at least; null: no goal."""
    at_least: bool
    """Whether the goal is the least value that meets it, and not the greatest."""
    measured: float | None
    """The value; null: it could not be measured."""
    passed: bool | None
    """Whether it meets the goal; null: that is not judged."""
    reason: str | None = None
    """Why it has no value or is not judged; null if it needs no explanation."""


class Calibration(TravellingRecord):
    """Every figure by its name; one that could not run has a single figure that failed."""

    WHAT: ClassVar[str] = "calibration"

    machine: dict[str, int | str] = {}
    """What the figures depend on: usable cores, kernel release, clock source."""
    sidecar: dict[str, str] = {}
    """How rows were timed and CPU was counted; empty if no sidecar got that far."""
    quick: bool = False
    """Whether loads were shortened and some left out."""
    took_s: float | None = None
    """How long it took, in seconds; null if it could not run."""
    passed: bool
    """Whether no figure failed."""
    figures: dict[str, Figure]
    """Name of a figure -> what was measured."""

    def failed(self) -> list[str]:
        """What was measured and found insufficient."""
        return [figure.what for figure in self.figures.values() if figure.passed is False]
