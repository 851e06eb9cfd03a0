"""The phases of a run as a strip along the time axis, its labels never on each other."""

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
# Of the axis; what is narrower gets no name, and is not hatched.
MIN_SHARE = 0.002


def mean_phases(phases: pd.DataFrame) -> pd.DataFrame:
    """Mean start and end of each phase over the runs of one group, in order of time."""
    spans = phases.groupby("phase", sort=False)[["start_s", "end_s"]].mean().reset_index()
    return spans.sort_values(["start_s", "end_s"], ignore_index=True)


def spread(centres: list[float], widths: list[float], limit: float) -> list[float]:
    """Places for labels of `widths` near their `centres` (sorted), within 0 to `limit`.

    Labels keep their order and a distance of LABEL_GAP. Least squares: an isotonic regression after
    the needed distances are taken off (Barlow et al., "Statistical Inference under Order
    Restrictions", 1972).
    """
    # Here, as it takes 0.3 s to import, which is a third of the start of scripts/figures.py.
    from scipy.optimize import isotonic_regression

    apart = [(left + right) / 2 + LABEL_GAP for left, right in itertools.pairwise(widths)]
    offsets = np.concatenate(([0.0], np.cumsum(apart)))
    pooled = isotonic_regression(np.asarray(centres) - offsets).x
    low, high = widths[0] / 2, limit - widths[-1] / 2 - offsets[-1]
    # If there is no room for all, those on the right leave the axis.
    places: list[float] = (np.clip(pooled, low, max(low, high)) + offsets).tolist()
    return places


def draw_strip(axes: Axes, spans: pd.DataFrame, first_s: float, last_s: float) -> None:
    """Draw phases between `first_s` and `last_s`, each with its name above and a line to it."""
    axes.set(xlim=(first_s, last_s), ylim=(0, 1), yticks=[])
    axes.grid(False)
    axes.tick_params(bottom=False, labelbottom=False)
    for spine in axes.spines.values():
        spine.set_visible(False)
    shown = _within(spans, first_s, last_s)
    long = shown["width_s"] >= MIN_SHARE * (last_s - first_s)
    between = shown["phase"].map(is_between).astype(bool)
    for span in shown[long | ~between].to_dict("records"):
        _draw_phase(axes, span["phase"], span["start_s"], span["width_s"])
    # The hatched time between phases has no name: the caption explains it.
    _name(axes, _labels(shown[long & ~between]), first_s, last_s)


def _draw_phase(axes: Axes, phase: str, start_s: float, width_s: float) -> None:
    """A phase as a grey bar; the time between phases hatched."""
    colour = phase_colour(phase)
    (bar,) = axes.barh(0.5, width_s, 1.0, left=start_s, color=colour, edgecolor="white", lw=0.4)
    if is_between(phase):
        bar.set(hatch=BETWEEN_HATCH, edgecolor=MUTED)


def _within(spans: pd.DataFrame, first_s: float, last_s: float) -> pd.DataFrame:
    """Phases cut to the axis, with their width, without those of which nothing is left."""
    start_s, end_s = spans["start_s"].clip(lower=first_s), spans["end_s"].clip(upper=last_s)
    cut = spans.assign(start_s=start_s, end_s=end_s, width_s=end_s - start_s)
    return cut[cut["width_s"] > 0]


def _labels(named: pd.DataFrame) -> list[tuple[str, float]]:
    """Name and middle of each phase to be named; many epochs share one name."""
    middles = (named["start_s"] + named["end_s"]) / 2
    labels = list(zip(named["phase"], middles, strict=True))
    epochs = [label for label in labels if label[0].startswith("epoch ")]
    if len(epochs) > MAX_EPOCHS:
        (first, first_s), (last, last_s) = epochs[0], epochs[-1]
        words = f"epochs {first.removeprefix('epoch ')}–{last.removeprefix('epoch ')}"
        labels = [label for label in labels if label not in epochs]
        labels.append((words, (first_s + last_s) / 2))
        labels.sort(key=lambda label: label[1])
    return labels


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
