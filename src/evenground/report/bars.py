"""Training times: a point per run over a bar for the mean, per dataset and engine."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes

from evenground.analysis.index import Dataset
from evenground.analysis.statistics import added
from evenground.report.material import Material
from evenground.report.sheet import (
    EDGE,
    LEFT,
    LINE,
    PLOT_WIDTH,
    TITLE_ROOM,
    Drawing,
    make_sheet,
)
from evenground.report.style import INK, MUTED, SMALL_PT, TEXT_PT, tint, width_in, wrapped

PANEL, HEAD, FOOT, BETWEEN = 2.2, 0.28, 0.52, 0.55
MAX_COLUMNS = 3


def training_time_drawing(material: Material) -> Drawing:
    """Figure `training_time`: one panel per dataset, each with its own axis from zero."""
    data = training_time_data(material)
    datasets = material.index.datasets
    columns = min(MAX_COLUMNS, max(2, len(datasets)))
    rows = -(-len(datasets) // columns)
    title = "Training time"
    caption = (
        "From the start of training to its end, compilation inside. Bars: mean over the runs; points: "
        f"single runs; n: finished of wanted runs. {material.machine} Made after table 1 of the thesis."
    )
    width = (PLOT_WIDTH - BETWEEN * (columns - 1)) / columns
    head = HEAD + LINE * max(len(_title(dataset, width)) - 1 for dataset in datasets)
    sheet = make_sheet(title, caption, rows * (head + PANEL + FOOT))
    for i, dataset in enumerate(datasets):
        left = LEFT + (i % columns) * (width + BETWEEN)
        top = TITLE_ROOM + (i // columns) * (head + PANEL + FOOT) + head
        axes = sheet.axes(top, PANEL, left, width)
        _draw(axes, material, dataset, data[data["dataset"] == dataset.name], width)
        if i % columns == 0:
            axes.set_ylabel("training time [s]")
            axes.yaxis.set_label_coords(-(LEFT - EDGE - 0.14) / width, 0.5)
    return Drawing("training_time", title, caption, (), sheet.figure, data)


def training_time_data(material: Material) -> pd.DataFrame:
    """One row per wanted run: dataset, engine, repetition, status, training_s, and the group's mean_s."""
    data = material.runs[["dataset", "engine", "repetition", "status", "training_s"]].copy()
    data["mean_s"] = data.groupby(["dataset", "engine"])["training_s"].transform("mean")
    return data


def _draw(
    axes: Axes, material: Material, dataset: Dataset, data: pd.DataFrame, width: float
) -> None:
    """One dataset: a bar, its points and its number per engine."""
    engines = [engine for named, engine in material.index.groups() if named.name == dataset.name]
    largest = float(data["training_s"].max()) if data["training_s"].notna().any() else 1.0
    for x, engine in enumerate(engines):
        style = material.styles[engine.name]
        times = (
            data[data["engine"] == engine.name]
            .sort_values("repetition")["training_s"]
            .dropna()
            .tolist()
        )
        if not times:
            axes.text(
                x,
                0.04 * largest,
                "no finished\nrun",
                ha="center",
                va="bottom",
                size=SMALL_PT,
                color=MUTED,
            )
            continue
        mean = added(times) / len(times)
        axes.bar(
            x,
            mean,
            0.6,
            color=tint(style.colour, 0.35),
            hatch=style.hatch,
            edgecolor=style.colour,
            lw=1.0,
        )
        axes.plot(
            [x + offset for offset in _apart(len(times))],
            times,
            style.marker,
            color=style.colour,
            ms=4,
            mec=INK,
            mew=0.6,
        )
        axes.text(
            x, max(times) + 0.04 * largest, f"{mean:.4g} s", ha="center", va="bottom", size=TEXT_PT
        )
    axes.set_xticks(
        range(len(engines)),
        [f"{engine.label}\n{material.counts(dataset.name, engine.name)}" for engine in engines],
    )
    labels = [
        text
        for engine in engines
        for text in (engine.label, material.counts(dataset.name, engine.name))
    ]
    if max(width_in(label, SMALL_PT) for label in labels) > 0.95 * width / len(engines):
        axes.tick_params(axis="x", rotation=35)
    axes.tick_params(axis="x", length=0)
    axes.grid(axis="x", visible=False)
    axes.set(xlim=(-0.5, len(engines) - 0.5), ylim=(0, 1.18 * largest))
    axes.set_title("\n".join(_title(dataset, width)), loc="left", weight="bold", size=TEXT_PT)


def _title(dataset: Dataset, width: float) -> list[str]:
    """The dataset's title in lines that stay over their own panel, in bold."""
    return wrapped(dataset.title, TEXT_PT, 0.85 * width)


def _apart(n: int) -> list[float]:
    """Places of `n` points beside each other over one bar, in the order of the repetitions."""
    return [0.0] if n == 1 else [0.4 * (i / (n - 1) - 0.5) for i in range(n)]
