"""What a run was doing, as a strip of phases along the time axis, its labels never on each other."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from evenground.analysis.by_phase import is_between
from evenground.report.sheet import PLOT_WIDTH
from evenground.report.style import BETWEEN_HATCH, INK, MUTED, SMALL_PT, phase_colour, width_in

LABEL_ROOM, STRIP_HEIGHT = 0.30, 0.16
LABEL_GAP = 0.09
MAX_EPOCHS = 4
MIN_SHARE = 0.002


def mean_phases(phases: pd.DataFrame) -> pd.DataFrame:
    """Mean start and end of each phase over the runs of one group, in the order of time."""
    spans = phases.groupby("phase", sort=False)[["start_s", "end_s"]].mean().reset_index()
    return spans.sort_values(["start_s", "end_s"], ignore_index=True)


def spread(centres: list[float], widths: list[float], limit: float) -> list[float]:
    """Places for labels of `widths` as near to `centres` (sorted) as can be, apart, within 0 to `limit`.

    Least squares under the order of the labels: pool adjacent violators (Barlow et al., "Statistical
    Inference under Order Restrictions", 1972) after the needed distances are taken off.
    """
    apart = [(a + b) / 2 + LABEL_GAP for a, b in itertools.pairwise(widths)]
    offsets = np.concatenate(([0.0], np.cumsum(apart)))
    blocks: list[tuple[float, int]] = []
    for value in (np.asarray(centres) - offsets).tolist():
        blocks.append((value, 1))
        while len(blocks) > 1 and blocks[-2][0] > blocks[-1][0]:
            (a, n), (b, m) = blocks[-2:]
            blocks[-2:] = [((a * n + b * m) / (n + m), n + m)]
    pooled = np.repeat([mean for mean, _ in blocks], [count for _, count in blocks])
    low, high = widths[0] / 2, limit - widths[-1] / 2 - offsets[-1]
    return [float(place) for place in np.clip(pooled, low, max(low, high)) + offsets]


def draw_strip(axes: Axes, spans: pd.DataFrame, first_s: float, last_s: float) -> None:
    """Draw mean phases between `first_s` and `last_s`, each with its name above and a line to it."""
    axes.set(xlim=(first_s, last_s), ylim=(0, 1), yticks=[])
    axes.grid(False)
    axes.tick_params(bottom=False, labelbottom=False)
    for spine in axes.spines.values():
        spine.set_visible(False)
    shown, shortest_s = _within(spans, first_s, last_s), MIN_SHARE * (last_s - first_s)
    for phase, start_s, end_s in shown:
        _draw_phase(axes, phase, start_s, end_s, shortest_s)
    _name(axes, _labels(shown, shortest_s), first_s, last_s)


def _draw_phase(axes: Axes, phase: str, start_s: float, end_s: float, shortest_s: float) -> None:
    """A phase as a grey bar; a time between phases hatched, where it is wide enough to be seen."""
    width = end_s - start_s
    between = is_between(phase)
    if between and width < shortest_s:
        return
    (bar,) = axes.barh(
        0.5, width, 1.0, left=start_s, color=phase_colour(phase), edgecolor="white", lw=0.4
    )
    if between:
        bar.set(hatch=BETWEEN_HATCH, edgecolor=MUTED)


def _within(spans: pd.DataFrame, first_s: float, last_s: float) -> list[tuple[str, float, float]]:
    """Phases cut to the axis; those that end up empty are left out."""
    cut = [
        (str(row.phase), max(float(str(row.start_s)), first_s), min(float(str(row.end_s)), last_s))
        for row in spans.itertuples()
    ]
    return [span for span in cut if span[2] > span[1]]


def _labels(shown: list[tuple[str, float, float]], shortest_s: float) -> list[tuple[str, float]]:
    """Name and middle of each phase to be named; many epochs share one name. The caption tells the hatch."""
    named = [span for span in shown if span[2] - span[1] >= shortest_s and not is_between(span[0])]
    epochs = [span for span in named if span[0].startswith("epoch ")]
    if len(epochs) > MAX_EPOCHS:
        joint = f"epochs {epochs[0][0].split()[1]}–{epochs[-1][0].split()[1]}"
        named = [span for span in named if span not in epochs] + [
            (joint, epochs[0][1], epochs[-1][2])
        ]
    return [
        (phase, (start + end) / 2) for phase, start, end in sorted(named, key=lambda span: span[1])
    ]


def _name(axes: Axes, labels: list[tuple[str, float]], first_s: float, last_s: float) -> None:
    """Write the names in one row above the strip, each tied to the middle of its phase."""
    if not labels:
        return
    per_s = PLOT_WIDTH / (last_s - first_s)
    centres = [(middle - first_s) * per_s for _, middle in labels]
    places = spread(centres, [width_in(name, SMALL_PT) for name, _ in labels], PLOT_WIDTH)
    for (name, middle), place in zip(labels, places, strict=True):
        x = first_s + place / per_s
        axes.plot([middle, x], [1.0, 1.8], color=MUTED, lw=0.5, clip_on=False)
        axes.text(x, 1.95, name, ha="center", va="bottom", size=SMALL_PT, color=INK)
