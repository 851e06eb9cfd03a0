"""The ratio of two engines: of pairs, or by Welch's method if runs are independent."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from evenground.analysis.pairs import Arm, Blocks, told
from evenground.analysis.statistics import (
    MIN_RUNS,
    NOTHING,
    Estimate,
    Repeated,
    contrast,
    if_enough,
    known,
    pair_ratio,
    ratio_interval,
    ratio_of_ratios,
)
from evenground.records.index import Condition

PAIRS, WELCH = "pairs", "welch"
NO_RUN, NO_PAIR = "no finished run", "no complete pair"


@dataclass(frozen=True)
class Runs:
    """What the runs of one arm measured, by repetition, with the blocks of their experiment."""

    blocks: Blocks
    arm: Arm
    values: Repeated

    def only(self, repetitions: Sequence[int]) -> Repeated:
        """The values of these repetitions."""
        return {number: self.values[number] for number in repetitions if number in self.values}

    @property
    def valid(self) -> list[float]:
        """The values of the runs that are not invalid."""
        repetitions, _ = self.blocks.valid(self.arm)
        return list(self.only(repetitions).values())

    @property
    def measured(self) -> bool:
        """Whether any run has a value."""
        return not all(map(math.isnan, self.values.values()))

    @property
    def finished(self) -> bool:
        """Whether there is any run."""
        return bool(self.blocks.passes.get(self.arm))


Pair = tuple[Runs, Runs]
"""The baseline and the other engine, of one experiment."""


@dataclass(frozen=True)
class Compared:
    """A ratio of two engines with the `method` of its interval.

    `n_baseline`, `n_engine`: the runs of each that count. `n_pairs`: None if they are not paired.
    `dropped`: which repetitions do not count, as text.
    """

    ratio: Estimate
    method: str
    n_pairs: int | None
    n_baseline: int
    n_engine: int
    dropped: str

    @property
    def reason(self) -> str:
        """Why there is no ratio or no interval, and what was dropped."""
        return "; ".join(filter(None, (self.ratio.reason, self.dropped)))

    def without(self, reason: str) -> Compared:
        """The same without its numbers, if `reason` says why they would compare different work."""
        if not reason:
            return self
        nan = math.nan
        ratio = replace(self.ratio, value=nan, low=nan, high=nan, df=nan, reason=reason)
        return replace(self, ratio=ratio, dropped="")


def within(condition: Condition, pair: Pair) -> Compared:
    """The ratio of two engines of one experiment, by the method that its design requires.

    The values play no part in the choice. Runs that are `invalid` do not count.
    """
    if condition.report.design == "blocks":
        return paired(pair)
    return unpaired(pair)


def paired(pair: Pair) -> Compared:
    """The ratio over the complete pairs, its interval by `statistics.pair_ratio`."""
    repetitions, dropped = _complete(pair)
    if not all(runs.finished for runs in pair):
        # Every repetition lacks the same engine: the reason of the ratio says it once.
        dropped = {}
    baseline, other = (runs.only(repetitions) for runs in pair)
    valued = [number for number in repetitions if not math.isnan(baseline[number] + other[number])]
    # If no pair has a value, that is the reason of the ratio already.
    if valued:
        missing = [number for number in repetitions if number not in valued]
        dropped |= dict.fromkeys(missing, NOTHING)
    no_value = NOTHING
    if not repetitions:
        no_value = NO_PAIR
    ratio = _explained(pair_ratio(baseline, other), pair, no_value)
    return Compared(
        ratio=ratio,
        method=PAIRS,
        n_pairs=len(valued),
        n_baseline=ratio.n,
        n_engine=ratio.n,
        dropped=told(dropped),
    )


def unpaired(pair: Pair) -> Compared:
    """The ratio of independent runs, e.g. on two machines, its interval by Welch's method."""
    dropped = [told(runs.blocks.valid(runs.arm)[1]) for runs in pair]
    baseline, other = (known(runs.valid) for runs in pair)
    return Compared(
        ratio=_explained(ratio_interval(baseline, other), pair, NOTHING),
        method=WELCH,
        n_pairs=None,
        n_baseline=len(baseline),
        n_engine=len(other),
        dropped="; ".join(filter(None, dropped)),
    )


def of_ratios(a: tuple[Condition, Pair], b: tuple[Condition, Pair]) -> Estimate:
    """The ratio within experiment `b` over that within `a`.

    Over the pairs of each, by `statistics.ratio_of_ratios`; if the runs of either are independent,
    by Welch's interval for four independent groups.
    """
    (index_a, pair_a), (index_b, pair_b) = a, b
    if index_a.report.design == index_b.report.design == "blocks":
        ratio = ratio_of_ratios(_paired_values(pair_a), _paired_values(pair_b))
        return _explained(ratio, pair_a + pair_b, NOTHING)
    baseline_a, other_a, baseline_b, other_b = (runs.valid for runs in pair_a + pair_b)
    difference = contrast(
        [(1, baseline_a), (-1, other_a), (-1, baseline_b), (1, other_b)], log=True
    )
    return if_enough(difference, MIN_RUNS, "runs a side")


def _paired_values(pair: Pair) -> tuple[Repeated, Repeated]:
    """The values of the complete pairs."""
    repetitions, _ = _complete(pair)
    baseline, other = pair
    return baseline.only(repetitions), other.only(repetitions)


def _complete(pair: Pair) -> tuple[list[int], dict[int, str]]:
    """The repetitions of complete pairs, and why others are dropped; both have the same blocks."""
    return pair[0].blocks.complete([runs.arm for runs in pair])


def _explained(ratio: Estimate, compared: Sequence[Runs], no_value: str) -> Estimate:
    """The ratio, with a more exact reason if it has no value."""
    if ratio.reason != NOTHING:
        return ratio
    if all(runs.finished for runs in compared):
        return replace(ratio, reason=no_value)
    return replace(ratio, reason=NO_RUN)
