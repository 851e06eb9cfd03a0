"""Use of every resource over time, for one dataset and engine, with a strip of phases."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from evenground.analysis.groups import group
from evenground.records.plan import Dataset, Engine
from evenground.report.material import (
    FIRST,
    MAX_SPREAD,
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
from evenground.report.style import FAINT, INK, MEAN_LINE, EngineStyle

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
        repetition = material.typical(dataset.name, engine.name)
        line = f"mean of the runs ({counts}) up to the shortest one"
        phases = group(material.phases, dataset.name, engine.name)
        if repetition is not None:
            line = (
                f"repetition {repetition}, the run of median training time, as the runs ({counts}) "
                f"differ in length by more than {MAX_SPREAD:.0%}"
            )
            if thesis:
                line += "; dashed: their mean up to the shortest one, as the thesis drew it"
            phases = phases[phases["repetition"] == repetition]
        caption = (
            f"{dataset.title}, {engine.label}: line: {line}; band: smallest to largest run; strip: "
            "what it was doing, hatched between phases; 0 s: start of training. "
            f"{material.against(dataset.name, engine.name)}{machine}"
        )
        reasons = []
        for resource in RESOURCES:
            if not _measured(data, resource):
                why = material.why_empty(resource.column, dataset.name, [engine.name])
                reasons.append(f"{resource.title}: {why}")
        drawn = _Drawn(
            data=data,
            spans=mean_phases(phases),
            style=material.styles[engine.name],
            with_mean=bool(thesis),
        )
        sheet = _draw(title, caption, drawn, reasons)
    name = f"timeline_{dataset.name}_{engine.name}"
    return sheet.drawing(name, data, place="timelines")


@dataclass(frozen=True)
class _Drawn:
    """What the panels show."""

    data: pd.DataFrame
    spans: pd.DataFrame
    """Start and end of each phase of the line."""
    style: EngineStyle
    with_mean: bool
    """Whether the mean is drawn beside the line of a single run."""


def _draw(title: str, caption: str, drawn: _Drawn, reasons: list[str]) -> Sheet:
    """The strip, a panel per measured resource, then a line per reason why one is missing."""
    shown = [resource for resource in RESOURCES if _measured(drawn.data, resource)]
    strip_room = LABEL_ROOM + STRIP_HEIGHT + GAP
    panels_room = notes_room = 0.0
    if shown:
        panels_room = (PANEL + GAP) * len(shown) - GAP + X_ROOM
    if reasons:
        notes_room = EMPTY_PANEL * len(reasons) + GAP
    sheet = make_sheet(title, caption, strip_room + panels_room + notes_room)
    first_s, last_s = time_limits(drawn.data["t_s"])
    draw_strip(sheet.axes(LABEL_ROOM, STRIP_HEIGHT), drawn.spans, first_s, last_s)
    for i, resource in enumerate(shown):
        panel = sheet.axes(strip_room + i * (PANEL + GAP), PANEL)
        _draw_panel(panel, drawn, resource)
        time_axis(panel, (first_s, last_s), labelled=resource is shown[-1])
    for i, reason in enumerate(reasons):
        top = strip_room + panels_room + i * EMPTY_PANEL
        note(sheet.axes(top, EMPTY_PANEL - 0.04), reason)
    return sheet


def timeline_data(material: Material, dataset: str, engine: str) -> pd.DataFrame:
    """Per step: t_s, phase, n, and per resource the mean, smallest and largest run.

    If the runs differ in length, per resource also the run of median training time, to its end;
    beyond the shortest run there is nothing else.
    """
    mean = group(material.mean, dataset, engine)
    columns = [resource.column for resource in RESOURCES]
    data = mean[["t_s", "n"]].join(mean[columns].add_suffix("_mean"))
    repetition = material.typical(dataset, engine)
    median = pd.DataFrame()
    # The band ends with the mean, at the end of the shortest run, even if others go on.
    low = np.full((len(data), len(columns)), np.nan)
    high = low.copy()
    for number, line in material.lines(dataset, engine):
        values = line.set_index("t_s")[columns].reindex(data["t_s"]).to_numpy(np.float64)
        # Of a missing value the other one counts.
        low, high = np.fmin(low, values), np.fmax(high, values)
        if number == repetition:
            median = line.set_index("t_s")[columns].add_suffix("_run")
    for name, edge in (("min", low), ("max", high)):
        data[[f"{column}_{name}" for column in columns]] = edge
    phases = group(material.phases, dataset, engine)
    if repetition is not None:
        data = data.merge(median, on="t_s", how="outer").astype({"n": "Int64"})
        phases = phases[phases["repetition"] == repetition]
    spans = mean_phases(phases)
    data.insert(1, "phase", [_phase_at(spans, float(t_s)) for t_s in data["t_s"]])
    return data


def _phase_at(spans: pd.DataFrame, t_s: float) -> str:
    """The phase at a time; empty outside of all of them."""
    inside = spans[(spans["start_s"] <= t_s) & (t_s < spans["end_s"])]
    return "".join(inside["phase"].iloc[:1])


def _measured(data: pd.DataFrame, resource: Resource) -> bool:
    return bool(data[f"{resource.column}_mean"].notna().any())


def _draw_panel(panel: Axes, drawn: _Drawn, resource: Resource) -> None:
    """One resource: a line, a band from smallest to largest run, faint lines where a phase ends."""
    data, colour = drawn.data, drawn.style.colour
    mean, line = f"{resource.column}_mean", f"{resource.column}_run"
    largest = float(data[f"{resource.column}_max"].max())
    has_line = line in data and bool(data[line].notna().any())
    if has_line:
        largest = max(largest, float(data[line].max()))
    scale, unit = axis_scale(resource, largest)
    low = data[f"{resource.column}_min"] / scale
    high = data[f"{resource.column}_max"] / scale
    for end_s in drawn.spans["end_s"]:
        panel.axvline(end_s, color=FAINT, lw=0.6, zorder=0.5)
    panel.fill_between(data["t_s"], low, high, color=colour, alpha=0.25, lw=0)
    if has_line and drawn.with_mean:
        panel.plot(data["t_s"], data[mean] / scale, color=INK, lw=0.9, ls=MEAN_LINE, zorder=2.5)
    if not has_line:
        line = mean
    panel.plot(data["t_s"], data[line] / scale, color=colour, lw=1.4, clip_on=False, zorder=3)
    value_axis(panel, f"{resource.title}\n[{unit}]", largest / scale)
    panel.locator_params(axis="y", nbins=4)
