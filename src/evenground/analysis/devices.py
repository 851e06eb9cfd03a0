"""What trainings computed on, as their engines reported it: the processor, or a graphics card."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import chain

import pandas as pd

from evenground.judged import first
from evenground.records.gpus import GpuRecord
from evenground.records.index import Condition
from evenground.records.plan import Engine

Devices = Mapping[str, tuple[str, ...]]
"""Engine -> the devices of its runs."""


def processor_only(condition: Condition, name: str, card: GpuRecord | None) -> bool:
    """Whether an engine is an arm without a GPU by design; `card` is the record of one of its runs.

    Such an arm was configured to use the CPU although the experiment was not.
    """
    engine = next(engine for engine in condition.engines if engine.name == name)
    if engine.arm_of is None or condition.parameters.accelerator == "cpu":
        return False
    return card is not None and card.accelerator == "cpu"


def devices_of(runs: pd.DataFrame, dataset: str, engines: Sequence[Engine]) -> Devices:
    """Each device that the finished runs of engines on a dataset computed on.

    `runs` is the table of that name; an engine without a finished run is left out.
    """
    done = runs[(runs["dataset"] == dataset) & (runs["status"] == "finished")]
    found = {}
    for engine in engines:
        devices = tuple(done[done["engine"] == engine.name]["device"].unique())
        if devices:
            found[engine.name] = devices
    return found


def unlike(devices: Devices) -> str:
    """Which engines computed on which device, as text; empty if all computed on the same one."""
    engines: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for engine, names in devices.items():
        engines[names].append(engine)
    if len(set(chain.from_iterable(engines))) < 2:
        return ""
    return "; ".join(f"{first(users)} on {' and '.join(names)}" for names, users in engines.items())


def unlike_in(condition: Condition, runs: pd.DataFrame) -> str:
    """As `unlike`, for all engines of a condition over all of its datasets."""
    # A dictionary as a set that keeps its order.
    found: dict[str, dict[str, None]] = defaultdict(dict)
    for dataset in condition.datasets:
        for engine, devices in devices_of(runs, dataset.name, condition.engines).items():
            found[engine].update(dict.fromkeys(devices))
    return unlike({engine: tuple(devices) for engine, devices in found.items()})
