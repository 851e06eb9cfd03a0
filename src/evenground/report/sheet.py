"""One figure as a sheet of fixed width: title, legend, panels below each other, caption. In inches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

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
    fitted_pt,
    width_in,
    wrapped,
)

WIDTH = 6.3
LEFT, RIGHT, EDGE = 0.80, 0.15, 0.10
TITLE_ROOM, X_ROOM, GAP, LINE = 0.36, 0.46, 0.14, 0.145
NOTE_ROOM = 0.6
LEGEND_LINE, LEGEND_HANDLE = 0.19, 0.55
PLOT_WIDTH = WIDTH - LEFT - RIGHT


@dataclass(frozen=True)
class Drawing:
    """A figure with the data it shows, before it is written."""

    name: str
    title: str
    caption: str
    thesis_figures: tuple[int, ...]
    figure: Figure
    data: pd.DataFrame


@dataclass
class Sheet:
    """A figure whose parts are placed by inches from its top edge."""

    figure: Figure
    height: float

    def axes(
        self, top: float, height: float, left: float = LEFT, width: float = PLOT_WIDTH
    ) -> Axes:
        """Axes whose upper left corner is `left`, `top` inches from the sheet's."""
        bottom = self.height - top - height
        return self.figure.add_axes(
            (left / WIDTH, bottom / self.height, width / WIDTH, height / self.height)
        )

    def text(
        self, left: float, top: float, words: str, size_pt: float, colour: str, weight: str
    ) -> None:
        """Text whose upper left corner is `left`, `top` inches from the sheet's."""
        place = (left / WIDTH, 1 - top / self.height)
        self.figure.text(
            *place, words, size=size_pt, color=colour, weight=weight, va="top", ha="left"
        )


def make_sheet(title: str, caption: str, body: float) -> Sheet:
    """A sheet with its title and its caption set, and `body` inches free between them (from TITLE_ROOM)."""
    lines = wrapped(caption, SMALL_PT, WIDTH - 2 * EDGE)
    height = TITLE_ROOM + body + LINE * len(lines) + EDGE
    figure = Figure(figsize=(WIDTH, height))
    FigureCanvasAgg(figure)
    sheet = Sheet(figure, height)
    size = fitted_pt(title, TITLE_PT, WIDTH - 2 * EDGE, "bold")
    sheet.text(EDGE, EDGE, title, size, INK, "bold")
    for i, line in enumerate(lines):
        sheet.text(EDGE, TITLE_ROOM + body + LINE * i, line, SMALL_PT, MUTED, "normal")
    return sheet


def legend_columns(labels: Sequence[str]) -> int:
    """How many legend entries fit side by side."""
    widest = max(width_in(label, TEXT_PT) for label in labels) + LEGEND_HANDLE
    return max(1, min(len(labels), int((WIDTH - 2 * EDGE) / widest)))


def legend_room(labels: Sequence[str]) -> float:
    """Height of the legend in inches."""
    return LEGEND_LINE * -(-len(labels) // legend_columns(labels)) + 0.08


def add_legend(sheet: Sheet, handles: Sequence[Artist], labels: Sequence[str]) -> None:
    """A legend directly below the title, off the data."""
    sheet.figure.legend(
        handles,
        labels,
        loc="upper left",
        ncols=legend_columns(labels),
        borderpad=0.0,
        borderaxespad=0.0,
        bbox_to_anchor=(EDGE / WIDTH, 1 - TITLE_ROOM / sheet.height),
        columnspacing=1.4,
        handlelength=2.6,
        labelspacing=0.45,
    )


def time_limits(t_s: pd.Series[float]) -> tuple[float, float]:
    """First and last of the times of an axis; a single one gets a second of room."""
    first, last = float(t_s.min()), float(t_s.max())
    return first, last if last > first else first + 1.0


def note(axes: Axes, words: str) -> None:
    """Say in an empty panel why it is empty; no axis, no line at zero."""
    axes.set(xticks=[], yticks=[])
    axes.grid(False)
    axes.set_facecolor(PAPER)
    for spine in axes.spines.values():
        spine.set_visible(False)
    room_in = axes.get_position().width * WIDTH - 0.2
    lines = "\n".join(wrapped(words, SMALL_PT, room_in))
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


def note_sheet(title: str, caption: str, words: str) -> Figure:
    """A figure that only says why there is nothing to draw."""
    sheet = make_sheet(title, caption, NOTE_ROOM + 0.1)
    note(sheet.axes(TITLE_ROOM, NOTE_ROOM, EDGE, WIDTH - 2 * EDGE), words)
    return sheet.figure


def save(drawing: Drawing, folder: Path) -> None:
    """Write NAME.svg, NAME.png and NAME.csv; the same data gives the same bytes (no date, no version)."""
    save_pictures(drawing, folder)
    write_csv(drawing.data, folder / f"{drawing.name}.csv")


def save_pictures(drawing: Drawing, folder: Path) -> None:
    """Write only the pictures, where tables hold the data already."""
    words = {"Title": drawing.title, "Description": drawing.caption}
    svg = {**words, "Date": None, "Creator": "evenground"}
    for form, metadata in (("svg", svg), ("png", {**words, "Software": None})):
        with replacing(folder / f"{drawing.name}.{form}") as beside:
            drawing.figure.savefig(beside, format=form, metadata=metadata)
