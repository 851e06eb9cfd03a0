"""What trainings computed on, as their engines said: the processor, or a graphics card."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from evenground.analysis.environment import read_environment
from evenground.analysis.index import Engine, Index
from evenground.analysis.runs import Run
from evenground.judged import first

Devices = Mapping[str, tuple[str, ...]]


def processor_only(run: Run, index: Index) -> bool:
    """Whether it is of an arm without a GPU by design: told `cpu`, which the experiment does not ask for."""
    engine = next(engine for engine in index.engines if engine.name == run.wanted.engine)
    card = read_environment(run).gpu
    told_cpu = card is not None and card.accelerator == "cpu"
    return engine.arm_of is not None and told_cpu and index.parameters.get("accelerator") != "cpu"


def devices_of(runs: pd.DataFrame, dataset: str, engines: Sequence[Engine]) -> Devices:
    """Engine -> each device its finished runs on a dataset computed on; `runs` is the table of that name."""
    mine = runs[(runs["dataset"] == dataset) & (runs["status"] == "finished")]
    found = {e.name: tuple(mine[mine["engine"] == e.name]["device"].unique()) for e in engines}
    return {name: devices for name, devices in found.items() if devices}


def unlike(devices: Devices) -> str:
    """In words, which engines computed on what; empty where all computed on the same device."""
    if len({one for mine in devices.values() for one in mine}) < 2:
        return ""
    named: dict[tuple[str, ...], list[str]] = {}
    for name, mine in devices.items():
        named.setdefault(mine, []).append(name)
    return "; ".join(f"{first(names)} on {' and '.join(mine)}" for mine, names in named.items())


def unlike_in(index: Index, runs: pd.DataFrame) -> str:
    """The same of all engines of an index, over all of its datasets."""
    found: dict[str, tuple[str, ...]] = {}
    for dataset in index.datasets:
        for name, devices in devices_of(runs, dataset.name, index.engines).items():
            found[name] = tuple(dict.fromkeys((*found.get(name, ()), *devices)))
    return unlike(found)
