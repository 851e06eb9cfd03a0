"""The sampler's calibration on a machine, as `sidecar calibrate` writes it (docs/sidecar.md)."""

from __future__ import annotations

from typing import ClassVar

from evenground.records.base import TravellingFields, TravellingRecord


class Figure(TravellingFields):
    """One figure; without a goal or a value `passed` is None, and `reason` explains it."""

    what: str
    unit: str
    goal: float | None
    at_least: bool
    measured: float | None
    passed: bool | None
    reason: str | None = None


class Calibration(TravellingRecord):
    """Every figure by its name; one that could not run has a single figure that failed."""

    WHAT: ClassVar[str] = "calibration"

    machine: dict[str, int | str] = {}
    """What the figures depend on: usable cores, kernel release, clock source."""
    sidecar: dict[str, str] = {}
    """How rows were timed and CPU was counted; empty if no sidecar got that far."""
    quick: bool = False
    took_s: float | None = None
    passed: bool
    figures: dict[str, Figure]

    def failed(self) -> list[str]:
        """What was measured and found insufficient."""
        return [figure.what for figure in self.figures.values() if figure.passed is False]
