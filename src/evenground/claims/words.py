"""Estimates as one reads them: no more digits than the interval has, and the effect with its base."""

from __future__ import annotations

import math

from evenground.analysis.instruments import Instrument
from evenground.analysis.statistics import Estimate
from evenground.claims.cast import Cast
from evenground.claims.estimators import Arguments
from evenground.claims.model import Claim

# From here on a ratio is told as times, below it as percent more.
MIN_TIMES = 2.0
# What follows nobody reads, as of values that hardly differ.
MAX_DECIMALS = 4
NOUNS = {"": "time", "cpu": "CPU use", "ram": "memory", "gpu": "GPU use", "vram": "GPU memory"}
OF_MEASURE = {"mean": "mean ", "steady": "steady ", "rise": "rise in ", "peak": "peak "}


def decimals(half_width: float) -> int:
    """Decimals that show two digits of half the width of an interval; from none to MAX_DECIMALS of them."""
    return min(MAX_DECIMALS, max(0, 1 - math.floor(math.log10(half_width))))


def with_interval(value: float, low: float, high: float) -> str:
    """As `0.179 (0.138 to 0.233)`: value and ends to two digits of the half-width; empty without a value."""
    if math.isnan(value):
        return ""
    half = (high - low) / 2
    if not half > 0:
        return f"{value:.4g}"
    places = decimals(half)
    return f"{value:.{places}f} ({low:.{places}f} to {high:.{places}f})"


def ends(low: float, high: float) -> str:
    """As `0.9997 to 1.0003`: both to two digits of half of what lies between them, without zeros behind."""
    places = decimals((high - low) / 2)
    return " to ".join(f"{round(end, places):.15g}" for end in (low, high))


def effect(claim: Claim, instrument: Instrument, found: Estimate, cast: Cast) -> str:
    """The effect in words, with its base: `jax takes 82 % less time than keras on mnist (77 to 86)`."""
    given = claim.arguments
    if given is None or math.isnan(found.low):
        return ""
    if not found.log:
        shown = with_interval(found.value, found.low, found.high)
        return shown if claim.unit == "1" else f"{shown} {claim.unit}"
    above, below = cast.engine(given.of), cast.engine(given.over or given.of)
    datasets = [cast.dataset(name) for name in given.datasets]
    if claim.estimator == "ratio_of_ratios":
        ratio = with_interval(found.value, found.low, found.high)
        first, second = datasets
        return f"{above} over {below}: on {second} {ratio} times what it is on {first}"
    verb = "takes" if given.resource is None else "has"
    return f"{above} {verb} {_compared(found, _noun(given, instrument), below)} on {' and '.join(datasets)}"


def _noun(given: Arguments, instrument: Instrument) -> str:
    """What is compared; a time or a use of a resource."""
    return OF_MEASURE.get(given.taken(instrument), "") + NOUNS[given.resource or ""]


def _compared(found: Estimate, noun: str, base: str) -> str:
    """How much more or less of it than `base`, with the ends of the interval."""
    if found.value >= MIN_TIMES:
        shown = with_interval(found.value, found.low, found.high)
        return f"{shown.replace(' (', f' times the {noun} of {base} (')}"
    places = _percent_places(found)
    ends = [100 * abs(end - 1) for end in (found.low, found.high)]
    if found.low < 1 < found.high:
        less, more = (f"{end:.{places}f} %" for end in ends)
        return f"between {less} less and {more} more {noun} than {base}"
    by = f"{100 * abs(found.value - 1):.{places}f} %"
    first, last = (f"{end:.{places}f}" for end in sorted(ends))
    return f"{by} {'less' if found.value < 1 else 'more'} {noun} than {base} ({first} to {last})"


def _percent_places(found: Estimate) -> int:
    """Whole percents are enough, but for an interval that is narrower than that."""
    half_pct = 50 * (found.high - found.low)
    return 0 if half_pct >= 1 or half_pct == 0 else decimals(half_pct)
