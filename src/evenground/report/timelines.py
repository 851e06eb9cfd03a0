"""Mean use of every resource over time, for one dataset and engine, with the phases as a strip."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from evenground.analysis.groups import group
from evenground.analysis.index import Dataset, Engine
from evenground.report.material import (
    FIRST,
    NO_RUN,
    RESOURCES,
    SECOND,
    Material,
    Resource,
    after_thesis,
    axis_scale,
)
from evenground.report.sheet import (
    GAP,
    TITLE_ROOM,
    X_ROOM,
    Drawing,
    make_sheet,
    note,
    note_sheet,
    time_limits,
)
from evenground.report.strip import LABEL_ROOM, STRIP_HEIGHT, draw_strip, mean_phases
from evenground.report.style import FAINT, EngineStyle

PANEL, EMPTY_PANEL = 0.95, 0.26
THESIS = {FIRST: (9, 10), SECOND: (11, 12)}


def timeline_drawing(material: Material, dataset: Dataset, engine: Engine) -> Drawing:
    """Figure `timeline_DATASET_ENGINE`: one panel per resource over a shared time axis."""
    data = timeline_data(material, dataset.name, engine.name)
    thesis = THESIS.get(dataset.network, ())
    counts = material.counts(dataset.name, engine.name)
    caption = (
        f"{dataset.title}, {engine.label}: line: mean of the runs ({counts}) up to the shortest one; "
        "band: smallest to largest run; strip: what the runs were doing, hatched between phases; "
        "0 s: start of training. "
        f"{material.machine}{after_thesis(thesis)}"
    )
    title = f"Use of resources over time: {dataset.title}, {engine.label}"
    name = f"timeline_{dataset.name}_{engine.name}"
    if data.empty:
        caption = (
            f"{dataset.title}, {engine.label} ({counts}). {material.machine}{after_thesis(thesis)}"
        )
        return Drawing(name, title, caption, thesis, note_sheet(title, caption, NO_RUN), data)
    figure = _figure(material, dataset, engine, data, title, caption)
    return Drawing(name, title, caption, thesis, figure, data)


def _figure(
    material: Material,
    dataset: Dataset,
    engine: Engine,
    data: pd.DataFrame,
    title: str,
    caption: str,
) -> Figure:
    """The strip, then the panels of what was measured, then a line for each resource that was not."""
    spans = mean_phases(group(material.phases, dataset.name, engine.name))
    shown = [resource for resource in RESOURCES if _measured(data, resource)]
    empty = [resource for resource in RESOURCES if resource not in shown]
    notes_room = EMPTY_PANEL * len(empty) + (GAP if empty else 0.0)
    panels_room = (PANEL + GAP) * len(shown) - GAP + X_ROOM if shown else 0.0
    strip_room = LABEL_ROOM + STRIP_HEIGHT + GAP
    sheet = make_sheet(title, caption, strip_room + panels_room + notes_room)
    limits = time_limits(data["t_s"])
    draw_strip(sheet.axes(TITLE_ROOM + LABEL_ROOM, STRIP_HEIGHT), spans, *limits)
    top = TITLE_ROOM + strip_room
    for i, resource in enumerate(shown):
        panel = sheet.axes(top + i * (PANEL + GAP), PANEL)
        _draw_panel(panel, data, resource, material.styles[engine.name], spans)
        panel.set_xlim(*limits)
        panel.tick_params(labelbottom=resource is shown[-1])
        panel.set_xlabel("time since the start of training [s]" if resource is shown[-1] else "")
    for i, resource in enumerate(empty):
        why = material.why_empty(resource.column, dataset.name, [engine.name])
        note(
            sheet.axes(top + panels_room + i * EMPTY_PANEL, EMPTY_PANEL - 0.04),
            f"{resource.title}: {why}",
        )
    return sheet.figure


def timeline_data(material: Material, dataset: str, engine: str) -> pd.DataFrame:
    """Per shared step: t_s, phase, n, and per resource its mean with the smallest and largest run."""
    mean = group(material.mean, dataset, engine)
    lines = group(material.timelines, dataset, engine)
    columns = [resource.column for resource in RESOURCES]
    grouped = lines.groupby("t_s")[columns]
    data = mean[["t_s", "n", *columns]].rename(columns={c: f"{c}_mean" for c in columns})
    for name, frame in (("min", grouped.min()), ("max", grouped.max())):
        data = data.merge(frame.add_suffix(f"_{name}").reset_index(), on="t_s", how="left")
    spans = mean_phases(group(material.phases, dataset, engine))
    data.insert(1, "phase", [_phase_at(spans, float(t_s)) for t_s in data["t_s"]])
    return data.reset_index(drop=True)


def _phase_at(spans: pd.DataFrame, t_s: float) -> str:
    inside = spans[(spans["start_s"] <= t_s) & (t_s < spans["end_s"])]
    return str(inside["phase"].iloc[0]) if len(inside) else ""


def _measured(data: pd.DataFrame, resource: Resource) -> bool:
    return bool(data[f"{resource.column}_mean"].notna().any())


def _draw_panel(
    panel: Axes, data: pd.DataFrame, resource: Resource, style: EngineStyle, spans: pd.DataFrame
) -> None:
    """One resource: mean, band from smallest to largest run, faint lines where a phase ends."""
    t_s = data["t_s"].to_numpy(np.float64)
    mean, low, high = (
        data[f"{resource.column}_{part}"].to_numpy(np.float64) for part in ("mean", "min", "max")
    )
    scale, unit = axis_scale(resource, float(np.nanmax(high)))
    for end_s in spans["end_s"]:
        panel.axvline(end_s, color=FAINT, lw=0.6, zorder=0.5)
    panel.fill_between(t_s, low / scale, high / scale, color=style.colour, alpha=0.25, lw=0)
    panel.plot(t_s, mean / scale, color=style.colour, lw=1.4, clip_on=False, zorder=3)
    panel.set_ylim(0, max(1.08 * float(np.nanmax(high)) / scale, 1e-9))
    panel.locator_params(axis="y", nbins=4)
    panel.set_ylabel(f"{resource.title}\n[{unit}]")
    panel.yaxis.set_label_coords(-0.085, 0.5)
