"""Randomised complete blocks: runs of one repetition, made in one pass, may be paired."""

from __future__ import annotations

import bisect
import itertools
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

# Between two trainings of one pass lie seconds; after a longer pause the machine may have changed.
MAX_PAUSE_S = 1800.0


@dataclass(frozen=True)
class Made:
    """A finished run: when its process was launched and had exited, in seconds on one clock."""

    dataset: str
    engine: str
    repetition: int
    launched_s: float
    exited_s: float


def passes(runs: Sequence[Made]) -> dict[Made, int]:
    """Number the passes in which the runs were made; one repetition within one pass is a block.

    The plan makes repetition after repetition. In the order of launches, the longest sequence of
    runs whose repetitions never fall was made in turn; of the rest, made later, again the longest
    such sequence, and so on. A pass also ends at a pause of MAX_PAUSE_S, and if between two runs of
    a repetition at least as many others were made as it has runs there. Runs whose times are
    unknown (NaN) count as made in turn.
    """
    in_order = sorted(runs, key=lambda run: (run.launched_s, run.repetition))
    pass_of = {run: 0 for run in runs if math.isnan(run.launched_s)}
    remaining = [run for run in in_order if not math.isnan(run.launched_s)]
    first = 0
    # Each turn of the loop takes the longest pass out of the remaining runs.
    while remaining:
        positions = _never_falling([run.repetition for run in remaining])
        chosen = [remaining[position] for position in positions]
        pass_of |= _split(chosen, in_order, first)
        first = max(pass_of.values()) + 1
        remaining = [run for run in remaining if run not in pass_of]
    return pass_of


def made_of(circumstances: pd.DataFrame) -> list[Made]:
    """The finished runs of the frame `circumstances` of one condition."""
    names = ["dataset", "engine", "repetition", "launched_s", "exited_s"]
    return [
        Made(
            dataset=row["dataset"],
            engine=row["engine"],
            repetition=row["repetition"],
            launched_s=row["launched_s"],
            exited_s=row["exited_s"],
        )
        for row in circumstances[names].to_dict("records")
    ]


def _split(chosen: Sequence[Made], in_order: Sequence[Made], first: int) -> dict[Made, int]:
    """Pass of each chosen run, from `first`: a new one begins where a block was interrupted."""
    position = {run: number for number, run in enumerate(in_order)}
    sizes = Counter(run.repetition for run in chosen)
    number = first
    pass_of = {chosen[0]: number}
    for before, run in itertools.pairwise(chosen):
        if before.repetition == run.repetition:
            between = in_order[position[before] : position[run] + 1]
            # The two runs themselves are at the ends.
            n_others = len(between) - 2
            if n_others >= sizes[run.repetition] or _paused(between):
                number += 1
        pass_of[run] = number
    return pass_of


def _paused(runs: Sequence[Made]) -> bool:
    """Whether nothing was trained for MAX_PAUSE_S between two of these runs, which are in order."""
    return any(b.launched_s - a.exited_s > MAX_PAUSE_S for a, b in itertools.pairwise(runs))


def _never_falling(numbers: Sequence[int]) -> list[int]:
    """Positions of a longest subsequence that never falls (patience sorting)."""
    tops: list[int] = []
    top_positions: list[int] = []
    previous: list[int | None] = []
    for position, number in enumerate(numbers):
        pile = bisect.bisect_right(tops, number)
        # The top of the pile before this one ends the longest subsequence that `number` continues.
        previous.append(top_positions[pile - 1] if pile else None)
        # Replaces the top of the pile, or begins a new pile behind the last.
        tops[pile : pile + 1] = [number]
        top_positions[pile : pile + 1] = [position]
    subsequence = []
    end: int | None = top_positions[-1]
    while end is not None:
        subsequence.append(end)
        end = previous[end]
    return subsequence[::-1]
