"""Complete blocks of a contrast: the repetitions in which all its arms have a valid run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from evenground.analysis.blocks import passes
from evenground.analysis.groups import INVALID

Arm = tuple[str, str]
"""Dataset and engine."""


@dataclass(frozen=True)
class Blocks:
    """The finished runs of one condition, arm by arm, for many contrasts.

    `passes`: repetition -> the pass over it in which its run was made, as by `blocks.passes`; runs
    of one repetition and one pass may be paired. `invalid`: repetition -> the gates that failed its run.
    """

    passes: Mapping[Arm, Mapping[int, int]]
    invalid: Mapping[Arm, Mapping[int, str]]

    def complete(self, arms: Sequence[Arm]) -> tuple[list[int], dict[int, str]]:
        """The repetitions in which every arm has a valid run, all of them made in one pass.

        Second, the other repetitions -> why they were dropped, as text (`told` joins them).
        """
        # A claim may name one arm twice.
        distinct = list(dict.fromkeys(arms))
        repetitions: set[int] = set()
        for arm in distinct:
            repetitions.update(self.passes.get(arm, {}))
        complete: list[int] = []
        dropped: dict[int, str] = {}
        for repetition in sorted(repetitions):
            why = self._why_not(repetition, distinct)
            if why:
                dropped[repetition] = why
            else:
                complete.append(repetition)
        return complete, dropped

    def valid(self, arm: Arm) -> tuple[list[int], dict[int, str]]:
        """The same for one arm by itself, whose runs are not paired."""
        return self.complete([arm])

    def _why_not(self, repetition: int, arms: Sequence[Arm]) -> str:
        """Why a repetition is not a complete block of these arms; empty if it is."""
        names = _names(arms)
        missing = [names[arm] for arm in arms if repetition not in self.passes.get(arm, {})]
        if missing:
            return f"no finished run of {listed(missing)}"
        invalid = []
        for arm in arms:
            gates = self.invalid.get(arm, {}).get(repetition)
            if gates:
                invalid.append(f"{names[arm]} is invalid ({gates})")
        if invalid:
            return listed(invalid)
        if len({self.passes[arm][repetition] for arm in arms}) > 1:
            return f"{listed(names.values())} were made in different passes"
        return ""


def blocks_of(circumstances: pd.DataFrame, quality: pd.DataFrame) -> Blocks:
    """Blocks of the frame `circumstances` and the table `quality` of one condition.

    Only a finding about a single run makes it invalid; one about a whole group drops no run.
    """
    made: dict[Arm, dict[int, int]] = {}
    for run in circumstances.assign(made_in=passes(circumstances)).to_dict("records"):
        of_arm = made.setdefault((run["dataset"], run["engine"]), {})
        of_arm[run["repetition"]] = run["made_in"]
    invalid: dict[Arm, dict[int, str]] = {}
    # A run may have failed several gates.
    findings = quality[(quality["state"] == INVALID) & quality["repetition"].notna()]
    for row in findings.to_dict("records"):
        gates = invalid.setdefault((str(row["dataset"]), str(row["engine"])), {})
        repetition = int(row["repetition"])
        earlier = gates.get(repetition)
        gates[repetition] = ", ".join(filter(None, (earlier, str(row["finding"]))))
    return Blocks(passes=made, invalid=invalid)


def told(dropped: Mapping[int, str]) -> str:
    """Which repetitions were dropped and why, as text; those with the same reason together."""
    repetitions: dict[str, list[int]] = {}
    for repetition, why in dropped.items():
        repetitions.setdefault(why, []).append(repetition)
    texts = []
    for why, numbers in repetitions.items():
        noun = "repetition" if len(numbers) == 1 else "repetitions"
        texts.append(f"{noun} {listed(map(str, numbers))}: {why}")
    return "; ".join(texts)


def _names(arms: Sequence[Arm]) -> dict[Arm, str]:
    """Arm -> its name in a text: the engine, with the dataset if there are several of those."""
    if len({dataset for dataset, _ in arms}) > 1:
        return {(dataset, engine): f"{engine} on {dataset}" for dataset, engine in arms}
    return {(dataset, engine): engine for dataset, engine in arms}


def listed(items: Iterable[str]) -> str:
    """Items separated by commas, the last by "and"; at least one."""
    texts = list(items)
    if len(texts) == 1:
        return texts[0]
    return f"{', '.join(texts[:-1])} and {texts[-1]}"
