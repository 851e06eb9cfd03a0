"""Estimates as text: no more digits than the interval has, and the effect with its base."""

from __future__ import annotations

import math

from evenground.analysis.statistics import Estimate
from evenground.claims.cast import Cast
from evenground.claims.estimators import Arguments
from evenground.claims.model import Claim
from evenground.records.verdicts import Instrument

# From here on a ratio is shown as times, below it as percent more.
MIN_TIMES = 2.0
# More decimals of values that hardly differ are of no use to a reader.
MAX_DECIMALS = 4
NOUNS = {"": "time", "cpu": "CPU use", "ram": "memory", "gpu": "GPU use", "vram": "GPU memory"}
OF_MEASURE = {"mean": "mean ", "steady": "steady ", "rise": "rise in ", "peak": "peak "}


def decimals(half_width: float) -> int:
    """Return how many decimals show two digits of half the width of an interval."""
    return min(MAX_DECIMALS, max(0, 1 - math.floor(math.log10(half_width))))


def with_interval(value: float, low: float, high: float) -> str:
    """Return e.g. `0.179 (0.138 to 0.233)`, to two digits of the half-width; empty for NaN."""
    if math.isnan(value):
        return ""
    half = (high - low) / 2
    # Neither a point nor an interval that is missing has a width to go by.
    if not half > 0:
        return f"{value:.4g}"
    places = decimals(half)
    return f"{value:.{places}f} ({low:.{places}f} to {high:.{places}f})"


def ends(low: float, high: float) -> str:
    """Return e.g. `0.9997 to 1.0003`, to two digits of half the distance, no trailing zeros."""
    places = decimals((high - low) / 2)
    return f"{round(low, places):.15g} to {round(high, places):.15g}"


def effect(claim: Claim, instrument: Instrument, estimate: Estimate, cast: Cast) -> str:
    """Return e.g. `jax takes 82 % less time than keras (77 to 86) on mnist`."""
    arguments = claim.arguments
    if arguments is None or math.isnan(estimate.low):
        return ""
    interval = with_interval(estimate.value, estimate.low, estimate.high)
    if arguments.over is None:
        return f"{interval}{claim.unit_suffix}"
    engine, base = cast.engine(arguments.of), cast.engine(arguments.over)
    datasets = [cast.dataset(name) for name in arguments.datasets]
    if claim.estimator == "ratio_of_ratios":
        first, second = datasets
        return f"{engine} over {base}: on {second} {interval} times what it is on {first}"
    verb = "has" if arguments.resource else "takes"
    difference = _difference(estimate, _noun(arguments, instrument), base)
    return f"{engine} {verb} {difference} on {' and '.join(datasets)}"


def _noun(arguments: Arguments, instrument: Instrument) -> str:
    """Return what is compared, e.g. `time` or `peak GPU use`."""
    measure = arguments.measure_under(instrument)
    return OF_MEASURE.get(measure, "") + NOUNS[arguments.resource or ""]


def _difference(estimate: Estimate, noun: str, base: str) -> str:
    """Describe how much more or less of it there is than of `base`, with the interval's ends."""
    if estimate.value >= MIN_TIMES:
        interval = with_interval(estimate.value, estimate.low, estimate.high)
        return interval.replace(" (", f" times the {noun} of {base} (")
    places = _percent_places(estimate)
    low = f"{100 * abs(estimate.low - 1):.{places}f}"
    high = f"{100 * abs(estimate.high - 1):.{places}f}"
    if estimate.low < 1 < estimate.high:
        return f"between {low} % less and {high} % more {noun} than {base}"
    value = f"{100 * abs(estimate.value - 1):.{places}f}"
    if estimate.value < 1:
        # The end farther from 1 is the lower one, which makes it the larger difference.
        return f"{value} % less {noun} than {base} ({high} to {low})"
    return f"{value} % more {noun} than {base} ({low} to {high})"


def _percent_places(estimate: Estimate) -> int:
    """Return the decimals of percents: none, unless the interval is narrower than a percent."""
    half_pct = 50 * (estimate.high - estimate.low)
    if half_pct == 0 or half_pct >= 1:
        return 0
    return decimals(half_pct)
