"""Training times: a row per engine with its runs, their mean, and its ratio to another engine."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from evenground.analysis.groups import group
from evenground.analysis.shown import rounded
from evenground.records.plan import Dataset, Engine
from evenground.report.material import Material
from evenground.report.sheet import EDGE, LINE, WIDTH, Drawing, Sheet, make_sheet
from evenground.report.style import INK, MUTED, SMALL_PT, TEXT_PT, EngineStyle, tint, wrapped
from evenground.report.ticks import log_ticks

HEAD, PAD, FOOT, BETWEEN, INDENT = 0.26, 0.07, 0.46, 0.12, 0.12
# Columns from the left, in inches: names, times, their mean, ratios, and those as text.
NAMES, MEAN, RATIOS, RATIO_TEXT, GAP = 1.62, 0.56, 1.05, 1.12, 0.08
# From so many times on, the shortest bar could not be seen beside the longest.
LOG_FROM = 20.0
# Bold text is wider than `wrapped` assumes.
BOLD = 0.85


@dataclass(frozen=True)
class _Row:
    """An engine with what is drawn of it."""

    engine: Engine
    style: EngineStyle
    names: tuple[str, ...]
    counts: str
    times: list[float]
    """Of its finished runs, in the order of the repetitions, in seconds."""
    mean_s: float
    ratio: float
    low: float
    high: float

    @property
    def height(self) -> float:
        """In inches."""
        return LINE * (len(self.names) + 1) + PAD


def training_time_drawing(material: Material) -> Drawing:
    """Figure `training_time`: a block per dataset, a row per engine, arms below their engine."""
    blocks = []
    height = 0.0
    for dataset in material.condition.datasets:
        rows = _rows(material, dataset)
        head = HEAD + LINE * (len(_title(dataset)) - 1)
        blocks.append((dataset, rows, head))
        height += head + sum(row.height for row in rows) + FOOT + BETWEEN
    compared = any(not math.isnan(row.ratio) for _, rows, _ in blocks for row in rows)
    sheet = make_sheet("Training time", _caption(material, compared), height)
    top = 0.0
    for dataset, rows, head in blocks:
        _draw_block(sheet, dataset, rows, (top, head), compared)
        top += head + sum(row.height for row in rows) + FOOT + BETWEEN
    return sheet.drawing("training_time", training_time_data(material), place="answer")


def training_time_data(material: Material) -> pd.DataFrame:
    """Per wanted run its training_s, and of its group the mean and the ratio with its interval.

    Columns: dataset, engine, repetition, status, training_s, mean_s, baseline, ratio, low_95,
    high_95.
    """
    runs = material.runs[["dataset", "engine", "repetition", "status", "training_s"]]
    compared = material.answer.rename(columns={"training_s": "mean_s"})
    names = ["dataset", "engine", "mean_s", "baseline", "ratio", "low_95", "high_95"]
    return runs.merge(compared[names], on=["dataset", "engine"], how="left")


def _caption(material: Material, compared: bool) -> str:
    sentences = [
        "From the start of training to its end, compilation inside. Points: single runs; bars or "
        "upright lines: geometric mean over them; n: finished of wanted runs"
    ]
    if compared:
        first = material.condition.main[0].label
        sentences.append(
            f"Ratio of times: to {first}, of an arm (a variant, indented) to its engine, over the "
            "runs that both have in one pass, with its 95 % interval; left of the line at 1 the "
            "engine is faster"
        )
    said = material.against()
    return f"{'. '.join(sentences)}. {said}{material.machine} Made after table 1 of the thesis."


def _title(dataset: Dataset) -> list[str]:
    return wrapped(dataset.title, TEXT_PT, BOLD * (WIDTH - 2 * EDGE))


def _rows(material: Material, dataset: Dataset) -> list[_Row]:
    """The engines of a dataset, each followed by its arms."""
    engines = [each for group_of, each in material.condition.groups() if group_of == dataset]
    ordered = []
    for engine in engines:
        if engine.arm_of is None:
            ordered.append(engine)
            ordered += [arm for arm in engines if arm.arm_of == engine.name]
    return [_row(material, dataset, engine) for engine in ordered]


def _row(material: Material, dataset: Dataset, engine: Engine) -> _Row:
    runs = group(material.runs, dataset.name, engine.name)
    finished = runs[runs["training_s"].notna()].sort_values("repetition")
    (answer,) = group(material.answer, dataset.name, engine.name).to_dict("records")
    room = NAMES - EDGE - GAP
    if engine.arm_of is not None:
        room -= INDENT
    return _Row(
        engine=engine,
        style=material.styles[engine.name],
        names=tuple(wrapped(engine.label, TEXT_PT, room)),
        counts=material.counts(dataset.name, engine.name),
        times=finished["training_s"].tolist(),
        mean_s=answer["training_s"],
        ratio=answer["ratio"],
        low=answer["low_95"],
        high=answer["high_95"],
    )


def _draw_block(
    sheet: Sheet, dataset: Dataset, rows: Sequence[_Row], place: tuple[float, float], compared: bool
) -> None:
    """One dataset; `place` is its top and the height of its title, in inches."""
    top, head = place
    height = sum(row.height for row in rows)
    width = WIDTH - NAMES - MEAN - EDGE
    if compared:
        width -= RATIOS + RATIO_TEXT + GAP
    times = _panel(sheet.axes(top + head, height, NAMES, width), height)
    _time_axis(times, rows, width)
    # One axis over the whole sheet carries the words, so that each stands in a column of its own.
    words = sheet.axes(top, head + height, 0.0, WIDTH)
    words.set(xlim=(0.0, WIDTH), ylim=(head + height, 0.0))
    words.set_axis_off()
    for k, line in enumerate(_title(dataset)):
        words.text(EDGE, LINE * k, line, size=TEXT_PT, weight="bold", color=INK, va="top")
    ratios = None
    if compared:
        left = NAMES + width + MEAN
        ratios = _panel(sheet.axes(top + head, height, left, RATIOS), height)
        _ratio_axis(ratios, rows)
    y = 0.0
    for row in rows:
        middle = y + row.height / 2
        _write(words, row, head + y, (NAMES + width, NAMES + width + MEAN + RATIOS))
        _draw_times(times, row, middle)
        if ratios is not None:
            _draw_ratio(ratios, row, middle)
        y += row.height


def _panel(axes: Axes, height: float) -> Axes:
    """Axes whose y axis is in inches from the top, without ticks."""
    axes.set(ylim=(height, 0.0), yticks=[])
    return axes


def _time_axis(axes: Axes, rows: Sequence[_Row], width: float) -> None:
    """From zero, or logarithmic if the longest training took much longer than the shortest."""
    times = [time_s for row in rows for time_s in row.times]
    axes.set_xlabel("training time [s]")
    if not times:
        axes.set(xlim=(0.0, 1.0), xticks=[])
        return
    if max(times) < LOG_FROM * min(times):
        axes.set_xlim(0.0, 1.06 * max(times))
        axes.locator_params(axis="x", nbins=4)
        return
    axes.set_xlabel("training time [s], logarithmic")
    _log_axis(axes, min(times) / 1.3, max(times) * 1.3, width)


def _ratio_axis(axes: Axes, rows: Sequence[_Row]) -> None:
    values = [1.0]
    for row in rows:
        values += [value for value in (row.ratio, row.low, row.high) if not math.isnan(value)]
    axes.set_xlabel("ratio, log. axis")
    _log_axis(axes, min(values) / 1.3, max(values) * 1.3, RATIOS)
    axes.axvline(1.0, color=MUTED, lw=0.8, zorder=1)


def _log_axis(axes: Axes, low: float, high: float, width: float) -> None:
    axes.set(xscale="log", xlim=(low, high))
    ticks = log_ticks(low, high, width)
    axes.set_xticks(list(ticks), list(ticks.values()))
    axes.minorticks_off()


def _write(words: Axes, row: _Row, top: float, lefts: tuple[float, float]) -> None:
    """The words of a row: its name and number of runs, its mean and its ratio."""
    left = EDGE
    if row.engine.arm_of is not None:
        left += INDENT
    y = top + PAD / 2
    for line in row.names:
        words.text(left, y, line, size=TEXT_PT, color=INK, va="top")
        y += LINE
    words.text(left, y, row.counts, size=SMALL_PT, color=MUTED, va="top")
    middle = top + row.height / 2
    mean, ratio = lefts
    if not math.isnan(row.mean_s):
        text = f"{rounded(row.mean_s, 3)} s"
        words.text(mean + GAP, middle, text, size=SMALL_PT, color=INK, va="center")
    if not math.isnan(row.ratio):
        text = rounded(row.ratio, 3)
        if not math.isnan(row.low):
            text += f"\n{rounded(row.low, 3)} to {rounded(row.high, 3)}"
        words.text(ratio + GAP, middle, text, size=SMALL_PT, color=INK, va="center")


def _draw_times(axes: Axes, row: _Row, middle: float) -> None:
    """A point per run and the mean: a bar where the axis begins at zero, otherwise a line."""
    if not row.times:
        place = axes.transAxes
        y = 1 - middle / axes.get_ylim()[0]
        text = "no finished run"
        axes.text(0.02, y, text, transform=place, va="center", size=SMALL_PT, color=MUTED)
        return
    style, room = row.style, 0.28
    if axes.get_xscale() == "log":
        axes.plot([row.mean_s] * 2, [middle - room / 2, middle + room / 2], color=INK, lw=1.4)
    else:
        fill = tint(style.colour, 0.35)
        axes.barh(
            middle, row.mean_s, room, color=fill, hatch=style.hatch, edgecolor=style.colour, lw=1.0
        )
    # Below each other over the bar, in the order of the repetitions.
    n = len(row.times)
    places = middle + room * ((np.arange(n) + 0.5) / n - 0.5)
    axes.plot(row.times, places, style.marker, color=style.colour, ms=3.5, mec=INK, mew=0.5)


def _draw_ratio(axes: Axes, row: _Row, middle: float) -> None:
    """The ratio with its interval; what is NaN is not drawn."""
    style = row.style
    axes.plot([row.low, row.high], [middle] * 2, color=style.colour, lw=1.8, zorder=2)
    axes.plot([row.ratio], [middle], style.marker, color=style.colour, ms=4.5, mec=INK, mew=0.6)
