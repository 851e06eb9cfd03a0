"""The ratio of two engines in several sources or on several machines, below each other."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

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
class _Mark:
    """A ratio with its interval, of a source or machine; NaN without an interval."""

    side: str
    ratio: float
    low: float
    high: float


@dataclass(frozen=True)
class _Line:
    """A row of the figure, `height` in inches: of one condition, or the heading of a pair."""

    words: tuple[str, ...]
    height: float
    mark: _Mark | None = None


@dataclass(frozen=True)
class _Block:
    """A pair of engines at one value of each parameter."""

    lines: list[_Line]
    rows: pd.DataFrame


def side_by_side_drawing(experiment: Experiment, ratios: pd.DataFrame) -> Drawing:
    """Figure `side_by_side`: per dataset and pair of engines the ratio of times in each condition.

    `ratios` is the table. Pairs that fewer than two conditions have are not in it, nor, from a
    height that nobody reads, the last ones; the caption says how many.
    """
    keys = ["dataset", "baseline", "engine", *experiment.swept]
    rows = _one_way_round(ratios[(ratios["measure"] == MEASURE) & ratios["ratio"].notna()])
    blocks = [_block(rows_of, experiment.sides, keys) for rows_of in _grouped(rows, keys)]
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
        for line in block.lines:
            _draw(axes, line, top, names)
            top += line.height
        top += BETWEEN
    _ticks(axes)
    data = pd.concat([block.rows for block in shown], ignore_index=True)
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


def _grouped(rows: pd.DataFrame, keys: list[str]) -> list[pd.DataFrame]:
    """The rows of each pair at each value, of those that several conditions have."""
    grouped = [of_pair for _, of_pair in rows.groupby(keys, sort=False)]
    return [of_pair for of_pair in grouped if len(of_pair) > 1]


def _block(rows: pd.DataFrame, sides: list[str], keys: list[str]) -> _Block:
    """A pair's heading and a line for each condition."""
    first = rows.iloc[0]
    values = [f"{parameter_words(name)} {first[name]}" for name in keys[3:]]
    heading = ", ".join([f"{first['engine']} / {first['baseline']}", first["dataset"], *values])
    words = wrapped(heading, TEXT_PT, BOLD * (NAMES - 2 * EDGE))
    lines = [_Line(words=tuple(words), height=HEAD + LINE * (len(words) - 1))]
    for row in rows.to_dict("records"):
        side = ", ".join(str(row[name]) for name in sides)
        words = wrapped(side, SMALL_PT, NAMES - INDENT - 2 * EDGE)
        mark = _Mark(side=side, ratio=row["ratio"], low=row["low_95"], high=row["high_95"])
        lines.append(_Line(words=tuple(words), height=LINE * len(words) + PAD, mark=mark))
    return _Block(lines=lines, rows=rows)


def _fitting(blocks: Sequence[_Block]) -> tuple[list[_Block], float]:
    """The first blocks that have room, and their height in inches."""
    shown: list[_Block] = []
    height = 0.0
    for block in blocks:
        end = height + sum(line.height for line in block.lines)
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
    if line.mark is None:
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
    mark = line.mark
    if mark is None:
        return
    marker, colour = side_mark(names.index(mark.side))
    if not math.isnan(mark.low):
        axes.plot([mark.low, mark.high], [middle] * 2, color=colour, lw=1.6)
    axes.plot([mark.ratio], [middle], marker, color=colour, ms=5, mec=INK, mew=0.6)


def _ticks(axes: Axes) -> None:
    low, high = axes.get_xlim()
    wide = high / low > NARROW
    axes.xaxis.set_major_locator(
        LogLocator(base=10, subs=(1.0, 2.0, 5.0)) if wide else MaxNLocator(6, steps=STEPS)
    )
    axes.xaxis.set_major_formatter("{x:g}")
    axes.minorticks_off()
    axes.spines["left"].set_visible(False)
