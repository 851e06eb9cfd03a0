"""The ratio of two engines: of pairs, or by Welch where runs are independent of each other."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from evenground.analysis.index import Index
from evenground.analysis.pairs import Arm, Blocks, told
from evenground.analysis.statistics import (
    MIN_RUNS,
    TOO_FEW,
    Ratio,
    Repeated,
    contrast,
    pair_ratio,
    ratio_interval,
    ratio_of_ratios,
)

PAIRS, WELCH = "pairs", "welch"
NO_RUN, NO_PAIR, NO_VALUE = "no finished run", "no complete pair", "no value"


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
        return [*self.only(self.blocks.valid(self.arm)[0]).values()]

    @property
    def finished(self) -> bool:
        """Whether there is any run."""
        return bool(self.blocks.passes.get(self.arm))


Pair = tuple[Runs, Runs]
"""The baseline and the other engine, of one experiment."""


@dataclass(frozen=True)
class Compared:
    """A ratio of two engines, the `method` of its interval, and of how many pairs; None without pairs.

    `dropped`: in words, which repetitions do not count.
    """

    ratio: Ratio
    method: str
    n_pairs: int | None
    dropped: str

    @property
    def reason(self) -> str:
        """Why there is no ratio or no interval, and what was dropped."""
        return "; ".join(filter(None, (self.ratio.reason, self.dropped)))

    def without(self, reason: str) -> Compared:
        """The same without its numbers where there is a reason why they would compare unlike work."""
        if not reason:
            return self
        nan = math.nan
        ratio = replace(self.ratio, ratio=nan, low=nan, high=nan, df=nan, reason=reason)
        return replace(self, ratio=ratio, dropped="")


def within(index: Index, pair: Pair) -> Compared:
    """The ratio of two engines of one experiment, by the method that its design asks for.

    What the numbers look like has no part in the choice. Runs that are `invalid` do not count.
    """
    return paired(pair) if index.report.design == "blocks" else unpaired(pair)


def paired(pair: Pair) -> Compared:
    """The ratio of the complete pairs, its interval by `statistics.pair_ratio`."""
    if not all(runs.finished for runs in pair):
        return Compared(
            ratio=_explained(pair_ratio({}, {}), pair, NO_PAIR), method=PAIRS, n_pairs=0, dropped=""
        )
    repetitions, dropped = _complete(pair)
    a, b = (runs.only(repetitions) for runs in pair)
    known = [number for number in repetitions if not math.isnan(a[number] + b[number])]
    # Where no pair has a value that is the reason by itself.
    lacking = [number for number in repetitions if known and number not in known]
    found = _explained(pair_ratio(a, b), pair, NO_VALUE if repetitions else NO_PAIR)
    return Compared(
        ratio=found,
        method=PAIRS,
        n_pairs=len(known),
        dropped=told({**dropped, **dict.fromkeys(lacking, NO_VALUE)}),
    )


def unpaired(pair: Pair) -> Compared:
    """The ratio of runs that are independent, as of two machines, its interval by Welch."""
    found = ratio_interval(pair[0].valid, pair[1].valid)
    dropped = [told(runs.blocks.valid(runs.arm)[1]) for runs in pair]
    return Compared(
        ratio=_explained(found, pair, NO_VALUE),
        method=WELCH,
        n_pairs=None,
        dropped="; ".join(filter(None, dropped)),
    )


def of_ratios(a: tuple[Index, Pair], b: tuple[Index, Pair]) -> Ratio:
    """The ratio within experiment `b` over that within `a`.

    Of the pairs of each, as by `statistics.ratio_of_ratios`; where the runs of one of them are independent,
    by Welch's interval of four independent groups.
    """
    if all(index.report.design == "blocks" for index, _ in (a, b)):
        first, second = (
            tuple(runs.only(_complete(pair)[0]) for runs in pair) for pair in (a[1], b[1])
        )
        return ratio_of_ratios((first[0], first[1]), (second[0], second[1]))
    groups = [runs.valid for pair in (a[1], b[1]) for runs in pair]
    found = contrast([*zip((1, -1, -1, 1), groups, strict=True)], log=True)
    reason = found.reason
    if not reason and found.n < MIN_RUNS:
        reason = f"{TOO_FEW}: {found.n}, an interval takes {MIN_RUNS} runs a side"
    low, high, df = (math.nan,) * 3 if reason else (found.low, found.high, found.df)
    return Ratio(
        ratio=found.value,
        low=low,
        high=high,
        df=df,
        n_baseline=min(map(len, groups[:2])),
        n_other=min(map(len, groups[2:])),
        reason=reason,
    )


def _complete(pair: Pair) -> tuple[list[int], dict[int, str]]:
    """The repetitions of complete pairs, and why others are dropped: both engines are of one experiment."""
    return pair[0].blocks.complete([runs.arm for runs in pair])


def _explained(found: Ratio, pair: Pair, why: str) -> Ratio:
    """The ratio; where it has no value for another reason than that nothing finished, with that one."""
    absent = found.reason == NO_RUN and all(runs.finished for runs in pair)
    return replace(found, reason=why) if absent else found
