"""How often the processor slowed itself down for heat, as the kernel counts it (Intel only)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from evenground.cpus.choice import Choice
from evenground.cpus.sysfs import SYSTEM, Absent, Unknown, cpu_folder, exists, read_number
from evenground.cpus.topology import Place
from evenground.records.cpus import Heat

# Value of `Heat` -> the file of each CPU that it is read from. Linux has the times since 5.6.
FILES = {
    "core_events": "core_throttle_count",
    "core_ms": "core_throttle_total_time_ms",
    "package_events": "package_throttle_count",
    "package_ms": "package_throttle_total_time_ms",
}
NOT_COUNTED = "the kernel counts no heat events here: it does on Intel's processors, outside of VMs"


@dataclass(frozen=True)
class Counts:
    """Counts since boot, and for each value that is not known completely the reason."""

    counts: Mapping[str, Mapping[int, int]]
    """Value of `Heat` -> CPU -> count."""
    missing: Mapping[str, str]


def read_heat(choice: Choice, system: Path = SYSTEM) -> Counts:
    """Read the counts of the chosen CPUs, each of which counts for its core and its package."""
    counts: dict[str, dict[int, int]] = {name: {} for name in FILES}
    missing: dict[str, str] = {}
    if "places" in choice.missing:
        missing = dict.fromkeys(FILES, choice.missing["places"])
    for cpu in choice.chosen:
        folder = cpu_folder(cpu, system) / "thermal_throttle"
        for name, file in FILES.items():
            try:
                counts[name][cpu] = read_number(folder / file)
            except Unknown as error:
                reason = str(error)
                if isinstance(error, Absent) and not exists(folder):
                    reason = NOT_COUNTED
                missing.setdefault(name, reason)
    return Counts(counts=counts, missing=missing)


def heat_between(choice: Choice, before: Counts, after: Counts) -> tuple[Heat, dict[str, str]]:
    """What was counted between two readings, and the reason of each value that is not known."""
    missing = {**before.missing, **after.missing}
    heat: dict[str, int] = {}
    for name in FILES:
        # Each CPU of a core counts what its core does, and each of a package what its package does:
        # within a group only the largest growth counts.
        largest: dict[object, int] = defaultdict(int)
        old, new = before.counts[name], after.counts[name]
        for cpu in old.keys() & new.keys() & choice.places.keys():
            growth = new[cpu] - old[cpu]
            if growth < 0:
                missing[name] = "a count fell: its CPU was switched off meanwhile"
            group = _group(name, choice.places[cpu])
            largest[group] = max(largest[group], growth)
        total = sum(largest.values())
        # Events on some CPUs are a finding; no events on some say nothing about the others.
        if total or name not in missing:
            heat[name] = total
    return Heat(**heat), missing


def _group(name: str, place: Place) -> object:
    """The core or the package that a value of `Heat` counts."""
    return place.core if name.startswith("core") else place.package
