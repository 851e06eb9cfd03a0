"""What a training used of each resource: peak, 95th percentile, range and integral, from the frames."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from evenground.analysis.groups import spread
from evenground.analysis.runs import Floats
from evenground.analysis.statistics import summarise
from evenground.analysis.timeline import COLUMNS

CPU, RAM = "cpu_pct", "rss_bytes"
KERNEL_PEAK = "kernel_peak_rss_bytes"
NO_KERNEL_PEAK = "largest sample only, as the kernel's mark is not known"
SHARE = 95
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
# All others are in bytes.
INTEGRALS = {CPU: "CPU-s", "gpu_power_w": "W·s", "gpu_util_pct": "%·s", "cpu_since_boot_pct": "%·s"}
BYTE_SECONDS = "byte·s"
SPREADS = ("peak", "p95", "range")

Key = tuple[str, str, int]
"""Dataset, engine and repetition of a run."""


@dataclass(frozen=True)
class Training:
    """What is known of a training beside its samples; NaN is not known.

    `kernel_peak_bytes` is the most memory that one of its processes held from launch to exit, as the kernel
    kept it.
    """

    training_s: float
    cores: float = np.nan
    kernel_peak_bytes: float = np.nan


@dataclass(frozen=True)
class Use:
    """Use of one resource during one training: `integral` in its unit times seconds, the rest in its unit."""

    peak: float
    p95: float
    range: float
    integral: float


def trainings(runs: pd.DataFrame, conditions: pd.DataFrame) -> dict[Key, Training]:
    """The finished trainings of the table `runs`, with what the frame `conditions` has of them."""
    keys = ["dataset", "engine", "repetition"]
    done = runs[runs["status"] == "finished"].merge(
        conditions[[*keys, KERNEL_PEAK]], on=keys, how="left"
    )
    numbers = done.astype(dict.fromkeys(("training_s", "cores", KERNEL_PEAK), "float64"))
    return {
        (str(run["dataset"]), str(run["engine"]), int(run["repetition"])): Training(
            training_s=run["training_s"],
            cores=run["cores"],
            kernel_peak_bytes=run[KERNEL_PEAK],
        )
        for run in numbers.to_dict("records")
    }


def use_during(
    t_s: Floats, values: Floats, training_s: float, grid_s: float, over_step: bool
) -> Use:
    """Use between t = 0 and `training_s`; `t_s` (K,) in steps of `grid_s`, `values` (K,) with NaN missing.

    A value at t counts for the step that ends at t. `over_step` values (CPU) are means over that step,
    so only steps wholly inside the training give peak, percentile and range; momentary values count from
    t = 0 on. Each step weighs the same in the percentile, which lies between two of them where it must.
    The integral cuts its last step at `training_s` and is NaN where any of its values is missing.
    """
    start = t_s - grid_s
    # Half a nanosecond forgives the rounding of t_s in decimal seconds.
    inside = (t_s <= training_s + 5e-10) & ((start >= -5e-10) if over_step else (t_s >= -5e-10))
    known = values[inside & ~np.isnan(values)]
    peak = float(known.max()) if known.size else np.nan
    p95 = float(np.percentile(known, SHARE)) if known.size else np.nan
    spread = float(known.max() - known.min()) if known.size else np.nan
    width = np.clip(training_s - start, 0.0, grid_s) * (start >= -5e-10)
    counted = width > 5e-10
    covered = bool(counted.any()) and abs(float(width.sum()) - training_s) < 1e-6
    integral = float(np.sum(values[counted] * width[counted])) if covered else np.nan
    return Use(peak=peak, p95=p95, range=spread, integral=integral)


def resource_rows(
    timelines: pd.DataFrame,
    mean: pd.DataFrame,
    trained: Mapping[int, Training],
    grid_s: float,
    reasons: Mapping[str, str],
) -> list[dict[str, object]]:
    """One row per resource of one dataset and engine.

    `timelines` and `mean` are that group's rows, `trained` maps repetition to its training, `reasons` a
    column to why runs lack it. `mean_curve_*` are taken from the mean curve up to the end of the shortest
    training; the others are per run, summarised over runs.
    """
    lines = {int(str(rep)): frame for rep, frame in timelines.groupby("repetition")}
    shortest = Training(min((training.training_s for training in trained.values()), default=np.nan))
    rows: list[dict[str, object]] = []
    for name in COLUMNS:
        uses = [use_of(frame, name, trained[rep], grid_s) for rep, frame in lines.items()]
        curve = use_of(mean, name, shortest, grid_s) if len(mean) else Use(*[np.nan] * 4)
        row: dict[str, object] = {
            "resource": name,
            "unit": UNITS[name],
            "n": summarise([use.peak for use in uses]).n,
            "mean_curve_peak": curve.peak,
            "mean_curve_range": curve.range,
        }
        for field in SPREADS:
            row |= spread(field, [getattr(use, field) for use in uses])
        row["integral_unit"] = INTEGRALS.get(name, BYTE_SECONDS)
        row["integral_n"] = summarise([use.integral for use in uses]).n
        row |= spread("integral", [use.integral for use in uses])
        remark = _unmarked(trained) if name == RAM and uses else ""
        row["reason"] = "; ".join(filter(None, (_reason(name, uses, reasons), remark)))
        rows.append(row)
    return rows


def use_of(frame: pd.DataFrame, name: str, training: Training, grid_s: float) -> Use:
    """Use of the resource `name` in one run's rows of the normalised timelines; units as in the tables.

    The peak of the memory is the larger of the largest sample and the kernel's mark, which no sample misses.
    """
    t_s, values = frame["t_s"].to_numpy(np.float64), frame[name].to_numpy(np.float64)
    use = use_during(t_s, values, training.training_s, grid_s, over_step=name == CPU)
    if name == CPU:
        return replace(use, integral=use.integral * training.cores / 100)
    if name == RAM:
        return replace(use, peak=float(np.fmax(use.peak, training.kernel_peak_bytes)))
    return use


def _unmarked(trained: Mapping[int, Training]) -> str:
    """Of how many runs the kernel's mark of the memory is not known; empty where it is of all."""
    lacking = sum(bool(np.isnan(training.kernel_peak_bytes)) for training in trained.values())
    few = f" ({lacking} of {len(trained)} runs)" if lacking < len(trained) else ""
    return f"peak: {NO_KERNEL_PEAK}{few}" if lacking else ""


def _reason(name: str, uses: list[Use], reasons: Mapping[str, str]) -> str:
    """Why values are missing: as recorded, else because the training is shorter than the grid or has gaps."""
    if name in reasons:
        return reasons[name]
    if any(np.isnan(use.peak) for use in uses):
        return "no sample during a training, or a training shorter than one step of the grid"
    gaps = sum(bool(np.isnan(use.integral)) for use in uses)
    return (
        f"no integral for {gaps} of {len(uses)} runs: samples are missing during training"
        if gaps
        else ""
    )
