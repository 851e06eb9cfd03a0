"""Use of each resource by a training: peak, 95th percentile, range and integral."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from evenground.analysis.columns import (
    FLAGGED,
    GROUP,
    N_WANTED,
    REASON,
    RESOURCE,
    UNIT,
    N,
    columns,
    number,
    spread,
    text,
    whole,
)
from evenground.analysis.groups import Rows, counts, group, groups, median_and_range
from evenground.analysis.runs import Floats, or_nan
from evenground.analysis.seen import Seen
from evenground.analysis.table import frame_of
from evenground.analysis.timeline import COLUMNS, RESOURCES, step_ns
from evenground.records.index import Condition

CPU, RAM = "cpu_pct", "rss_bytes"
KERNEL_PEAK = "kernel_peak_rss_bytes"
NO_KERNEL_PEAK = "largest sample only, as the kernel's mark is not known"
PERCENTILE = 95
UNITS = {column.name: column.unit for column in RESOURCES}
# Unit -> unit of the integral over time.
INTEGRALS = {"% of the machine": "CPU-s", "bytes": "byte·s", "%": "%·s", "W": "W·s"}
INTEGRAL_UNIT = text("integral_unit", "Unit of the integral: CPU seconds, or unit times seconds.")
MEAN_CURVE = (
    number(
        "mean_curve_peak", UNIT, "Peak of the mean curve, up to the end of the shortest training."
    ),
    number("mean_curve_range", UNIT, "Largest less smallest value of the mean curve, likewise."),
)
PEAK = spread(
    "peak",
    UNIT,
    "Largest sample of a run, and of `rss_bytes` what the kernel kept as the most that one process "
    "ever held, if that is larger: of its whole life, loading and evaluation included",
)
TABLE = columns(
    GROUP,
    N_WANTED,
    FLAGGED,
    RESOURCE,
    UNIT,
    N,
    MEAN_CURVE,
    PEAK,
    spread("p95", UNIT, "95th percentile of a run, every step of the grid counting the same"),
    spread("range", UNIT, "Largest less smallest sample of a run"),
    INTEGRAL_UNIT,
    whole("integral_n", "Runs behind the integral."),
    spread("integral", INTEGRAL_UNIT, "Integral of a run over the training"),
    REASON,
)
# Half a nanosecond forgives the rounding of times in decimal seconds.
ROUNDING_S = 5e-10


@dataclass(frozen=True, kw_only=True)
class Use:
    """Use of one resource during one training, `integral` in its unit times seconds."""

    peak: float = np.nan
    p95: float = np.nan
    range: float = np.nan
    integral: float = np.nan


FRAME = (
    RESOURCE,
    number("peak", "", "Largest value, as in the table `resources`, in the unit of the resource."),
    number("p95", "", "95th percentile."),
    number("range", "", "Largest less smallest value."),
    number("integral", "", "Integral over the training: CPU seconds, or unit times seconds."),
)


def uses_of(seen: Seen) -> Rows:
    """The use of every resource by a run, as FRAME describes it.

    The peak of the memory is the larger of the largest sample and the kernel's mark, which misses
    nothing: the most that one of its processes ever held, from launch to exit.
    """
    events, line = seen.run.events, seen.line
    training_s = (events.train_end_ns - events.train_start_ns) / 1e9
    t_s = line.step * step_ns(seen.grid_s) / 1e9
    rows: Rows = []
    for name, values in line.columns.items():
        use = use_during(t_s, values, training_s, seen.grid_s, over_step=name == CPU)
        if name == CPU:
            # From percent of the machine to CPU seconds.
            use = replace(use, integral=use.integral * or_nan(seen.cores) / 100)
        if name == RAM:
            kernel_peak_bytes = or_nan(seen.run.process.peak_process_rss_bytes)
            # `fmax` takes the other one if one is NaN.
            use = replace(use, peak=float(np.fmax(use.peak, kernel_peak_bytes)))
        rows.append({"resource": name, **vars(use)})
    return rows


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


def resources_table(
    condition: Condition,
    runs: pd.DataFrame,
    use: pd.DataFrame,
    mean: pd.DataFrame,
    circumstances: pd.DataFrame,
    missing: pd.DataFrame,
) -> pd.DataFrame:
    """Per dataset, engine and resource: peak, percentile, range and integral in training.

    `mean_curve_*` are taken from the mean curve up to the end of the shortest training; the others
    are per run, summarised over runs.
    """
    grid_s = condition.report.grid_s
    rows: Rows = []
    for names, wanted in groups(condition, runs):
        of_group, means = group(use, **names), group(mean, **names)
        t_s = means["t_s"].to_numpy(np.float64)
        shortest_s = float(wanted["training_s"].min())
        absent = group(missing, **names).to_dict("records")
        reasons = {str(row["column"]): _reason(row) for row in absent}
        marks = group(circumstances, **names)[KERNEL_PEAK]
        for name in COLUMNS:
            uses = of_group[of_group["resource"] == name]
            values = means[name].to_numpy(np.float64)
            curve = use_during(t_s, values, shortest_s, grid_s, over_step=name == CPU)
            why = [_why_missing(name, uses, reasons)]
            if name == RAM:
                why.append(_why_no_mark(marks))
            row = {
                **names,
                **counts(wanted),
                "resource": name,
                "unit": UNITS[name],
                "n": int(uses["peak"].notna().sum()),
                "mean_curve_peak": curve.peak,
                "mean_curve_range": curve.range,
                **median_and_range("peak", uses["peak"]),
                **median_and_range("p95", uses["p95"]),
                **median_and_range("range", uses["range"]),
                "integral_unit": INTEGRALS[UNITS[name]],
                "integral_n": int(uses["integral"].notna().sum()),
                **median_and_range("integral", uses["integral"]),
                "reason": "; ".join(filter(None, why)),
            }
            rows.append(row)
    return frame_of(rows, TABLE)


def _reason(row: Mapping[Hashable, object]) -> str:
    """A reason of `missing.csv`, with the number of runs unless it holds for all."""
    if row["n_missing"] == row["n"]:
        return str(row["reason"])
    return f"{row['reason']} ({row['n_missing']} of {row['n']} runs)"


def _why_no_mark(marks: pd.Series[float]) -> str:
    """For how many runs the kernel's mark of the memory is unknown; empty if for none."""
    missing = int(marks.isna().sum())
    if not missing:
        return ""
    if missing == len(marks):
        return f"peak: {NO_KERNEL_PEAK}"
    return f"peak: {NO_KERNEL_PEAK} ({missing} of {len(marks)} runs)"


def _why_missing(name: str, uses: pd.DataFrame, reasons: Mapping[str, str]) -> str:
    """Why values are missing: the recorded reason, a training shorter than the grid, or gaps."""
    if name in reasons:
        return reasons[name]
    if uses["peak"].isna().any():
        return "no sample during a training, or a training shorter than one step of the grid"
    gaps = int(uses["integral"].isna().sum())
    if gaps:
        return f"no integral for {gaps} of {len(uses)} runs: samples are missing during training"
    return ""
