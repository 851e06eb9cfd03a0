"""The ratio of two engines in two recorded experiments, beside each other."""

from __future__ import annotations

import math

import pandas as pd
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from evenground.report.sheet import EDGE, TITLE_ROOM, WIDTH, Drawing, make_sheet, note_sheet
from evenground.report.style import INK, MUTED, OKABE_ITO, SMALL_PT, TEXT_PT, wrapped

ROW, FOOT, NAMES = 0.42, 0.5, 2.3
MEASURE = "training_s"
MARKS = (("a", "o", OKABE_ITO[1], 0.13), ("b", "s", OKABE_ITO[3], -0.13))


def ratios_drawing(ratios: pd.DataFrame, name_a: str, name_b: str) -> Drawing:
    """Figure `ratios`: per dataset and pair of engines both ratios of training times, with intervals."""
    data = ratios[ratios["measure"] == MEASURE].reset_index(drop=True)
    title = "Ratio of training times, side by side"
    caption = (
        "Time of the first engine over that of the second: ratio of geometric means with its 95 % "
        f"interval. Round: {name_a}; square: {name_b}. Left of the line the first engine is faster."
    )
    if data.empty:
        return Drawing("ratios", title, caption, (), note_sheet(title, caption, "no pair in both"), data)
    height = ROW * len(data)
    sheet = make_sheet(title, caption, height + FOOT)
    axes = sheet.axes(TITLE_ROOM, height, NAMES, WIDTH - NAMES - 2 * EDGE)
    for y, (_, row) in enumerate(data.iterrows()):
        for side, marker, colour, lift in MARKS:
            ratio, low, high = (float(row[f"{name}_{side}"]) for name in ("ratio", "low", "high"))
            if math.isnan(ratio):
                continue
            if not math.isnan(low):
                axes.plot([low, high], [y - lift, y - lift], color=colour, lw=1.6)
            axes.plot([ratio], [y - lift], marker, color=colour, ms=5, mec=INK, mew=0.6)
    axes.axvline(1.0, color=MUTED, lw=0.8)
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(base=10, subs=(1.0, 2.0, 5.0)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    labels = [f"{row['engine']} / {row['baseline']}\n{row['dataset']}" for _, row in data.iterrows()]
    axes.set_yticks(range(len(data)), ["\n".join(wrapped(x, SMALL_PT, NAMES)) for x in labels])
    axes.set(ylim=(len(data) - 0.5, -0.5), xlabel="ratio of training times")
    axes.tick_params(axis="y", length=0, labelsize=TEXT_PT)
    return Drawing("ratios", title, caption, (), sheet.figure, data)
