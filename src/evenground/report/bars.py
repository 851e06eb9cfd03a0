"""Training times: a point per run over a bar for the mean, per dataset and engine."""

from __future__ import annotations

import math

import pandas as pd
from matplotlib.axes import Axes

from evenground.analysis.statistics import added
from evenground.records.plan import Dataset, Engine
from evenground.report.material import Material
from evenground.report.sheet import (
    EDGE,
    LEFT,
    LINE,
    PLOT_WIDTH,
    Drawing,
    make_sheet,
)
from evenground.report.style import (
    INK,
    MUTED,
    SMALL_PT,
    TEXT_PT,
    EngineStyle,
    tint,
    width_in,
    wrapped,
)

PANEL, HEAD, FOOT, BETWEEN = 2.2, 0.28, 0.52, 0.55
MAX_COLUMNS = 3
# Bold text is wider than `wrapped` assumes.
BOLD = 0.85


def training_time_drawing(material: Material) -> Drawing:
    """Figure `training_time`: one panel per dataset, each with its own axis from zero."""
    data = training_time_data(material)
    datasets = material.condition.datasets
    columns = min(MAX_COLUMNS, max(2, len(datasets)))
    rows = math.ceil(len(datasets) / columns)
    title = "Training time"
    caption = (
        "From the start of training to its end, compilation inside. Bars: mean over the runs; "
        f"points: single runs; n: finished of wanted runs. {material.machine} "
        "Made after table 1 of the thesis."
    )
    width = (PLOT_WIDTH - BETWEEN * (columns - 1)) / columns
    titles = [wrapped(dataset.title, TEXT_PT, BOLD * width) for dataset in datasets]
    head = HEAD + LINE * (max(map(len, titles)) - 1)
    height = head + PANEL + FOOT
    sheet = make_sheet(title, caption, rows * height)
    for i, dataset in enumerate(datasets):
        row, column = divmod(i, columns)
        axes = sheet.axes(row * height + head, PANEL, LEFT + column * (width + BETWEEN), width)
        _draw(axes, material, dataset, data[data["dataset"] == dataset.name], width)
        axes.set_title("\n".join(titles[i]), loc="left", weight="bold", size=TEXT_PT)
        if column == 0:
            axes.set_ylabel("training time [s]")
            axes.yaxis.set_label_coords(-(LEFT - EDGE - 0.14) / width, 0.5)
    return sheet.drawing("training_time", data)


def training_time_data(material: Material) -> pd.DataFrame:
    """Per wanted run: dataset, engine, repetition, status, training_s, and its group's mean_s."""
    data = material.runs[["dataset", "engine", "repetition", "status", "training_s"]].copy()
    data["mean_s"] = data.groupby(["dataset", "engine"])["training_s"].transform("mean")
    return data


def _draw(
    axes: Axes, material: Material, dataset: Dataset, data: pd.DataFrame, width: float
) -> None:
    """One dataset: a bar, its points and its number per engine."""
    engines = [
        engine for group, engine in material.condition.groups() if group.name == dataset.name
    ]
    largest = float(data["training_s"].max())
    if math.isnan(largest):
        # No run has finished: the notes need an axis, too.
        largest = 1.0
    finished = data[data["training_s"].notna()].sort_values("repetition")
    for x, engine in enumerate(engines):
        times = finished[finished["engine"] == engine.name]["training_s"].tolist()
        _draw_engine(axes, x, times, material.styles[engine.name], 0.04 * largest)
    counts = [material.counts(dataset.name, engine.name) for engine in engines]
    _name_engines(axes, engines, counts, width)
    axes.grid(axis="x", visible=False)
    axes.set(xlim=(-0.5, len(engines) - 0.5), ylim=(0, 1.18 * largest))


def _draw_engine(axes: Axes, x: int, times: list[float], style: EngineStyle, gap: float) -> None:
    """The bar at `x` with its points and its mean, or a note; `gap` is below a text, in seconds."""
    if not times:
        text = "no finished\nrun"
        axes.text(x, gap, text, ha="center", va="bottom", size=SMALL_PT, color=MUTED)
        return
    # Not `sum`, which rounds otherwise since Python 3.12.
    mean = added(times) / len(times)
    fill = tint(style.colour, 0.35)
    axes.bar(x, mean, 0.6, color=fill, hatch=style.hatch, edgecolor=style.colour, lw=1.0)
    places = [x + offset for offset in _offsets(len(times))]
    axes.plot(places, times, style.marker, color=style.colour, ms=4, mec=INK, mew=0.6)
    axes.text(x, max(times) + gap, f"{mean:.4g} s", ha="center", va="bottom", size=TEXT_PT)


def _offsets(n: int) -> list[float]:
    """Places of `n` points side by side over one bar, in the order of the repetitions."""
    if n == 1:
        return [0.0]
    return [0.4 * (i / (n - 1) - 0.5) for i in range(n)]


def _name_engines(axes: Axes, engines: list[Engine], counts: list[str], width: float) -> None:
    """Label and count below each bar; rotated if they would touch."""
    labels = [f"{engine.label}\n{count}" for engine, count in zip(engines, counts, strict=True)]
    axes.set_xticks(range(len(engines)), labels)
    widest = max(width_in(line, SMALL_PT) for line in "\n".join(labels).splitlines())
    if widest > 0.95 * width / len(engines):
        axes.tick_params(axis="x", rotation=35)
    axes.tick_params(axis="x", length=0)
