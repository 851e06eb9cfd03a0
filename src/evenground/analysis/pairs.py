"""Complete blocks of a contrast: the repetitions in which all its arms have a run that counts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from evenground.analysis.blocks import made_of, passes
from evenground.analysis.groups import INVALID

# So many repetitions in a row are named one by one.
MAX_LISTED = 4
Arm = tuple[str, str]
"""Dataset and engine."""


@dataclass(frozen=True)
class Blocks:
    """The finished runs of one index, arm by arm, for many contrasts.

    `passes`: repetition -> the pass that its run was made in, as by `blocks.passes`; runs of one repetition
    and one pass may be paired. `invalid`: repetition -> the gates that call its run invalid.
    """

    passes: Mapping[Arm, Mapping[int, int]]
    invalid: Mapping[Arm, Mapping[int, str]]

    def complete(self, arms: Sequence[Arm]) -> tuple[list[int], dict[int, str]]:
        """The repetitions in which every arm has a run that is not invalid, all of them made in one pass.

        Beside them those that some arm has and that were dropped -> why, in words (`told` joins them).
        """
        distinct = list(dict.fromkeys(arms))
        found: list[int] = []
        dropped: dict[int, str] = {}
        for repetition in sorted({r for arm in distinct for r in self.passes.get(arm, {})}):
            why = self._why_not(repetition, distinct)
            if why:
                dropped[repetition] = why
            else:
                found.append(repetition)
        return found, dropped

    def valid(self, arm: Arm) -> tuple[list[int], dict[int, str]]:
        """The same of one arm by itself, as for runs that are not paired."""
        return self.complete([arm])

    def _why_not(self, repetition: int, arms: Sequence[Arm]) -> str:
        """Why a repetition is no complete block of these arms; empty where it is one."""
        names = _names(arms)
        lacking = [arm for arm in arms if repetition not in self.passes.get(arm, {})]
        if lacking:
            return f"no finished run of {listed(names[arm] for arm in lacking)}"
        spoilt = [
            f"{names[arm]} is invalid ({gates})"
            for arm in arms
            if (gates := self.invalid.get(arm, {}).get(repetition))
        ]
        if spoilt:
            return listed(spoilt)
        if len({self.passes[arm][repetition] for arm in arms}) > 1:
            return f"{listed(names.values())} were made in different passes"
        return ""


def blocks_of(conditions: pd.DataFrame, quality: pd.DataFrame) -> Blocks:
    """Blocks of the frame `conditions` and the table `quality` of one index.

    Only what is said of a single run makes it invalid; a finding about a whole group drops no run.
    """
    made: dict[Arm, dict[int, int]] = {}
    for run, number in passes(made_of(conditions)).items():
        made.setdefault((run.dataset, run.engine), {})[run.repetition] = number
    found: dict[Arm, dict[int, str]] = {}
    spoilt = quality[(quality["state"] == INVALID) & quality["repetition"].notna()]
    for row in spoilt.to_dict("records"):
        mine = found.setdefault((str(row["dataset"]), str(row["engine"])), {})
        repetition, gate = int(row["repetition"]), str(row["finding"])
        mine[repetition] = f"{mine[repetition]}, {gate}" if repetition in mine else gate
    return Blocks(passes=made, invalid=found)


def told(dropped: Mapping[int, str]) -> str:
    """Which repetitions were dropped and why, in words; those of one reason together."""
    repetitions: dict[str, list[int]] = {}
    for repetition, why in dropped.items():
        repetitions.setdefault(why, []).append(repetition)
    parts = []
    for why, numbers in repetitions.items():
        word = "repetition" if len(numbers) == 1 else "repetitions"
        parts.append(f"{word} {listed(_spans(numbers))}: {why}")
    return "; ".join(parts)


def _spans(numbers: Sequence[int]) -> list[str]:
    """Numbers in rising order in words, three or more in a row as a span: 1, 2, 4 to 9."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    words: list[str] = []
    for run in runs:
        words += (
            [f"{run[0]} to {run[-1]}"] if len(run) > MAX_LISTED else [str(number) for number in run]
        )
    return words


def _names(arms: Sequence[Arm]) -> dict[Arm, str]:
    """What arms are called in words: the engine, with its dataset where they are of several."""
    several = len({dataset for dataset, _ in arms}) > 1
    return {arm: f"{arm[1]} on {arm[0]}" if several else arm[1] for arm in arms}


def listed(words: Iterable[str]) -> str:
    """Words in a row, the last after "and"."""
    *others, last = words
    return f"{', '.join(others)} and {last}" if others else last
