"""Randomised complete blocks: which runs of one repetition were made in one pass, and may be paired."""

from __future__ import annotations

import bisect
import itertools
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

# Between two trainings of one pass lie seconds; whoever went away for longer measured on another day.
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
    """Run -> number of the pass that it was made in; runs of one repetition and one pass are a block.

    The plan makes repetition after repetition. In the order of launches the largest set of runs whose
    repetitions never fall was made in turn; of the others, made later, again the largest such set, and so on.
    A pass also ends at a pause of MAX_PAUSE_S, and where as many others were made between two runs of a
    repetition as it has runs there. Runs whose times are not known (NaN) count as made in turn.
    """
    in_order = sorted(runs, key=lambda run: (run.launched_s, run.repetition))
    left = [run for run in in_order if not math.isnan(run.launched_s)]
    found = {run: 0 for run in runs if math.isnan(run.launched_s)}
    first = 0
    while left:
        chosen = [left[place] for place in _never_falling([run.repetition for run in left])]
        found |= _parted(chosen, in_order, first)
        first = max(found.values()) + 1
        left = [run for run in left if run not in found]
    return found


def made_of(conditions: pd.DataFrame) -> list[Made]:
    """The finished runs of the frame `conditions` of one index."""
    names = ["dataset", "engine", "repetition", "launched_s", "exited_s"]
    return [
        Made(
            dataset=str(row["dataset"]),
            engine=str(row["engine"]),
            repetition=int(row["repetition"]),
            launched_s=float(row["launched_s"]),
            exited_s=float(row["exited_s"]),
        )
        for row in conditions[names].to_dict("records")
    ]


def _parted(chosen: Sequence[Made], in_order: Sequence[Made], first: int) -> dict[Made, int]:
    """Pass of each chosen run, numbered from `first`: a new one begins where its block was interrupted."""
    place = {run: number for number, run in enumerate(in_order)}
    sizes = Counter(run.repetition for run in chosen)
    number = first
    found = dict.fromkeys(chosen[:1], number)
    for before, run in itertools.pairwise(chosen):
        if before.repetition == run.repetition:
            between = in_order[place[before] + 1 : place[run]]
            interrupted = len(between) >= sizes[run.repetition] or _paused([before, *between, run])
            number += int(interrupted)
        found[run] = number
    return found


def _paused(runs: Sequence[Made]) -> bool:
    """Whether nothing was trained for MAX_PAUSE_S between two of these runs, which are in order."""
    return any(b.launched_s - a.exited_s > MAX_PAUSE_S for a, b in itertools.pairwise(runs))


def _never_falling(numbers: Sequence[int]) -> list[int]:
    """Places of a longest subsequence that never falls (patience sorting)."""
    tails: list[int] = []
    tail_places: list[int] = []
    before: list[int | None] = []
    for place, number in enumerate(numbers):
        pile = bisect.bisect_right(tails, number)
        before.append(tail_places[pile - 1] if pile else None)
        if pile == len(tails):
            tails.append(number)
            tail_places.append(place)
        else:
            tails[pile] = number
            tail_places[pile] = place
    found: list[int] = []
    last = tail_places[-1] if tail_places else None
    while last is not None:
        found.append(last)
        last = before[last]
    return found[::-1]
