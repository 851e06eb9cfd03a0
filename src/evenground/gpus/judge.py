"""What a training's card record says against its times: faults, and differences between runs."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence

from evenground import judged
from evenground.judged import Compared, Judged
from evenground.records.gpus import SET_CLOCK, USUAL_CLOCK, GpuRecord

# Some cards have their own limit a few milliwatts below the default one.
POWER_SLACK = 0.99
CARD = "card"
# What runs of one engine should have in common -> the record's field. Differences are listed in
# this order.
COMPARED = {
    CARD: "uuid",
    "position": "pci",
    "name": "name",
    "MIG instance": "mig",
    "memory": "memory_bytes",
    "capability": "capability",
    "ECC": "ecc",
    "power limit": "power_limit_w",
    "clocks": "clocks",
    "persistence": "persistence",
    "compute mode": "compute_mode",
    "display": "display",
    "CPUs near it": "near_cpus",
    "libraries": "libraries",
}
# Values without which a fault cannot be judged.
NEEDED = ("power_limit_w", "power_default_w", "clocks", "persistence")


def power_limit(record: GpuRecord) -> Judged:
    """By how many watts the card's power is limited below its default."""
    limit_w, default_w = record.power_limit_w, record.power_default_w
    if limit_w is None or default_w is None:
        return Judged(None)
    return Judged(watts_lost(limit_w, default_w), f"{limit_w:g} W of {default_w:g} W")


def watts_lost(limit_w: float, default_w: float) -> float:
    """By how many watts the limit in force is below the default one."""
    if limit_w >= POWER_SLACK * default_w:
        return 0.0
    return default_w - limit_w


def gpu_clocks(record: GpuRecord) -> Judged:
    """By how many MHz the clock that programs get was set below the card's usual one."""
    # Not below the highest: many cards come with less, and raise it by themselves under load.
    clocks = record.clocks or {}
    set_mhz, usual_mhz = clocks.get(SET_CLOCK, ""), clocks.get(USUAL_CLOCK, "")
    if not (set_mhz.isdecimal() and usual_mhz.isdecimal()):
        return Judged(None)
    size = max(0.0, float(int(usual_mhz) - int(set_mhz)))
    return Judged(size, f"{int(set_mhz)} MHz, usually {int(usual_mhz)} MHz")


def no_persistence(record: GpuRecord) -> Judged:
    """Whether the driver leaves the card after a training and starts it again for the next one."""
    if record.persistence is None:
        return Judged(None)
    # Where the card lights a screen, the desktop keeps the driver loaded.
    return Judged(float(not record.persistence and not record.display))


# Name of a fault -> the function that judges it.
FAULTS: Mapping[str, Callable[[GpuRecord], Judged]] = {
    judge.__name__: judge for judge in (power_limit, gpu_clocks, no_persistence)
}


def compared(record: GpuRecord) -> Compared:
    """The values of COMPARED that are known, lists of values last."""
    single: dict[str, Sequence[str]] = {}
    lists: dict[str, Sequence[str]] = {}
    for name, field in COMPARED.items():
        value = getattr(record, field)
        # Only a card that is described is known to be whole.
        if value is None and name == "MIG instance" and record.name is not None:
            value = "none"
        if isinstance(value, dict):
            lists[name] = judged.pairs(value)
        elif value is not None:
            single[name] = [_text(name, value)]
    return single | lists


def _text(name: str, value: str | float | bool) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    if name == CARD:
        # It tells cards apart without identifying one.
        return hashlib.sha256(str(value).encode()).hexdigest()[:12]
    if name == "memory":
        return f"{float(value) / 2**20:.0f} MiB"
    if name == "power limit":
        return f"{value:g} W"
    return str(value)


def differences(runs: Sequence[Compared]) -> list[str]:
    """Describe each of COMPARED that is not the same in all runs in which it is known."""
    texts: list[str] = []
    cards = {tuple(run[CARD]) for run in runs if CARD in run}
    if len(cards) > 1:
        # Their digests would say nothing to a reader.
        texts.append(f"{CARD}: {len(cards)} cards")
    names = [name for name in COMPARED if name != CARD]
    return texts + judged.differences(names, runs)
