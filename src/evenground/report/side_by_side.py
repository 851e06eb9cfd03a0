"""The ratio of two engines in several sources or on several machines, below each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator, MaxNLocator
from matplotlib.transforms import blended_transform_factory

from evenground.analysis.experiment import Experiment, parameter_words
from evenground.report.sheet import EDGE, LINE, WIDTH, Drawing, make_sheet, note_sheet
from evenground.report.style import INK, MUTED, SMALL_PT, TEXT_PT, side_mark, wrapped

HEAD, PAD, BETWEEN, FOOT, NAMES, INDENT = 0.22, 0.05, 0.08, 0.5, 2.3, 0.12
NAME, MEASURE = "side_by_side", "training_s"
# An image has at most 65536 pixels; nobody reads a figure of ten sheets of paper either.
MAX_INCHES = 100.0
# Within this factor 1, 2 and 5 are too few ticks.
NARROW, STEPS = 5.0, (1, 2, 5, 10)
# Bold words are wider than `wrapped` takes them to be.
BOLD = 0.85


@dataclass(frozen=True)
class _Line:
    """A line of the figure, `height` in inches: of one condition, or the heading of a pair."""

    words: list[str]
    height: float
    side: str = ""
    """The source or machine; empty for a heading."""
    row: Mapping[Any, Any] | None = None
    """Of the table; None for a heading."""


def side_by_side_drawing(experiment: Experiment, ratios: pd.DataFrame) -> Drawing:
    """Figure `side_by_side`: per dataset and pair of engines the ratio of times in each condition.

    `ratios` is the table. Pairs that fewer than two conditions have are not in it, nor, from a
    height that nobody reads, the last ones; the caption says how many.
    """
    keys = ["dataset", "baseline", "engine", *experiment.swept]
    rows = _one_way_round(ratios[(ratios["measure"] == MEASURE) & ratios["ratio"].notna()])
    pairs = [of_pair for _, of_pair in rows.groupby(keys, sort=False) if len(of_pair) > 1]
    blocks = [_block(of_pair, experiment.sides, keys) for of_pair in pairs]
    shown, height = _fitting(blocks)
    title = "Ratio of training times, side by side"
    caption = (
        "Training time of the first engine over the second engine's, each within one condition: "
        "ratio of geometric means with its 95 % interval. Left of the line at 1 the first engine "
        "is faster."
    )
    if len(shown) < len(blocks):
        caption += f" {len(blocks) - len(shown)} more pairs are only in the table `ratios`."
    if not shown:
        empty = note_sheet(title, caption, "no pair of engines that two of them have")
        return empty.drawing(NAME, rows.iloc[:0], place="answer")
    sheet = make_sheet(title, caption, height + PAD + FOOT)
    axes = sheet.axes(0, height + PAD, NAMES, WIDTH - NAMES - 2 * EDGE)
    axes.set(xscale="log", ylim=(height + PAD, 0.0), yticks=[], xlabel="ratio of training times")
    axes.axvline(1.0, color=MUTED, lw=0.8)
    names = list(dict.fromkeys(placed.label for placed in experiment.conditions))
    top = 0.0
    for block in shown:
        for line in block:
            _draw(axes, line, top, names)
            top += line.height
        top += BETWEEN
    _ticks(axes)
    data = pd.concat(pairs[: len(shown)], ignore_index=True)
    return sheet.drawing(NAME, data, place="answer")


def _one_way_round(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows, each ratio of two engines the way round in which it is first."""
    turned = rows.copy()
    first: set[tuple[str, str]] = set()
    for at, row in rows.iterrows():
        baseline, engine = row["baseline"], row["engine"]
        if (engine, baseline) not in first:
            first.add((baseline, engine))
            continue
        names = ["baseline", "engine", "n_baseline", "n_engine"]
        turned.loc[at, names] = [engine, baseline, row["n_engine"], row["n_baseline"]]
        numbers = [1 / row["ratio"], 1 / row["high_95"], 1 / row["low_95"]]
        turned.loc[at, ["ratio", "low_95", "high_95"]] = numbers
    return turned


def _block(rows: pd.DataFrame, sides: list[str], keys: list[str]) -> list[_Line]:
    """A pair's heading and a line for each condition."""
    first = rows.iloc[0]
    values = [f"{parameter_words(name)} {first[name]}" for name in keys[3:]]
    heading = ", ".join([f"{first['engine']} / {first['baseline']}", first["dataset"], *values])
    words = wrapped(heading, TEXT_PT, BOLD * (NAMES - 2 * EDGE))
    lines = [_Line(words=words, height=HEAD + LINE * (len(words) - 1))]
    for row in rows.to_dict("records"):
        side = ", ".join(str(row[name]) for name in sides)
        words = wrapped(side, SMALL_PT, NAMES - INDENT - 2 * EDGE)
        lines.append(_Line(words=words, height=LINE * len(words) + PAD, side=side, row=row))
    return lines


def _fitting(blocks: Sequence[list[_Line]]) -> tuple[list[list[_Line]], float]:
    """The first blocks that have room, and their height in inches."""
    shown: list[list[_Line]] = []
    height = 0.0
    for block in blocks:
        end = height + sum(line.height for line in block)
        if end > MAX_INCHES:
            break
        shown.append(block)
        height = end + BETWEEN
    return shown, height


def _draw(axes: Axes, line: _Line, top: float, names: Sequence[str]) -> None:
    """The words of a line left of the axes, and of a condition its ratio and interval."""
    place = blended_transform_factory(axes.figure.transFigure, axes.transData)
    middle = top + line.height / 2
    left, size, weight = EDGE + INDENT, SMALL_PT, "normal"
    if line.row is None:
        left, size, weight = EDGE, TEXT_PT, "bold"
    axes.text(
        left / WIDTH,
        middle,
        "\n".join(line.words),
        transform=place,
        size=size,
        weight=weight,
        color=INK,
        va="center",
    )
    if line.row is None:
        return
    marker, colour = side_mark(names.index(line.side))
    # Without an interval, its ends are NaN, and nothing is drawn.
    axes.plot([line.row["low_95"], line.row["high_95"]], [middle] * 2, color=colour, lw=1.6)
    axes.plot([line.row["ratio"]], [middle], marker, color=colour, ms=5, mec=INK, mew=0.6)


def _ticks(axes: Axes) -> None:
    low, high = axes.get_xlim()
    wide = high / low > NARROW
    axes.xaxis.set_major_locator(
        LogLocator(base=10, subs=(1.0, 2.0, 5.0)) if wide else MaxNLocator(6, steps=STEPS)
    )
    axes.xaxis.set_major_formatter("{x:g}")
    axes.minorticks_off()
    axes.spines["left"].set_visible(False)
