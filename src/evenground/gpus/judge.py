"""What of a training's card speaks against its times: a size and words for each fault, and differences."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence

from evenground import judged
from evenground.gpus.record import SET_CLOCK, USUAL_CLOCK, GpuRecord
from evenground.judged import Compared, Judged

POWER_SLACK = 0.99
CARD = "card"
COMPARED = (
    *(
        CARD,
        "position",
        "name",
        "MIG instance",
        "memory",
        "capability",
        "ECC",
        "power limit",
        "clocks",
    ),
    *("persistence", "compute mode", "display", "CPUs near it", "libraries"),
)
"""What runs of one engine should have in common."""
NEEDED = ("power_limit_w", "power_default_w", "clocks", "persistence")
"""Values without which a fault cannot be judged."""


def power_limit(record: GpuRecord) -> Judged:
    """Watts by which the card's power is limited below what it comes with."""
    limit_w, default_w = record.power_limit_w, record.power_default_w
    if limit_w is None or default_w is None:
        return Judged(None)
    return Judged(watts_lost(limit_w, default_w), f"{limit_w:g} W of {default_w:g} W")


def watts_lost(limit_w: float, default_w: float) -> float:
    """How far the limit in force is below the usual one; some cards have them a few milliwatts apart."""
    return default_w - limit_w if limit_w < POWER_SLACK * default_w else 0.0


def gpu_clocks(record: GpuRecord) -> Judged:
    """MHz by which the clock that programs get was set below the one that the card comes with.

    Not below the highest one: many cards come with less, and raise it by themselves under load.
    """
    clocks = record.clocks or {}
    set_mhz, usual_mhz = (_mhz(clocks.get(name)) for name in (SET_CLOCK, USUAL_CLOCK))
    if set_mhz is None or usual_mhz is None:
        return Judged(None)
    return Judged(max(0.0, float(usual_mhz - set_mhz)), f"{set_mhz} MHz, usually {usual_mhz} MHz")


def no_persistence(record: GpuRecord) -> Judged:
    """Whether the driver leaves the card between two trainings, and starts it anew for each.

    Where a screen is lit by the card, the desktop keeps the driver there.
    """
    if record.persistence is None:
        return Judged(None)
    return Judged(float(not record.persistence and not record.display))


FAULTS: Mapping[str, Callable[[GpuRecord], Judged]] = {
    judge.__name__: judge for judge in (power_limit, gpu_clocks, no_persistence)
}
"""Name of a fault -> what judges it."""


def compared(record: GpuRecord) -> Compared:
    """What is known of COMPARED; the card itself is a digest, which names it to nobody."""
    no_instance = None if record.name is None else "none"
    values = {
        CARD: _digest(record.uuid),
        "position": record.pci,
        "name": record.name,
        "MIG instance": record.mig or no_instance,
        "memory": None if record.memory_bytes is None else f"{record.memory_bytes / 2**20:.0f} MiB",
        "capability": record.capability,
        "ECC": _on(record.ecc),
        "power limit": None if record.power_limit_w is None else f"{record.power_limit_w:g} W",
        "persistence": _on(record.persistence),
        "compute mode": record.compute_mode,
        "display": _on(record.display),
        "CPUs near it": record.near_cpus,
    }
    lists = {"clocks": _pairs(record.clocks), "libraries": _pairs(record.libraries)}
    single = {name: [value] for name, value in values.items() if value is not None}
    return single | {name: parts for name, parts in lists.items() if parts is not None}


def differences(runs: Sequence[Compared]) -> list[str]:
    """In words, each of COMPARED that is not the same in all runs of which it is known."""
    cards = {tuple(run[CARD]) for run in runs if CARD in run}
    words = [f"{CARD}: {len(cards)} cards"] if len(cards) > 1 else []
    return words + judged.differences((name for name in COMPARED if name != CARD), runs)


def _mhz(words: str | None) -> int | None:
    return int(words) if words is not None and words.isdecimal() else None


def _digest(uuid: str | None) -> str | None:
    return None if uuid is None else hashlib.sha256(uuid.encode()).hexdigest()[:12]


def _on(value: bool | None) -> str | None:
    return None if value is None else "on" if value else "off"


def _pairs(values: Mapping[str, str] | None) -> list[str] | None:
    return None if values is None else [f"{name} {value}" for name, value in sorted(values.items())]
