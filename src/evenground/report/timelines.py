"""Mean use of every resource over time, for one dataset and engine, with a strip of phases."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from evenground.analysis.groups import group
from evenground.records.plan import Dataset, Engine
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
    X_ROOM,
    Drawing,
    Sheet,
    make_sheet,
    note,
    note_sheet,
    time_axis,
    time_limits,
    value_axis,
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
    title = f"Use of resources over time: {dataset.title}, {engine.label}"
    machine = f"{material.machine}{after_thesis(thesis)}"
    if data.empty:
        caption = f"{dataset.title}, {engine.label} ({counts}). {machine}"
        sheet = note_sheet(title, caption, NO_RUN)
    else:
        caption = (
            f"{dataset.title}, {engine.label}: line: mean of the runs ({counts}) up to the "
            "shortest one; band: smallest to largest run; strip: what the runs were doing, "
            f"hatched between phases; 0 s: start of training. {machine}"
        )
        reasons = []
        for resource in RESOURCES:
            if not _measured(data, resource):
                why = material.why_empty(resource.column, dataset.name, [engine.name])
                reasons.append(f"{resource.title}: {why}")
        spans = mean_phases(group(material.phases, dataset.name, engine.name))
        sheet = _draw(title, caption, data, spans, material.styles[engine.name], reasons)
    return sheet.drawing(f"timeline_{dataset.name}_{engine.name}", data, thesis)


def _draw(
    title: str,
    caption: str,
    data: pd.DataFrame,
    spans: pd.DataFrame,
    style: EngineStyle,
    reasons: list[str],
) -> Sheet:
    """The strip, a panel per measured resource, then a line per reason why one is missing."""
    shown = [resource for resource in RESOURCES if _measured(data, resource)]
    strip_room = LABEL_ROOM + STRIP_HEIGHT + GAP
    panels_room = notes_room = 0.0
    if shown:
        panels_room = (PANEL + GAP) * len(shown) - GAP + X_ROOM
    if reasons:
        notes_room = EMPTY_PANEL * len(reasons) + GAP
    sheet = make_sheet(title, caption, strip_room + panels_room + notes_room)
    first_s, last_s = time_limits(data["t_s"])
    draw_strip(sheet.axes(LABEL_ROOM, STRIP_HEIGHT), spans, first_s, last_s)
    for i, resource in enumerate(shown):
        panel = sheet.axes(strip_room + i * (PANEL + GAP), PANEL)
        _draw_panel(panel, data, resource, style, spans)
        time_axis(panel, (first_s, last_s), labelled=resource is shown[-1])
    for i, reason in enumerate(reasons):
        top = strip_room + panels_room + i * EMPTY_PANEL
        note(sheet.axes(top, EMPTY_PANEL - 0.04), reason)
    return sheet


def timeline_data(material: Material, dataset: str, engine: str) -> pd.DataFrame:
    """Per shared step: t_s, phase, n, and per resource the mean, smallest and largest run."""
    mean = group(material.mean, dataset, engine)
    columns = [resource.column for resource in RESOURCES]
    data = mean[["t_s", "n"]].join(mean[columns].add_suffix("_mean"))
    # The band ends with the mean, at the end of the shortest run, even if others go on.
    low = np.full((len(data), len(columns)), np.nan)
    high = low.copy()
    for _, line in material.lines(dataset, engine):
        values = line.set_index("t_s")[columns].reindex(data["t_s"]).to_numpy(np.float64)
        # Of a missing value the other one counts.
        low, high = np.fmin(low, values), np.fmax(high, values)
    for name, edge in (("min", low), ("max", high)):
        data[[f"{column}_{name}" for column in columns]] = edge
    spans = mean_phases(group(material.phases, dataset, engine))
    data.insert(1, "phase", [_phase_at(spans, float(t_s)) for t_s in data["t_s"]])
    return data


def _phase_at(spans: pd.DataFrame, t_s: float) -> str:
    """The phase at a time; empty outside of all of them."""
    inside = spans[(spans["start_s"] <= t_s) & (t_s < spans["end_s"])]
    return "".join(inside["phase"].iloc[:1])


def _measured(data: pd.DataFrame, resource: Resource) -> bool:
    return bool(data[f"{resource.column}_mean"].notna().any())


def _draw_panel(
    panel: Axes, data: pd.DataFrame, resource: Resource, style: EngineStyle, spans: pd.DataFrame
) -> None:
    """One resource: mean, band from smallest to largest run, faint lines where a phase ends."""
    largest = float(data[f"{resource.column}_max"].max())
    scale, unit = axis_scale(resource, largest)
    mean = data[f"{resource.column}_mean"] / scale
    low = data[f"{resource.column}_min"] / scale
    high = data[f"{resource.column}_max"] / scale
    for end_s in spans["end_s"]:
        panel.axvline(end_s, color=FAINT, lw=0.6, zorder=0.5)
    panel.fill_between(data["t_s"], low, high, color=style.colour, alpha=0.25, lw=0)
    panel.plot(data["t_s"], mean, color=style.colour, lw=1.4, clip_on=False, zorder=3)
    value_axis(panel, f"{resource.title}\n[{unit}]", largest / scale)
    panel.locator_params(axis="y", nbins=4)
