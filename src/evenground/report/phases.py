"""One resource phase by phase: all phases are equally wide, so that runs of any length compare."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from evenground.analysis.index import Dataset
from evenground.report.material import Material, Resource, axis_scale, of_card
from evenground.report.sheet import (
    PLOT_WIDTH,
    TITLE_ROOM,
    Drawing,
    add_legend,
    legend_room,
    make_sheet,
)
from evenground.report.style import FAINT, INK, SMALL_PT, EngineStyle, width_in

PANEL, NAMES_ROOM = 2.5, 0.34
NAME_GAP = 0.08


def phases_drawing(material: Material, dataset: Dataset, resource: Resource) -> Drawing | None:
    """Figure `phases_DATASET_RESOURCE`: mean and range of each main engine; None if nothing was measured."""
    data = phases_data(material, dataset.name, resource)
    engines = [engine for engine in material.index.main if (data["engine"] == engine.name).any()]
    if not engines:
        return None
    counts = material.counts_of_main(dataset.name)
    title = f"{resource.title} phase by phase: {dataset.title}"
    caption = (
        f"{dataset.title}, {resource.title}: every phase is equally wide, however long it took, and the time "
        "between two of them (after an epoch, before the evaluation) has no column; line: mean "
        f"of the runs ({counts}), a point for each tenth of a phase; band: smallest to largest run."
        f"{of_card(resource.column)} {material.machine}"
    )
    styles = [material.styles[engine.name] for engine in engines]
    labels = [style.label for style in styles]
    head = legend_room(labels)
    sheet = make_sheet(title, caption, head + PANEL + NAMES_ROOM)
    add_legend(sheet, [Line2D([], [], ls=s.line, lw=1.8, color=s.colour) for s in styles], labels)
    axes = sheet.axes(TITLE_ROOM + head, PANEL)
    scale, unit = axis_scale(resource, float(data["max"].max()))
    for engine, style in zip(engines, styles, strict=True):
        _draw_engine(axes, data[data["engine"] == engine.name], scale, style)
    _finish(axes, data, scale, f"{resource.title} [{unit}]")
    name = f"phases_{dataset.name}_{resource.name}"
    return Drawing(name, title, caption, (), sheet.figure, data)


def phases_data(material: Material, dataset: str, resource: Resource) -> pd.DataFrame:
    """Rows of `by_phase.csv` with a value, of the main engines: engine, phase, place, n, mean, min, max."""
    frame, main = material.by_phase, [engine.name for engine in material.index.main]
    mine = frame[(frame["dataset"] == dataset) & (frame["column"] == resource.column)]
    known = mine[mine["engine"].isin(main) & mine["mean"].notna()]
    return known[["engine", "phase", "place", "n", "mean", "min", "max"]].reset_index(drop=True)


def _draw_engine(axes: Axes, data: pd.DataFrame, scale: float, style: EngineStyle) -> None:
    """Mean and range, with a break between phases: what lies between them is not on this axis."""
    place, mean, low, high = (
        data[name].to_numpy(np.float64) for name in ("place", "mean", "min", "max")
    )
    breaks = np.flatnonzero(np.diff(np.floor(place)) > 0) + 1
    place, mean, low, high = (
        np.insert(values, breaks, np.nan) for values in (place, mean, low, high)
    )
    axes.fill_between(place, low / scale, high / scale, color=style.colour, alpha=0.22, lw=0)
    axes.plot(
        place, mean / scale, color=style.colour, lw=1.8, ls=style.line, zorder=3, clip_on=False
    )


def _finish(axes: Axes, data: pd.DataFrame, scale: float, label: str) -> None:
    names = dict(zip(np.floor(data["place"]).astype(int), data["phase"], strict=True))
    first, last = min(names), max(names) + 1
    for edge in range(first + 1, last):
        axes.axvline(edge, color=FAINT, lw=0.6, zorder=0.5)
    axes.set(
        xlim=(first, last),
        ylim=(0, max(1.08 * float(data["max"].max()) / scale, 1e-9)),
        ylabel=label,
    )
    axes.yaxis.set_label_coords(-0.085, 0.5)
    axes.grid(axis="x", visible=False)
    shown = _shown(names, first, last)
    axes.set_xticks([place + 0.5 for place in shown], [names[place] for place in shown], color=INK)
    axes.tick_params(axis="x", length=0)


def _shown(names: dict[int, str], first: int, last: int) -> list[int]:
    """The phases whose names have room below the axis: as many as fit beside each other, from the left."""
    per_phase, free_from, shown = PLOT_WIDTH / (last - first), 0.0, []
    for place in sorted(names):
        half = width_in(names[place], SMALL_PT) / 2
        middle = (place - first + 0.5) * per_phase
        if middle - half >= free_from and middle + half <= PLOT_WIDTH:
            shown.append(place)
            free_from = middle + half + NAME_GAP
    return shown
