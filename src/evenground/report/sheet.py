"""A figure as a sheet of fixed width: title, legend, panels below each other, caption.

All lengths are in inches. matplotlib's own layout is not used: the height of the sheet follows from
its content, and the same data must give the same bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from evenground.analysis.files import write_csv
from evenground.files import replacing
from evenground.report.style import (
    INK,
    MUTED,
    PAPER,
    SMALL_PT,
    TEXT_PT,
    TITLE_PT,
    drawable,
    fitted_pt,
    width_in,
    wrapped,
)

WIDTH = 6.3
LEFT, RIGHT, EDGE = 0.80, 0.15, 0.10
TITLE_ROOM, X_ROOM, GAP, LINE = 0.36, 0.46, 0.14, 0.145
NOTE_ROOM = 0.6
LEGEND_LINE, LEGEND_HANDLE = 0.19, 0.55
# A label of 40 letters stays in one line.
LEGEND_LABEL = 2.6
PLOT_WIDTH = WIDTH - LEFT - RIGHT


Place = Literal["answer", "timelines", "more"]


@dataclass(frozen=True)
class Drawing:
    """A figure with the data it shows, before it is written."""

    name: str
    title: str
    caption: str
    figure: Figure
    data: pd.DataFrame
    place: Place = "more"
    """Where a page shows it."""


@dataclass(frozen=True)
class Sheet:
    """A figure whose parts are placed by inches from its top edge."""

    title: str
    caption: str
    figure: Figure
    height: float
    body: float
    """Where the body begins, below title and legend."""

    def axes(
        self, top: float, height: float, left: float = LEFT, width: float = PLOT_WIDTH
    ) -> Axes:
        """Axes `top` inches below the start of the body, `left` inches from the left edge."""
        bottom = self.height - (self.body + top) - height
        return self.figure.add_axes(
            (left / WIDTH, bottom / self.height, width / WIDTH, height / self.height)
        )

    def text(
        self, top: float, text: str, size_pt: float, colour: str, weight: str = "normal"
    ) -> None:
        """A line of text at the left edge, its upper edge `top` inches from the sheet's."""
        x, y = EDGE / WIDTH, 1 - top / self.height
        self.figure.text(x, y, text, size=size_pt, color=colour, weight=weight, va="top", ha="left")

    def drawing(self, name: str, data: pd.DataFrame, place: Place = "more") -> Drawing:
        """The finished figure with the `data` it shows."""
        return Drawing(
            name=name,
            title=self.title,
            caption=self.caption,
            figure=self.figure,
            data=data,
            place=place,
        )


def make_sheet(
    title: str, caption: str, body_height: float, legend: Sequence[Artist] = ()
) -> Sheet:
    """A sheet with title, legend and caption, and `body_height` inches free above the caption."""
    lines = wrapped(caption, SMALL_PT, WIDTH - 2 * EDGE)
    columns, legend_height = _fit_legend(legend)
    # Rounding decides pixels: another order of these sums gives another picture.
    end = TITLE_ROOM + (legend_height + body_height)
    height = end + LINE * len(lines) + EDGE
    figure = Figure(figsize=(WIDTH, height))
    # Without pyplot a figure has no canvas until one is made for it.
    FigureCanvasAgg(figure)
    sheet = Sheet(
        title=title,
        caption=caption,
        figure=figure,
        height=height,
        body=TITLE_ROOM + legend_height,
    )
    title = drawable(title)
    size_pt = fitted_pt(title, TITLE_PT, WIDTH - 2 * EDGE, "bold")
    sheet.text(EDGE, title, size_pt, INK, "bold")
    for i, line in enumerate(lines):
        sheet.text(end + LINE * i, line, SMALL_PT, MUTED)
    if legend:
        # Directly below the title, off the data.
        figure.legend(
            handles=legend,
            loc="upper left",
            ncols=columns,
            borderpad=0.0,
            borderaxespad=0.0,
            bbox_to_anchor=(EDGE / WIDTH, 1 - TITLE_ROOM / height),
            columnspacing=1.4,
            handlelength=2.6,
            labelspacing=0.45,
        )
    return sheet


