"""Use of each resource by a training: peak, 95th percentile, range and integral."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from evenground.analysis.groups import RUN, spread
from evenground.analysis.runs import Floats
from evenground.analysis.statistics import summarise
from evenground.analysis.timeline import COLUMNS

CPU, RAM = "cpu_pct", "rss_bytes"
KERNEL_PEAK = "kernel_peak_rss_bytes"
NO_KERNEL_PEAK = "largest sample only, as the kernel's mark is not known"
PERCENTILE = 95
UNITS = {
    CPU: "% of the machine",
    RAM: "bytes",
    "gpu_util_pct": "%",
    "vram_used_bytes": "bytes",
    "gpu_power_w": "W",
    "machine_used_bytes": "bytes",
    "free_used_bytes": "bytes",
    "cpu_since_boot_pct": "%",
}
# Unit -> unit of the integral over time.
INTEGRALS = {"% of the machine": "CPU-s", "bytes": "byte·s", "%": "%·s", "W": "W·s"}
# Half a nanosecond forgives the rounding of times in decimal seconds.
ROUNDING_S = 5e-10

Key = tuple[str, str, int]
"""Dataset, engine and repetition of a run."""


@dataclass(frozen=True)
class Training:
    """What is known of a training beside its samples; NaN is unknown."""

    training_s: float
    cores: float = np.nan
    kernel_peak_bytes: float = np.nan
    """The most that one of its processes held from launch to exit, as the kernel recorded."""


@dataclass(frozen=True, kw_only=True)
class Use:
    """Use of one resource during one training, `integral` in its unit times seconds."""

    peak: float = np.nan
    p95: float = np.nan
    range: float = np.nan
    integral: float = np.nan


def trainings(runs: pd.DataFrame, conditions: pd.DataFrame) -> dict[Key, Training]:
    """The finished trainings of the table `runs`, with peaks from the frame `conditions`."""
    done = runs[runs["status"] == "finished"].merge(
        conditions[RUN + [KERNEL_PEAK]], on=RUN, how="left"
    )
    numbers = done.astype(dict.fromkeys(("training_s", "cores", KERNEL_PEAK), "float64"))
    found = {}
    for run in numbers.to_dict("records"):
        found[run["dataset"], run["engine"], run["repetition"]] = Training(
            training_s=run["training_s"],
            cores=run["cores"],
            kernel_peak_bytes=run[KERNEL_PEAK],
        )
    return found


def use_during(
    t_s: Floats, values: Floats, training_s: float, grid_s: float, over_step: bool
) -> Use:
    """Use between t = 0 and `training_s`; `t_s` and `values` (K,) are steps of `grid_s`.

    A value at t counts for the step that ends at t. `over_step` values (CPU) are means over that
    step, so that only steps entirely inside the training give peak, percentile and range; momentary
    values count from t = 0 on. Each step has the same weight in the percentile, which is
    interpolated between two of them. The integral cuts its last step at `training_s`, and is NaN if
    any of its values is missing.
    """
    start_s = t_s - grid_s
    inside = (t_s <= training_s + ROUNDING_S) & (t_s >= -ROUNDING_S)
    if over_step:
        inside &= start_s >= -ROUNDING_S
    use = Use()
    known = values[inside & ~np.isnan(values)]
    if known.size:
        use = Use(
            peak=float(known.max()),
            p95=float(np.percentile(known, PERCENTILE)),
            range=float(known.max() - known.min()),
        )
    width_s = np.clip(training_s - start_s, 0.0, grid_s) * (start_s >= -ROUNDING_S)
    counted = width_s > ROUNDING_S
    # Only steps that cover the whole training have an integral.
    if abs(float(width_s.sum()) - training_s) < 1e-6:
        use = replace(use, integral=float(np.sum(values[counted] * width_s[counted])))
    return use


def resource_rows(
    timelines: pd.DataFrame,
    mean: pd.DataFrame,
    trained: Mapping[int, Training],
    grid_s: float,
    reasons: Mapping[str, str],
) -> list[dict[str, object]]:
    """One row per resource of one dataset and engine.

    `timelines` and `mean` are that group's rows, `trained` maps a repetition to its training,
    `reasons` a column to why runs have no value of it. `mean_curve_*` are taken from the mean curve
    up to the end of the shortest training; the others are per run, summarised over runs.
    """
    lines = [(trained[int(str(rep))], line) for rep, line in timelines.groupby("repetition")]
    shortest_s = min((training.training_s for training in trained.values()), default=np.nan)
    rows = []
    for name in COLUMNS:
        uses = [use_of(line, name, training, grid_s) for training, line in lines]
        curve = use_of(mean, name, Training(shortest_s), grid_s)
        integrals = [use.integral for use in uses]
        why = [_why_missing(name, uses, reasons)]
        if name == RAM and uses:
            why.append(_why_no_mark(trained))
        row: dict[str, object] = {
            "resource": name,
            "unit": UNITS[name],
            "n": summarise([use.peak for use in uses]).n,
            "mean_curve_peak": curve.peak,
            "mean_curve_range": curve.range,
            **spread("peak", [use.peak for use in uses]),
            **spread("p95", [use.p95 for use in uses]),
            **spread("range", [use.range for use in uses]),
            "integral_unit": INTEGRALS[UNITS[name]],
            "integral_n": summarise(integrals).n,
            **spread("integral", integrals),
            "reason": "; ".join(filter(None, why)),
        }
        rows.append(row)
    return rows


def use_of(frame: pd.DataFrame, name: str, training: Training, grid_s: float) -> Use:
    """Use of the resource `name` in one run's rows of the normalised timelines.

    The peak of the memory is the larger of the largest sample and the kernel's mark, which misses
    nothing.
    """
    t_s, values = frame["t_s"].to_numpy(np.float64), frame[name].to_numpy(np.float64)
    use = use_during(t_s, values, training.training_s, grid_s, over_step=name == CPU)
    if name == CPU:
        # From percent of the machine to CPU seconds.
        return replace(use, integral=use.integral * training.cores / 100)
    if name == RAM:
        # `fmax` takes the other one if one is NaN.
        return replace(use, peak=float(np.fmax(use.peak, training.kernel_peak_bytes)))
    return use


def _why_no_mark(trained: Mapping[int, Training]) -> str:
    """For how many runs the kernel's mark of the memory is unknown; empty if for none."""
    missing = sum(bool(np.isnan(training.kernel_peak_bytes)) for training in trained.values())
    if not missing:
        return ""
    if missing == len(trained):
        return f"peak: {NO_KERNEL_PEAK}"
    return f"peak: {NO_KERNEL_PEAK} ({missing} of {len(trained)} runs)"


def _why_missing(name: str, uses: list[Use], reasons: Mapping[str, str]) -> str:
    """Why values are missing: the recorded reason, a training shorter than the grid, or gaps."""
    if name in reasons:
        return reasons[name]
    if any(np.isnan(use.peak) for use in uses):
        return "no sample during a training, or a training shorter than one step of the grid"
    gaps = sum(bool(np.isnan(use.integral)) for use in uses)
    if gaps:
        return f"no integral for {gaps} of {len(uses)} runs: samples are missing during training"
    return ""
