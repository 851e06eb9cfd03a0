"""What a training used of each resource: range, peak and integral, from the normalised frames."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from evenground.analysis.runs import Floats
from evenground.analysis.statistics import Summary, summarise
from evenground.analysis.timeline import COLUMNS

UNITS = {
    "cpu_pct": "% of one core",
    "rss_bytes": "bytes",
    "gpu_util_pct": "%",
    "vram_used_bytes": "bytes",
    "gpu_power_w": "W",
    "machine_used_bytes": "bytes",
    "free_used_bytes": "bytes",
    "cpu_since_boot_pct": "%",
}
# Unit of the integral, and what the resource's own unit times seconds is divided by to give it.
INTEGRALS = {
    "cpu_pct": ("CPU-s", 100.0),
    "gpu_power_w": ("W·s", 1.0),
    "gpu_util_pct": ("%·s", 1.0),
    "cpu_since_boot_pct": ("%·s", 1.0),
}
BYTE_SECONDS = ("byte·s", 1.0)
FIELDS = ("peak", "range", "integral")


@dataclass(frozen=True)
class Use:
    """Use of one resource during one training: peak and range in its unit, integral in that unit times s."""

    peak: float
    range: float
    integral: float


def use_during(t_s: Floats, values: Floats, training_s: float, grid_s: float, over_step: bool) -> Use:
    """Use between t = 0 and `training_s`; `t_s` (K,) in steps of `grid_s`, `values` (K,) with NaN missing.

    A value at t counts for the step that ends at t. `over_step` values (CPU) are means over that step,
    so only steps wholly inside the training give peak and range; momentary values count from t = 0 on.
    The integral cuts its last step at `training_s` and is NaN where any of its values is missing.
    """
    start = t_s - grid_s
    # Half a nanosecond forgives the rounding of t_s in decimal seconds.
    inside = (t_s <= training_s + 5e-10) & ((start >= -5e-10) if over_step else (t_s >= -5e-10))
    known = values[inside & ~np.isnan(values)]
    peak = float(known.max()) if known.size else np.nan
    spread = float(known.max() - known.min()) if known.size else np.nan
    width = np.clip(training_s - start, 0.0, grid_s) * (start >= -5e-10)
    counted = width > 5e-10
    covered = bool(counted.any()) and abs(float(width.sum()) - training_s) < 1e-6
    integral = float(np.sum(values[counted] * width[counted])) if covered else np.nan
    return Use(peak, spread, integral)


def resource_rows(
    timelines: pd.DataFrame,
    mean: pd.DataFrame,
    training_s: dict[int, float],
    grid_s: float,
    reasons: dict[str, str],
) -> list[dict[str, object]]:
    """One row per resource of one dataset and engine.

    `timelines` and `mean` are that group's rows, `training_s` maps repetition to its training time,
    `reasons` maps a column to why runs lack it. `mean_curve_*` are taken from the mean curve up to
    the end of the shortest training; the others are per run, summarised over runs.
    """
    lines = {int(str(rep)): frame for rep, frame in timelines.groupby("repetition")}
    shortest = min(training_s.values(), default=float("nan"))
    rows: list[dict[str, object]] = []
    for name in COLUMNS:
        uses = [use_of(frame, name, training_s[rep], grid_s) for rep, frame in lines.items()]
        curve = use_of(mean, name, shortest, grid_s) if len(mean) else Use(np.nan, np.nan, np.nan)
        summaries = {field: summarise([getattr(use, field) for use in uses]) for field in FIELDS}
        row: dict[str, object] = {
            "resource": name,
            "unit": UNITS[name],
            "n": summaries["peak"].n,
            "mean_curve_peak": curve.peak,
            "mean_curve_range": curve.range,
        }
        row |= {
            f"{field}_{key}": value
            for field in ("peak", "range")
            for key, value in _short(summaries[field]).items()
        }
        row |= {"integral_unit": INTEGRALS.get(name, BYTE_SECONDS)[0], "integral_n": summaries["integral"].n}
        row |= {f"integral_{key}": value for key, value in _short(summaries["integral"]).items()}
        row["reason"] = _reason(name, uses, reasons)
        rows.append(row)
    return rows


def use_of(frame: pd.DataFrame, name: str, training_s: float, grid_s: float) -> Use:
    """Use of the resource `name` in one run's rows of the normalised timelines; units as in the tables."""
    t_s, values = frame["t_s"].to_numpy(np.float64), frame[name].to_numpy(np.float64)
    use = use_during(t_s, values, training_s, grid_s, over_step=name == "cpu_pct")
    return replace(use, integral=use.integral / INTEGRALS.get(name, BYTE_SECONDS)[1])


def _short(summary: Summary) -> dict[str, float]:
    return {"median": summary.median, "min": summary.minimum, "max": summary.maximum}


def _reason(name: str, uses: list[Use], reasons: dict[str, str]) -> str:
    """Why values are missing: as recorded, else because the training is shorter than the grid or has gaps."""
    if name in reasons:
        return reasons[name]
    if any(np.isnan(use.peak) for use in uses):
        return "no sample during a training, or a training shorter than one step of the grid"
    gaps = sum(bool(np.isnan(use.integral)) for use in uses)
    return f"no integral for {gaps} of {len(uses)} runs: samples are missing during training" if gaps else ""
