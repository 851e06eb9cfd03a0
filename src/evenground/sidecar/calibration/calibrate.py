"""`sidecar calibrate`: known loads against the kernel's truth, as a table and as JSON."""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from evenground.sidecar.calibration import experiments
from evenground.sidecar.calibration.experiments import CalibrationError, Laboratory, NotHere
from evenground.sidecar.calibration.judge import GOALS, Figure, left_out, merge
from evenground.sidecar.output import write_json
from evenground.sidecar.summary import FAILED

LOAD_S: Final = 1.6
QUICK_LOAD_S: Final = 0.6
Experiment = Callable[[Laboratory, float], list[Figure]]
EXPERIMENTS: Final[tuple[Experiment, ...]] = (
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
    lambda lab, load_s: experiments.gpu(lab),
)
LEFT_OUT_WHEN_QUICK: Final[dict[Experiment, tuple[str, ...]]] = {
    experiments.half_core: ("half_core",),
    experiments.steps: ("step_memory", "step_cpu"),
    experiments.shared: ("shared_pss",),
    experiments.own_cpu: ("own_cpu_10hz", "own_cpu_1000hz"),
}
_CLOCK: Final = Path("/sys/devices/system/clocksource/clocksource0/current_clocksource")


class Calibration(NamedTuple):
    """Every figure of GOALS, in that order, and what they hold for."""

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


def calibrate(
    load_s: float = LOAD_S,
    *,
    quick: bool = False,
    options: Sequence[str] = (),
    folder: Path | None = None,
    card: str | None = None,
) -> Calibration:
    """Run every known load beside a sidecar of its own, about `load_s` seconds each, and judge the rows.

    `quick` leaves out some; `options` are further ones of `sidecar run`; files go to `folder`, by default a
    temporary one. `card` is the UUID of the card or MIG instance to load; None: the one that CUDA counts
    first. CalibrationError or OSError when a load or its sidecar fails.
    """
    began_s = time.monotonic()
    figures: list[Figure] = []
    reasons: list[str] = []
    with tempfile.TemporaryDirectory(prefix="sidecar-calibrate-", dir=folder) as scratch:
        lab = Laboratory(Path(scratch), options, card=card)
        for experiment in EXPERIMENTS:
            if quick and experiment in LEFT_OUT_WHEN_QUICK:
                names = LEFT_OUT_WHEN_QUICK[experiment]
                figures += [left_out(name, "left out by --quick") for name in names]
                continue
            try:
                figures += experiment(lab, load_s)
            except NotHere as error:
                reasons.append(str(error))
    merged = {figure.name: figure for figure in merge(figures)}
    ordered = tuple(merged.get(name) or left_out(name, "; ".join(reasons)) for name in GOALS)
    return Calibration(ordered, quick, time.monotonic() - began_s, machine(), lab.modes)


def machine() -> dict[str, str | int]:
    """What the figures depend on: usable cores, kernel release, clock source."""
    clock = (
        _CLOCK.read_text().strip()
        if _CLOCK.exists()
        else time.get_clock_info("monotonic").implementation
    )
    return {"cpus": experiments.cores(), "kernel_release": os.uname().release, "clock": clock}


def calibrate_command(output: Path | None, quick: bool, card: str | None = None) -> int:
    """Calibrate, print the table, write JSON to `output`; the exit status.

    0: every figure that can be measured here passes; 1: one fails; 125: the calibration itself failed.
    """
    try:
        done = calibrate(QUICK_LOAD_S if quick else LOAD_S, quick=quick, card=card)
        print(table(done.figures), flush=True)
        if output:
            write_json(output, done.as_json())
    except (CalibrationError, OSError, ValueError, LookupError) as error:
        print(f"sidecar: the calibration failed: {error}", file=sys.stderr, flush=True)
        return FAILED
    return 0 if done.passed else 1


def table(figures: Sequence[Figure]) -> str:
    """One line per figure: what, goal, measured, pass; aligned for a terminal."""
    lines = [("figure", "goal", "measured", "pass")]
    lines += [
        (figure.what, goal_text(figure), measured_text(figure), verdict(figure))
        for figure in figures
    ]
    widths = [max(len(line[column]) for line in lines) for column in range(3)]
    return "\n".join(
        f"{what:<{widths[0]}}  {goal:>{widths[1]}}  {measured:>{widths[2]}}  {passed}"
        for what, goal, measured, passed in lines
    )


def goal_text(figure: Figure) -> str:
    """The goal with its unit."""
    if figure.goal is None:
        return "-"
    return f"{'at least' if figure.at_least else 'at most'} {figure.goal:.4g} {figure.unit}"


def measured_text(figure: Figure) -> str:
    """The measured value with its unit."""
    return "-" if figure.measured is None else f"{figure.measured:.3f} {figure.unit}"


def verdict(figure: Figure) -> str:
    """Passed, failed, or the reason why there is no answer."""
    if figure.passed is None:
        return f"- ({figure.reason})"
    return "yes" if figure.passed else "NO" + (f" ({figure.reason})" if figure.reason else "")


def _as_json(figure: Figure) -> dict[str, Any]:
    content = figure._asdict()
    del content["name"]
    return content
