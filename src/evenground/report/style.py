"""How every figure looks: one colour, line and marker per engine, and sizes for print."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.colors import to_rgb
from matplotlib.font_manager import FontProperties, findfont, get_font
from matplotlib.lines import Line2D
from matplotlib.textpath import text_to_path

from evenground.analysis.by_phase import is_between
from evenground.records.plan import Engine

FONT = "DejaVu Sans"
REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
TITLE_PT, TEXT_PT, SMALL_PT = 10.0, 8.0, 7.0
INK, MUTED, FAINT, PAPER = "#1a1a1a", "#595959", "#d9d9d9", "#f2f2f2"
# Neighbours in time differ in lightness, so the strip of phases reads without any colour.
PHASES = {
    "load": "#dedede",
    "first batch": "#707070",
    "evaluate": "#8f8f8f",
    "linger": "#ececec",
    "exit": "#606060",
}
EPOCHS = ("#bdbdbd", "#d4d4d4")
# The time between phases is hatched on white: without any colour it still differs from each phase.
BETWEEN, BETWEEN_HATCH = "#ffffff", "//////"

_SETTINGS: dict[str, Any] = {
    "font.family": FONT,
    "font.size": TEXT_PT,
    "axes.titlesize": TEXT_PT,
    "axes.labelsize": TEXT_PT,
    "xtick.labelsize": SMALL_PT,
    "ytick.labelsize": SMALL_PT,
    "legend.fontsize": TEXT_PT,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e6e6e6",
    "grid.linewidth": 0.5,
    "legend.frameon": False,
    "hatch.linewidth": 0.6,
    "lines.solid_capstyle": "round",
    # Letters are outlines: a figure looks the same where the font is not installed.
    "svg.fonttype": "path",
    # Without it the identifiers in an SVG are random.
    "svg.hashsalt": "evenground",
    "savefig.dpi": 200,
    "figure.dpi": 100,
    # A dollar sign in a name is a dollar sign, not the start of a formula.
    "text.parse_math": False,
}


@dataclass(frozen=True)
class EngineStyle:
    """How one engine is drawn everywhere; line, marker and hatch tell engines apart in grey."""

    label: str
    colour: str
    line: str | tuple[int, tuple[float, ...]]
    marker: str
    hatch: str

    @property
    def drawn(self) -> dict[str, Any]:
        """Line and marks as matplotlib takes them, the same in plots and legends."""
        marks = {"marker": self.marker, "ms": 5, "mec": INK, "mew": 0.6}
        return {"color": self.colour, "ls": self.line, "lw": 1.8, **marks}


def legend_of(styles: Iterable[EngineStyle]) -> list[Line2D]:
    """A labelled line of each engine."""
    return [Line2D([], [], label=style.label, **style.drawn) for style in styles]


# Dashes as matplotlib takes them: an offset, then lengths of strokes and gaps in line widths.
_LINES: tuple[str | tuple[int, tuple[float, ...]], ...] = (
    "solid",
    (0, (4.0, 1.2)),
    (0, (1.2, 1.2)),
    (0, (5.0, 1.2, 1.2, 1.2)),
    (0, (8.0, 2.0)),
    (0, (3.0, 1.0, 1.0, 1.0, 1.0, 1.0)),
)
# Of the mean beside a run that is drawn itself.
MEAN_LINE = (0, (3.0, 2.0))
_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "p", "h", "*")
_HATCHES = ("", "////", "....", "xxxx", "----", "\\\\\\\\")


def engine_styles(engines: Sequence[Engine]) -> dict[str, EngineStyle]:
    """Engine name to style: its own colour, and by its place a line, a marker and a hatch.

    Of twelve engines no two have the same marker; lines and hatches repeat after six.
    """
    styles = {}
    for number, engine in enumerate(engines):
        k = number % len(_LINES)
        styles[engine.name] = EngineStyle(
            label=engine.label,
            colour=engine.colour,
            line=_LINES[k],
            marker=_MARKERS[number % len(_MARKERS)],
            hatch=_HATCHES[k],
        )
    return styles


# Okabe's and Ito's colours (engines.py), of which neighbours differ in lightness.
_SIDES = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")


def side_mark(number: int) -> tuple[str, str]:
    """Marker and colour of a recorded experiment by its place; they repeat after six."""
    k = number % len(_SIDES)
    return _MARKERS[k], _SIDES[k]


def phase_colour(phase: str) -> str:
    """Fill of a phase in the strip; epochs take turns."""
    if is_between(phase):
        return BETWEEN
    if phase.startswith("epoch "):
        return EPOCHS[int(phase.split()[1]) % 2]
    return PHASES[phase]


@contextmanager
def fixed_style() -> Iterator[None]:
    """The settings of all figures, independent of the user's own matplotlib settings."""
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(_SETTINGS)
        yield


@cache
def _has_letter(letter: str) -> bool:
    font = get_font(findfont(FONT))
    return font.get_char_index(ord(letter)) != 0


def is_drawable(text: str) -> bool:
    """Whether the font of the figures has every letter of a text."""
    return all(letter.isspace() or _has_letter(letter) for letter in text)


def drawable(text: str) -> str:
    """The text with a replacement for each letter that the font does not have."""
    if is_drawable(text):
        return text
    letters = [each if is_drawable(each) else REPLACEMENT for each in text]
    return "".join(letters)


def width_in(text: str, size_pt: float, weight: str = "normal") -> float:
    """Width of one line of text in inches."""
    font = FontProperties(family=FONT, size=size_pt, weight=weight)
    width_pt, _, _ = text_to_path.get_text_width_height_descent(text, font, ismath=False)
    return float(width_pt) / 72


def fitted_pt(text: str, size_pt: float, limit_in: float, weight: str = "normal") -> float:
    """The size at which a line of text is at most `limit_in` inches wide, at most `size_pt`."""
    width = width_in(text, size_pt, weight)
    if width <= limit_in:
        return size_pt
    return size_pt * limit_in / width


def tint(colour: str, share: float) -> np.ndarray:
    """Red, green and blue of `share` of a colour on white: opaque, no grid line shows through."""
    return 1 - share * (1 - np.array(to_rgb(colour)))


def wrapped(text: str, size_pt: float, limit_in: float) -> list[str]:
    """Lines of `text`, each at most `limit_in` inches wide; a longer word is broken."""
    # textwrap counts characters, and matplotlib wraps only when it draws: too late for the height.
    lines = [""]
    for word in drawable(text).split():
        while width_in(word, size_pt) > limit_in:
            fitting = _fitting(word, size_pt, limit_in)
            lines.append(word[:fitting])
            word = word[fitting:]
        longer = f"{lines[-1]} {word}".strip()
        if width_in(longer, size_pt) <= limit_in:
            lines[-1] = longer
        else:
            lines.append(word)
    return [line for line in lines if line]


def _fitting(word: str, size_pt: float, limit_in: float) -> int:
    """How many characters of a word that is too long fit; at least one."""
    lengths = range(1, len(word))
    fitting = bisect_right(lengths, limit_in, key=lambda k: width_in(word[:k], size_pt))
    return max(1, fitting)
