"""The ratio of two engines in several recorded experiments, below each other."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator
from matplotlib.transforms import blended_transform_factory

from evenground.report.sheet import EDGE, LINE, WIDTH, Drawing, make_sheet, note_sheet
from evenground.report.style import INK, MUTED, SMALL_PT, TEXT_PT, side_mark, wrapped

HEAD, PAD, BETWEEN, FOOT, NAMES, INDENT = 0.22, 0.05, 0.08, 0.5, 2.3, 0.12
MEASURE = "training_s"
# An image has at most 65536 pixels; nobody reads a figure of ten sheets of paper either.
MAX_INCHES = 100.0
# Within this factor 1, 2 and 5 are too few ticks.
NARROW, STEPS = 5.0, (1, 2, 5, 10)
# Bold words are wider than `wrapped` takes them to be.
BOLD = 0.85


@dataclass(frozen=True)
class _Line:
    """A row of the figure, `top` and `height` in inches: of one side, or the heading of a pair."""

    words: tuple[str, ...]
    top: float
    height: float
    row: dict[str, object] | None = None

    @property
    def middle(self) -> float:
        return self.top + self.height / 2


def ratios_drawing(ratios: pd.DataFrame, names: Sequence[str]) -> Drawing:
    """Figure `ratios`: per dataset and pair of engines the ratio of training times of each side.

    `ratios` as by `machines.ratios_by_machine`, `names` those of all sides. Pairs that fewer than two sides
    have are not in it, nor, from a height that nobody reads, the last ones; the caption says how many.
    """
    data, lines, left_out = _layout(ratios[ratios["measure"] == MEASURE])
    title = "Ratio of training times, side by side"
    caption = (
        "Training time of the first engine over that of the second, each within one experiment: ratio of "
        "geometric means with its 95 % interval. Left of the line at 1 the first engine is faster."
    ) + (f" {left_out} more pairs are not shown." if left_out else "")
    if data.empty:
        empty = note_sheet(title, caption, "no pair of engines that two of them have")
        return empty.drawing("ratios", data)
    height = lines[-1].top + lines[-1].height + PAD
    sheet = make_sheet(title, caption, height + FOOT)
    axes = sheet.axes(0, height, NAMES, WIDTH - NAMES - 2 * EDGE)
    axes.set(xscale="log", ylim=(height, 0.0), yticks=[], xlabel="ratio of training times")
    axes.axvline(1.0, color=MUTED, lw=0.8)
    for line in lines:
        _draw(axes, line, names)
    _ticks(axes)
    return sheet.drawing("ratios", data)


def _layout(rows: pd.DataFrame) -> tuple[pd.DataFrame, list[_Line], int]:
    """Rows of the pairs that are drawn, their lines, and the number of pairs for which there is no room."""
    kept: list[pd.DataFrame] = []
    lines: list[_Line] = []
    top, left_out = 0.0, 0
    for (dataset, baseline, engine), mine in rows.groupby(
        ["dataset", "baseline", "engine"], sort=False
    ):
        known = mine[mine["ratio"].notna()]
        if len(known) < 2:
            continue
        heading = tuple(
            wrapped(f"{engine} / {baseline}, {dataset}", TEXT_PT, BOLD * (NAMES - 2 * EDGE))
        )
        more = [_Line(heading, top, HEAD + LINE * (len(heading) - 1))]
        for row in known.to_dict("records"):
            words = tuple(wrapped(str(row["side"]), SMALL_PT, NAMES - INDENT - 2 * EDGE))
            end = more[-1].top + more[-1].height
            more.append(
                _Line(words, end, LINE * len(words) + PAD, {str(k): v for k, v in row.items()})
            )
        end = more[-1].top + more[-1].height + BETWEEN
        if left_out or end > MAX_INCHES:
            left_out += 1
            continue
        kept, lines, top = [*kept, known], [*lines, *more], end
    data = pd.concat(kept, ignore_index=True) if kept else rows.iloc[:0]
    return data, lines, left_out


def _draw(axes: Axes, line: _Line, names: Sequence[str]) -> None:
    """The words of a line left of the axes, and of a side its ratio and interval."""
    place = blended_transform_factory(axes.figure.transFigure, axes.transData)
    head = line.row is None
    left, size, weight = (EDGE, TEXT_PT, "bold") if head else (EDGE + INDENT, SMALL_PT, "normal")
    words = "\n".join(line.words)
    axes.text(
        left / WIDTH,
        line.middle,
        words,
        transform=place,
        size=size,
        weight=weight,
        color=INK,
        va="center",
    )
    if line.row is None:
        return
    marker, colour = side_mark(list(names).index(str(line.row["side"])))
    ratio, low, high = (float(str(line.row[name])) for name in ("ratio", "low_95", "high_95"))
    if not math.isnan(low):
        axes.plot([low, high], [line.middle] * 2, color=colour, lw=1.6)
    axes.plot([ratio], [line.middle], marker, color=colour, ms=5, mec=INK, mew=0.6)


def _ticks(axes: Axes) -> None:
    low, high = axes.get_xlim()
    wide = high / low > NARROW
    axes.xaxis.set_major_locator(
        LogLocator(base=10, subs=(1.0, 2.0, 5.0)) if wide else MaxNLocator(6, steps=STEPS)
    )
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.spines["left"].set_visible(False)