def _fit_legend(legend: Sequence[Artist]) -> tuple[int, float]:
    """Columns and height of a legend; its long labels are broken into lines."""
    if not legend:
        return 0, 0.0
    labels = []
    for entry in legend:
        lines = wrapped(str(entry.get_label()), TEXT_PT, LEGEND_LABEL)
        entry.set_label("\n".join(lines))
        labels.append(lines)
    widest = max(width_in(line, TEXT_PT) for lines in labels for line in lines)
    fitting = int((WIDTH - 2 * EDGE) / (widest + LEGEND_HANDLE))
    columns = max(1, min(len(legend), fitting))
    # matplotlib fills column by column; a legend is as high as its highest one.
    heights = []
    for column in np.array_split(np.arange(len(labels)), columns):
        more_lines = sum(len(labels[entry]) - 1 for entry in column)
        heights.append(LEGEND_LINE * len(column) + LINE * more_lines)
    return columns, max(heights) + 0.08


def time_limits(t_s: pd.Series[float]) -> tuple[float, float]:
    """First and last time of an axis in seconds; a single one gets a second of room."""
    first, last = float(t_s.min()), float(t_s.max())
    if last == first:
        last += 1.0
    return first, last


def time_axis(axes: Axes, limits: tuple[float, float], labelled: bool = True) -> None:
    """Make the x axis one of time; of panels below each other only the last is `labelled`."""
    axes.set_xlim(limits)
    axes.tick_params(axis="x", labelbottom=labelled)
    if labelled:
        axes.set_xlabel("time since the start of training [s]")


def value_axis(axes: Axes, label: str, largest: float) -> None:
    """Make the y axis one from zero to a bit above `largest`, its label at a fixed distance."""
    # If all values are zero, the axis must still have a height.
    axes.set_ylim(0, max(1.08 * largest, 1e-9))
    axes.set_ylabel(label)
    axes.yaxis.set_label_coords(-0.085, 0.5)


def note(axes: Axes, text: str) -> None:
    """Write into an empty panel why it is empty; it has no axis and no line at zero."""
    axes.set(xticks=[], yticks=[])
    axes.grid(False)
    axes.set_facecolor(PAPER)
    for spine in axes.spines.values():
        spine.set_visible(False)
    room_in = axes.get_position().width * WIDTH - 0.2
    lines = "\n".join(wrapped(text, SMALL_PT, room_in))
    axes.text(
        0.5,
        0.5,
        lines,
        transform=axes.transAxes,
        ha="center",
        va="center",
        color=MUTED,
        size=SMALL_PT,
    )


def note_sheet(title: str, caption: str, text: str) -> Sheet:
    """A sheet that only explains why there is nothing to draw."""
    sheet = make_sheet(title, caption, NOTE_ROOM + 0.1)
    note(sheet.axes(0, NOTE_ROOM, EDGE, WIDTH - 2 * EDGE), text)
    return sheet


def save(drawing: Drawing, folder: Path) -> None:
    """Write NAME.svg, NAME.png and NAME.csv; the same data gives the same bytes."""
    save_pictures(drawing, folder)
    write_csv(drawing.data, folder / f"{drawing.name}.csv")


def save_pictures(drawing: Drawing, folder: Path) -> None:
    """Write only the pictures, if a table holds the data already."""
    texts = {"Title": drawing.title, "Description": drawing.caption}
    # matplotlib would write the date and its own version: other bytes on every day and machine.
    metadata = {
        "svg": texts | {"Date": None, "Creator": "evenground"},
        "png": texts | {"Software": None},
    }
    for form in ("svg", "png"):
        with replacing(folder / f"{drawing.name}.{form}") as temporary:
            drawing.figure.savefig(temporary, format=form, metadata=metadata[form])
