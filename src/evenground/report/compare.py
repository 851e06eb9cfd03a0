"""One resource over time, compared between the engines on one dataset."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from evenground.analysis.groups import group
from evenground.records.plan import Dataset
from evenground.report.material import (
    MAX_SPREAD,
    Material,
    Resource,
    after_thesis,
    axis_scale,
    of_card,
    thesis_number,
)
from evenground.report.sheet import (
    X_ROOM,
    Drawing,
    make_sheet,
    note_sheet,
    time_axis,
    time_limits,
    value_axis,
)
from evenground.report.style import INK, MEAN_LINE, MUTED, EngineStyle, legend_of

PANEL = 2.5
# Beyond this many runs an SVG of single lines grows by megabytes; they become one picture inside it.
MAX_VECTOR_LINES = 40
MEAN = "mean"


def compare_drawing(material: Material, dataset: Dataset, resource: Resource) -> Drawing:
    """Figure `compare_DATASET_RESOURCE`: thin lines are the repetitions, a bold one stands for them.

    It is their mean, or the run of median length if they differ in length.
    """
    data = compare_data(material, dataset.name, resource)
    styles = material.main_styles(data)
    counts = material.main_counts(dataset.name)
    thesis = thesis_number(dataset, resource.thesis)
    bold = {name: material.typical(dataset.name, name) for name in styles}
    explained = (
        f": thin lines: single runs; bold line: {_bold(bold, thesis)} ({counts}); "
        f"marks: its end of training; 0 s: start of training.{of_card(resource.column)}"
    )
    caption = (
        f"{dataset.title}, {resource.title}{explained if styles else f' ({counts}).'} "
        f"{material.against(dataset.name)}{material.machine}{after_thesis(thesis)}"
    )
    title = f"{resource.title} compared: {dataset.title}"
    name = f"compare_{dataset.name}_{resource.name}"
    if not styles:
        why = material.why_empty(
            resource.column, dataset.name, [e.name for e in material.condition.main]
        )
        return note_sheet(title, caption, why).drawing(name, data)
    sheet = make_sheet(title, caption, PANEL + X_ROOM, legend_of(styles.values()))
    axes = sheet.axes(0, PANEL)
    largest = float(data[resource.column].max())
    scale, unit = axis_scale(resource, largest)
    scaled = data.assign(value=data[resource.column] / scale)
    for engine, style in styles.items():
        lines = scaled[scaled["engine"] == engine]
        runs = group(material.runs, dataset.name, engine)
        repetition = bold[engine]
        _draw_runs(axes, lines, style)
        mean = lines[lines["run"] == MEAN]
        if repetition is None:
            _draw_bold(axes, mean, style, float(runs["training_s"].mean()))
            continue
        end_s = float(runs["training_s"][runs["repetition"] == repetition].iloc[0])
        _draw_bold(axes, lines[lines["run"] == str(repetition)], style, end_s)
        if thesis:
            axes.plot(*_broken(mean), color=INK, lw=0.9, ls=MEAN_LINE, zorder=3)
    axes.axvline(0.0, color=MUTED, lw=0.8, zorder=1)
    time_axis(axes, time_limits(data["t_s"]))
    value_axis(axes, f"{resource.title} [{unit}]", largest / scale)
    return sheet.drawing(name, data)


def compare_data(material: Material, dataset: str, resource: Resource) -> pd.DataFrame:
    """Long: engine, run (a repetition or `mean`), t_s and the value, of what is drawn: not of arms.

    Only values that were measured.
    """
    columns = ["engine", "run", "t_s", resource.column]
    frames = []
    for engine in material.condition.main:
        if material.has_none(resource.column, dataset, engine.name):
            continue
        for repetition, line in material.lines(dataset, engine.name):
            frames.append(line.assign(engine=engine.name, run=str(repetition))[columns])
    frames.append(material.main_rows(material.mean, dataset).assign(run=MEAN)[columns])
    known = [frame[frame[resource.column].notna()] for frame in frames]
    # A gap in a line must stay a gap: a step without a value ends the line's piece when it is drawn.
    return pd.concat(known, ignore_index=True)


def _bold(repetitions: Mapping[str, int | None], thesis: tuple[int, ...]) -> str:
    """What the bold lines are, for the caption."""
    mean = "their mean up to the shortest"
    unlike = [name for name, repetition in repetitions.items() if repetition is not None]
    if not unlike:
        return mean
    median = "the run of median training time"
    words = f"{median}, as lengths differ by more than {MAX_SPREAD:.0%}"
    if len(unlike) < len(repetitions):
        words = f"{mean}, or where lengths differ by more than {MAX_SPREAD:.0%} {median}"
    if thesis:
        words += "; dashed, dark: the mean, as the thesis drew it"
    return words


def _draw_runs(axes: Axes, lines: pd.DataFrame, style: EngineStyle) -> None:
    runs = [frame for run, frame in lines.groupby("run", sort=False) if run != MEAN]
    for frame in runs:
        axes.plot(
            *_broken(frame),
            color=style.colour,
            lw=0.6,
            alpha=0.45,
            zorder=2,
            rasterized=len(runs) > MAX_VECTOR_LINES,
        )


def _draw_bold(axes: Axes, line: pd.DataFrame, style: EngineStyle, end_s: float) -> None:
    """A line with a mark where training ended, so that what follows can be told apart."""
    if line.empty:
        return
    axes.plot(*_broken(line), zorder=4, clip_on=False, **style.drawn | {"marker": ""})
    before = line[line["t_s"] <= end_s]
    if len(before):
        height = float(before["value"].iloc[-1])
        axes.plot([end_s], [height], zorder=5, clip_on=False, **style.drawn)


def _broken(frame: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Times and values, with a break where steps are missing."""
    t_s, values = frame["t_s"].to_numpy(np.float64), frame["value"].to_numpy(np.float64)
    gap = np.flatnonzero(np.diff(t_s) > 1.5 * np.min(np.diff(t_s), initial=np.inf)) + 1
    return np.insert(t_s, gap, np.nan), np.insert(values, gap, np.nan)
