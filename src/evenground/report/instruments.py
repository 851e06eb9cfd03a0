"""CPU and memory of the same runs as two instruments show them: ours and the thesis's."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from evenground.analysis.environment import read_environment
from evenground.analysis.runs import read_runs
from evenground.records.environment import Environment
from evenground.records.index import Condition
from evenground.records.plan import Dataset
from evenground.report.material import Material
from evenground.report.sheet import (
    GAP,
    X_ROOM,
    Drawing,
    make_sheet,
    time_axis,
    time_limits,
    value_axis,
)
from evenground.report.style import MUTED, EngineStyle, legend_of

PANEL = 1.55
# Instrument -> line style and label of its line.
LINES = {"corrected": ("solid", "processes"), "as-published": (":", "as the thesis measures")}
TITLES = {"cpu": "CPU", "memory": "Memory"}


def instruments_drawing(material: Material, dataset: Dataset) -> Drawing | None:
    """Figure `instruments_DATASET`: mean of each main engine's runs; None without a value."""
    data = instruments_data(material, dataset.name)
    styles = material.main_styles(data)
    if not styles:
        return None
    title = f"What each instrument shows: {dataset.title}"
    caption = (
        f"{dataset.title}, in % of the whole machine. Solid: CPU time over each step and resident "
        "memory of the engine's processes. Dotted: mean CPU use since the machine was started and "
        "all memory in use on it, as the thesis measures. Means of the runs "
        f"({material.main_counts(dataset.name)}); 0 s: start of training. {material.machine}"
    )
    shown = [name for name in TITLES if (data["resource"] == name).any()]
    height = len(shown) * (PANEL + GAP) + X_ROOM
    sheet = make_sheet(title, caption, height, _legend(styles.values()))
    limits = time_limits(data["t_s"])
    for i, name in enumerate(shown):
        axes = sheet.axes(i * (PANEL + GAP), PANEL)
        _draw(axes, data[data["resource"] == name], styles, f"{TITLES[name]} [% of the machine]")
        time_axis(axes, limits, labelled=name == shown[-1])
    return sheet.drawing(f"instruments_{dataset.name}", data)


def instruments_data(material: Material, dataset: str) -> pd.DataFrame:
    """Long: engine, resource, instrument, t_s and the value in percent of the machine, if known."""
    # Without the size of the memory its share is NaN, and not drawn.
    memory = float(_machine(material.condition).memory_bytes or np.nan)
    mean = material.main_rows(material.mean, dataset)
    values = {
        ("cpu", "corrected"): mean["cpu_pct"],
        ("cpu", "as-published"): mean["cpu_since_boot_pct"],
        ("memory", "corrected"): 100 * mean["rss_bytes"] / memory,
        ("memory", "as-published"): 100 * mean["free_used_bytes"] / memory,
    }
    frames = []
    for (resource, instrument), pct in values.items():
        frame = mean[["engine"]].assign(resource=resource, instrument=instrument)
        frames.append(frame.assign(t_s=mean["t_s"], pct=pct))
    data = pd.concat(frames, ignore_index=True)
    return data[data["pct"].notna()].reset_index(drop=True)


def _machine(condition: Condition) -> Environment:
    """The machine as the first finished run recorded it; all runs of a condition have its class."""
    for run in read_runs(condition.with_runs(condition.finished[:1])):
        return read_environment(run)
    return Environment()


def _legend(styles: Iterable[EngineStyle]) -> list[Line2D]:
    """A labelled line of each engine, then of each instrument."""
    lines = legend_of(replace(style, line="solid") for style in styles)
    for ls, instrument in LINES.values():
        lines.append(Line2D([], [], ls=ls, lw=1.8, color=MUTED, label=instrument))
    return lines


def _draw(axes: Axes, data: pd.DataFrame, styles: dict[str, EngineStyle], label: str) -> None:
    """One resource: a line per engine and instrument."""
    for (engine, instrument), line in data.groupby(["engine", "instrument"], sort=False):
        ls, _ = LINES[str(instrument)]
        style = replace(styles[str(engine)], line=ls)
        axes.plot(line["t_s"], line["pct"], markevery=0.1, clip_on=False, **style.drawn)
    axes.axvline(0.0, color=MUTED, lw=0.8, zorder=1)
    value_axis(axes, label, float(data["pct"].max()))
