"""`sidecar calibrate`: known loads against the kernel's truth, as a table and as JSON."""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from evenground.sidecar.calibration import experiments
from evenground.sidecar.calibration.experiments import CalibrationError, Harness, NotHere
from evenground.sidecar.calibration.judge import GOALS, Figure, left_out
from evenground.sidecar.output import write_json
from evenground.sidecar.summary import FAILED

LOAD_S = 1.6
QUICK_LOAD_S = 0.6
Experiment = Callable[[Harness, float], list[Figure]]
EXPERIMENTS: tuple[Experiment, ...] = (
    experiments.half_core,
    experiments.full_cores,
    experiments.short_children,
    experiments.orphan,
    experiments.memory,
    experiments.shared,
    experiments.steps,
    experiments.idle_lateness,
    experiments.loaded_lateness,
    experiments.own_cpu,
    experiments.gpu,
)
LEFT_OUT_WHEN_QUICK: tuple[Experiment, ...] = (
    experiments.half_core,
    experiments.steps,
    experiments.shared,
    experiments.own_cpu,
)
_CLOCK = Path("/sys/devices/system/clocksource/clocksource0/current_clocksource")


class Calibration(NamedTuple):
    """Every figure of GOALS, in that order, and the conditions they were measured under."""

    figures: tuple[Figure, ...]
    quick: bool
    took_s: float
    machine: dict[str, str | int]
    sidecar: dict[str, str]

    @property
    def passed(self) -> bool:
        """Whether no figure failed."""
        return all(figure.passed is not False for figure in self.figures)

    def as_json(self) -> dict[str, Any]:
        """The content of the file: schema 1."""
        return {
            "schema": 1,
            "machine": self.machine,
            "sidecar": self.sidecar,
            "quick": self.quick,
            "took_s": round(self.took_s, 3),
            "passed": self.passed,
            "figures": {figure.name: _as_json(figure) for figure in self.figures},
        }


def calibrate(load_s: float, *, quick: bool = False, card: str | None = None) -> Calibration:
    """Run every known load, about `load_s` seconds each, under its own sidecar; judge the rows.

    `quick` leaves out some. `card` is the UUID of the card or MIG instance to load; None for the
    one that CUDA counts first. Raises CalibrationError or OSError if a load or its sidecar fails.
    """
    began_s = time.monotonic()
    figures: list[Figure] = []
    # Why there may be figures without a value.
    reasons: list[str] = []
    if quick:
        reasons.append("left out by --quick")
    with tempfile.TemporaryDirectory(prefix="sidecar-calibrate-") as scratch:
        harness = Harness(Path(scratch), card=card)
        for experiment in EXPERIMENTS:
            if quick and experiment in LEFT_OUT_WHEN_QUICK:
                continue
            try:
                figures += experiment(harness, load_s)
            except NotHere as error:
                reasons.append(str(error))
    by_name = {name: left_out(name, "; ".join(reasons)) for name in GOALS}
    # Several loads judge the totals of CPU: of one name the last stays, the largest error.
    figures.sort(key=lambda figure: figure.measured or 0.0)
    by_name |= {figure.name: figure for figure in figures}
    return Calibration(
        figures=tuple(by_name.values()),
        quick=quick,
        took_s=time.monotonic() - began_s,
        machine=machine(),
        sidecar=harness.modes,
    )


def machine() -> dict[str, str | int]:
    """What the figures depend on: usable cores, kernel release, clock source."""
    clock = time.get_clock_info("monotonic").implementation
    if _CLOCK.exists():
        clock = _CLOCK.read_text().strip()
    return {"cpus": experiments.cores(), "kernel_release": os.uname().release, "clock": clock}


def calibrate_command(output: Path | None, quick: bool, card: str | None = None) -> int:
    """Calibrate, print the table, write JSON to `output`; returns the exit status.

    0: every figure that can be measured here passes; 1: one fails; 125: the calibration failed.
    """
    load_s = LOAD_S
    if quick:
        load_s = QUICK_LOAD_S
    try:
        done = calibrate(load_s, quick=quick, card=card)
        print(table(done.figures), flush=True)
        if output:
            write_json(output, done.as_json())
    # ValueError and LookupError: rows or headers that are not as the sidecar should write them.
    except (CalibrationError, OSError, ValueError, LookupError) as error:
        print(f"sidecar: the calibration failed: {error}", file=sys.stderr, flush=True)
        return FAILED
    return int(not done.passed)


def table(figures: Sequence[Figure]) -> str:
    """One line per figure with its meaning, goal, value and verdict; aligned for a terminal."""
    lines = [("figure", "goal", "measured", "pass")]
    for figure in figures:
        lines.append((figure.goal.what, goal_text(figure), measured_text(figure), verdict(figure)))
    widths = [max(len(line[column]) for line in lines) for column in range(3)]
    return "\n".join(
        f"{what:<{widths[0]}}  {goal:>{widths[1]}}  {measured:>{widths[2]}}  {passed}"
        for what, goal, measured, passed in lines
    )


def goal_text(figure: Figure) -> str:
    """The goal with its unit."""
    goal = figure.goal
    if goal.limit is None:
        return "-"
    bound = "at least" if goal.at_least else "at most"
    return f"{bound} {goal.limit:.4g} {goal.unit}"


def measured_text(figure: Figure) -> str:
    """The measured value with its unit."""
    if figure.measured is None:
        return "-"
    return f"{figure.measured:.3f} {figure.goal.unit}"


def verdict(figure: Figure) -> str:
    """Passed, failed, or the reason why that is not known."""
    if figure.passed is None:
        return f"- ({figure.reason})"
    if figure.passed:
        return "yes"
    if figure.reason:
        return f"NO ({figure.reason})"
    return "NO"


def _as_json(figure: Figure) -> dict[str, Any]:
    return {
        "what": figure.goal.what,
        "unit": figure.goal.unit,
        "goal": figure.goal.limit,
        "at_least": figure.goal.at_least,
        "measured": figure.measured,
        "passed": figure.passed,
        "reason": figure.reason,
    }
