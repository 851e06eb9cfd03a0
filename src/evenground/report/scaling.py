"""Scaling curves: one measure against one parameter, a line per engine, other settings as small panels."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator

from evenground.report.sheet import LEFT, LINE, PLOT_WIDTH, X_ROOM, Drawing, make_sheet
from evenground.report.style import TEXT_PT, EngineStyle, legend_of, wrapped
from evenground.report.ticks import with_room

ONE_PANEL, SMALL_PANEL, TITLE_GAP, BETWEEN = 2.5, 1.55, 0.10, 0.55
# From this ratio of largest to smallest on an axis is logarithmic.
LOG_X, LOG_Y = 4.0, 10.0


@dataclass(frozen=True)
class Curves:
    """What one figure shows. `x` and `y` name the axes with their units; `data` is written beside it.

    `panels`: title (empty for none) -> rows: engine, x, y, low, high; NaN is no value or bar.
    """

    name: str
    title: str
    x: str
    y: str
    panels: Mapping[str, pd.DataFrame]
    data: pd.DataFrame

    @property
    def log_x(self) -> bool:
        """Whether the parameter's axis is logarithmic."""
        return _wide(self.all("x"), LOG_X)

    @property
    def log_y(self) -> bool:
        """Whether the axis of the measure, one for all panels, is logarithmic."""
        return _wide(self.all("y"), LOG_Y)

    @property
    def marked(self) -> pd.DataFrame:
        """The rows of all panels that have a mark."""
        rows = pd.concat(self.panels.values())
        return rows[rows["y"].notna()]

    def all(self, column: str) -> list[float]:
        """Every known value of a column of the rows that have a mark."""
        values: list[float] = self.marked[column].dropna().tolist()
        return values


def scaling_drawing(curves: Curves, caption: str, styles: Mapping[str, EngineStyle]) -> Drawing:
    """The figure of these curves; all panels have the same two axes."""
    engines = set(curves.marked["engine"])
    legend = legend_of(style for name, style in styles.items() if name in engines)
    columns = min(2, len(curves.panels))
    rows = -(-len(curves.panels) // columns)
    width = (PLOT_WIDTH - BETWEEN * (columns - 1)) / columns
    height = ONE_PANEL if rows == 1 else SMALL_PANEL
    titles = [_title(title, width) for title in curves.panels]
    lines = max(map(len, titles))
    over = LINE * lines + TITLE_GAP if lines else 0.0
    step = over + height + X_ROOM
    sheet = make_sheet(curves.title, caption, rows * step, legend)
    for i, (data, title) in enumerate(zip(curves.panels.values(), titles, strict=True)):
        top = (i // columns) * step + over
        axes = sheet.axes(top, height, LEFT + (i % columns) * (width + BETWEEN), width)
        axes.set_title("\n".join(title), loc="left", weight="bold", size=TEXT_PT)
        _draw(axes, curves, data, styles, width)
        if i % columns == 0:
            axes.set_ylabel(curves.y)
            axes.yaxis.set_label_coords(-0.52 / width, 0.5)
    return sheet.drawing(curves.name, curves.data, place="answer")


def _title(title: str, width: float) -> list[str]:
    """The title in lines over its panel; the long name of a machine class breaks after a hyphen."""
    lines = wrapped(title.replace("-", "- "), TEXT_PT, 0.88 * width)
    return [line.replace("- ", "-") for line in lines]


def _wide(values: Sequence[float], ratio: float) -> bool:
    """Whether these values span so much that a logarithmic axis shows them better."""
    return bool(values) and min(values) > 0 and max(values) / min(values) >= ratio


def _draw(
    axes: Axes,
    curves: Curves,
    data: pd.DataFrame,
    styles: Mapping[str, EngineStyle],
    width_of_axes: float,
) -> None:
    """One panel: a line per engine, broken where a value is missing."""
    low, high = _limits(curves)
    for name, style in styles.items():
        mine = data[data["engine"] == name].sort_values("x")
        x, y, bottom, top = (
            mine[column].to_numpy(np.float64) for column in ("x", "y", "low", "high")
        )
        # An interval may reach below zero, where a logarithmic axis has no place for it.
        axes.vlines(x, np.maximum(bottom, low), top, color=style.colour, lw=1.2, zorder=2)
        for end in (bottom, top):
            axes.plot(x, end, "_", color=style.colour, ms=7, mew=1.2, zorder=2)
        axes.plot(x, y, zorder=3, clip_on=False, **style.drawn)
    axes.set_ylim(low, high)
    _measure_axis(axes, curves)
    _parameter_axis(axes, curves, width_of_axes)
    axes.minorticks_off()


def _limits(curves: Curves) -> tuple[float, float]:
    """Smallest and largest value of the axis of the measure."""
    values = curves.all("y")
    tops = [*values, *curves.all("high")]
    if not curves.log_y:
        return 0.0, max(1.08 * max(tops), 1e-9)
    bottoms = [value for value in (*values, *curves.all("low")) if value > 0.2 * min(values)]
    return min(bottoms) / 1.25, max(tops) * 1.25


def _measure_axis(axes: Axes, curves: Curves) -> None:
    if curves.log_y:
        axes.set_yscale("log")
        decades = math.log10(_limits(curves)[1] / _limits(curves)[0])
        axes.yaxis.set_major_locator(
            LogLocator(base=10, subs=(1.0, 2.0, 5.0) if decades < 3 else (1.0,))
        )
        axes.yaxis.set_major_formatter("{x:.6g}")


def _parameter_axis(axes: Axes, curves: Curves, width: float) -> None:
    """Ticks at the values with a mark, as many of their names as have room."""
    values = sorted(set(curves.all("x")))
    at = [math.log(value) for value in values] if curves.log_x else values
    # Of a part's one value alone there is no span.
    room = 0.06 * (at[-1] - at[0]) or 0.5
    low, high = at[0] - room, at[-1] + room
    if curves.log_x:
        axes.set_xscale("log")
    axes.set_xlim(*(map(math.exp, (low, high)) if curves.log_x else (low, high)))
    places = [(place - low) / (high - low) * width for place in at]
    axes.set_xticks(values, with_room(places, [f"{value:g}" for value in values]))
    axes.set_xlabel(curves.x)
