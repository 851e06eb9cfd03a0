"""The CPU and the memory of the same runs as two instruments show them: ours, and that of the thesis."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
from matplotlib.lines import Line2D

from evenground.analysis.environment import Environment, read_environment
from evenground.analysis.index import Dataset, Index
from evenground.analysis.runs import read_runs
from evenground.report.material import Material
from evenground.report.sheet import (
    GAP,
    TITLE_ROOM,
    X_ROOM,
    Drawing,
    Sheet,
    add_legend,
    legend_room,
    make_sheet,
    time_limits,
)
from evenground.report.style import MUTED

PANEL = 1.55
# Instrument -> how its line is drawn and called.
LINES = {"corrected": ("-", "processes"), "as-published": (":", "as the thesis measures")}
TITLES = {"cpu": "CPU", "memory": "Memory"}


def instruments_drawing(material: Material, dataset: Dataset) -> Drawing | None:
    """Figure `instruments_DATASET`: the mean of the main engines' runs; None where nothing was measured."""
    data = instruments_data(material, dataset.name)
    engines = [engine for engine in material.index.main if (data["engine"] == engine.name).any()]
    if not engines:
        return None
    counts = material.counts_of_main(dataset.name)
    title = f"What each instrument shows: {dataset.title}"
    caption = (
        f"{dataset.title}, in % of the whole machine. Solid: CPU time over each step and resident memory of "
        "the engine's processes. Dotted: mean CPU use since the machine was started and all memory in use on "
        f"it, as the thesis measures. Means of the runs ({counts}); 0 s: start of training. "
        f"{material.machine}"
    )
    styles = [material.styles[engine.name] for engine in engines]
    handles = [
        Line2D([], [], ls=line, lw=1.8, color=style.colour)
        for style in styles
        for line, _ in LINES.values()
    ]
    labels = [f"{style.label}, {words}" for style in styles for _, words in LINES.values()]
    head = legend_room(labels)
    shown = [name for name in TITLES if (data["resource"] == name).any()]
    sheet = make_sheet(title, caption, head + len(shown) * (PANEL + GAP) + X_ROOM)
    add_legend(sheet, handles, labels)
    for i, name in enumerate(shown):
        last = name == shown[-1]
        _panel(sheet, TITLE_ROOM + head + i * (PANEL + GAP), material, data, name, last)
    return Drawing(f"instruments_{dataset.name}", title, caption, (), sheet.figure, data)


def instruments_data(material: Material, dataset: str) -> pd.DataFrame:
    """Long: engine, resource, instrument, t_s and the value in percent of the machine, where there is one."""
    memory = float(_machine(material.index).memory_bytes or np.nan)
    mean = material.mean[material.mean["dataset"] == dataset]
    mean = mean[mean["engine"].isin([engine.name for engine in material.index.main])]
    values = {
        ("cpu", "corrected"): mean["cpu_pct"],
        ("cpu", "as-published"): mean["cpu_since_boot_pct"],
        ("memory", "corrected"): 100 * mean["rss_bytes"] / memory,
        ("memory", "as-published"): 100 * mean["free_used_bytes"] / memory,
    }
    parts = [
        mean[["engine", "t_s"]].assign(resource=resource, instrument=instrument, pct=pct)
        for (resource, instrument), pct in values.items()
    ]
    found = pd.concat(parts, ignore_index=True)
    return found[found["pct"].notna()][
        ["engine", "resource", "instrument", "t_s", "pct"]
    ].reset_index(drop=True)


def _machine(index: Index) -> Environment:
    """What the first finished run recorded of the machine; all runs of an index have its class."""
    first = read_runs(replace(index, runs=index.finished[:1]))
    return read_environment(first[0]) if first else Environment()


def _panel(
    sheet: Sheet, top: float, material: Material, data: pd.DataFrame, name: str, last: bool
) -> None:
    axes = sheet.axes(top, PANEL)
    mine = data[data["resource"] == name]
    for (engine, instrument), line in mine.groupby(["engine", "instrument"], sort=False):
        style = LINES[str(instrument)][0]
        axes.plot(
            line["t_s"],
            line["pct"],
            ls=style,
            lw=1.6,
            color=material.styles[str(engine)].colour,
            clip_on=False,
        )
    axes.axvline(0.0, color=MUTED, lw=0.8, zorder=1)
    axes.set(xlim=time_limits(data["t_s"]), ylim=(0, max(1.08 * float(mine["pct"].max()), 1e-9)))
    axes.set_ylabel(f"{TITLES[name]} [% of the machine]")
    axes.yaxis.set_label_coords(-0.085, 0.5)
    if last:
        axes.set_xlabel("time since the start of training [s]")
    else:
        axes.tick_params(axis="x", labelbottom=False)
