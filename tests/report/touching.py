"""Texts of a figure that touch each other or leave it."""

from __future__ import annotations

from itertools import combinations
from unittest import mock

from matplotlib.backend_bases import RendererBase
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Text
from matplotlib.transforms import Bbox

from evenground.report.sheet import Drawing


def overlaps(drawing: Drawing) -> list[tuple[str, str]]:
    """Pairs of drawn texts that touch, and texts that leave the figure (paired with "edge")."""
    canvas = FigureCanvasAgg(drawing.figure)
    boxes: list[tuple[str, Bbox]] = []
    draw = Text.draw

    def recorded(text: Text, renderer: RendererBase, *rest: object) -> None:
        # Only what is drawn: ticks beyond the axis exist, with labels, but are not.
        if text.get_visible() and text.get_text().strip():
            boxes.append((text.get_text(), text.get_window_extent(renderer)))
        draw(text, renderer, *rest)

    with mock.patch.object(Text, "draw", recorded):
        canvas.draw()
    width, height = canvas.get_width_height()
    page = Bbox([[-1, -1], [width + 1, height + 1]])
    out = [
        (words, "edge")
        for words, box in boxes
        if not all(page.contains(*corner) for corner in box.corners())
    ]
    pairs = combinations([(words, box.padded(-0.5)) for words, box in boxes], 2)
    return out + [(first[0], second[0]) for first, second in pairs if first[1].overlaps(second[1])]
