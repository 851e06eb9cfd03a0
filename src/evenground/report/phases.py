"""A resource phase by phase: all phases are equally wide, so that runs of any length compare."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from evenground.records.plan import Dataset
from evenground.report.material import Material, Resource, axis_scale, of_card
from evenground.report.sheet import PLOT_WIDTH, Drawing, make_sheet, value_axis
from evenground.report.style import FAINT, INK, EngineStyle, legend_of
from evenground.report.ticks import with_room

PANEL, NAMES_ROOM = 2.5, 0.34


def phases_drawing(material: Material, dataset: Dataset, resource: Resource) -> Drawing | None:
    """Figure `phases_DATASET_RESOURCE`: mean and range per main engine; None without a value."""
    data = phases_data(material, dataset.name, resource)
    styles = material.main_styles(data)
    if not styles:
        return None
    title = f"{resource.title} phase by phase: {dataset.title}"
    caption = (
        f"{dataset.title}, {resource.title}: every phase is equally wide, however long it took, "
        "and the time between two of them (after an epoch, before the evaluation) has no column; "
        f"line: mean of the runs ({material.main_counts(dataset.name)}), a point for each tenth of "
        "a phase; band: smallest to largest run."
        f"{of_card(resource.column)} {material.machine}"
    )
    sheet = make_sheet(title, caption, PANEL + NAMES_ROOM, legend_of(styles.values()))
    axes = sheet.axes(0, PANEL)
    largest = float(data["max"].max())
    scale, unit = axis_scale(resource, largest)
    for name, style in styles.items():
        _draw_engine(axes, data[data["engine"] == name], scale, style)
    value_axis(axes, f"{resource.title} [{unit}]", largest / scale)
    _phase_axis(axes, data)
    return sheet.drawing(f"phases_{dataset.name}_{resource.name}", data)


def phases_data(material: Material, dataset: str, resource: Resource) -> pd.DataFrame:
    """Rows of `by_phase.csv` that have a value, without arms.

    Columns: engine, phase, place, n, mean, min, max.
    """
    rows = material.main_rows(material.by_phase, dataset)
    known = rows[(rows["column"] == resource.column) & rows["mean"].notna()]
    return known[["engine", "phase", "place", "n", "mean", "min", "max"]].reset_index(drop=True)


def _draw_engine(axes: Axes, data: pd.DataFrame, scale: float, style: EngineStyle) -> None:
    """Mean and range, with a break between phases: the time between them is not on this axis."""
    # The whole part of a place counts phases, the rest is the share of a phase.
    breaks = np.flatnonzero(np.diff(np.floor(data["place"])) > 0) + 1

    def broken(name: str) -> np.ndarray:
        return np.insert(data[name].to_numpy(np.float64), breaks, np.nan)

    place, low, high = broken("place"), broken("min") / scale, broken("max") / scale
    axes.fill_between(place, low, high, color=style.colour, alpha=0.22, lw=0)
    mean = broken("mean") / scale
    # A mark in the middle of each phase, which has ten points and a break.
    axes.plot(place, mean, zorder=3, clip_on=False, markevery=(5, 11), **style.drawn)


def _phase_axis(axes: Axes, data: pd.DataFrame) -> None:
    """One column per phase, with a faint line between two and the names that have room below."""
    names = dict(sorted(zip(np.floor(data["place"]).astype(int), data["phase"], strict=True)))
    first, last = min(names), max(names) + 1
    middles = [place + 0.5 for place in names]
    for edge in range(first + 1, last):
        axes.axvline(edge, color=FAINT, lw=0.6, zorder=0.5)
    axes.set_xlim(first, last)
    axes.grid(axis="x", visible=False)
    places = [PLOT_WIDTH * (middle - first) / (last - first) for middle in middles]
    shown = with_room(places, list(names.values()), (0.0, PLOT_WIDTH))
    axes.set_xticks(middles, shown, color=INK)
    axes.tick_params(axis="x", length=0)
