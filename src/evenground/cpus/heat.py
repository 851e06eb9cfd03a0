"""How often the processor slowed itself down for heat, as the kernel counts it (Intel only)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from evenground.cpus.choice import Choice
from evenground.cpus.sysfs import SYSTEM, Absent, Unknown, cpu_folder, exists, read_count, read_cpus
from evenground.cpus.topology import PACKAGE_LISTS, list_file
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
    groups: Mapping[str, Sequence[Sequence[int]]]
    """`core` or `package` -> groups of CPUs that count the same events."""
    missing: Mapping[str, str]


def read_heat(choice: Choice, system: Path = SYSTEM) -> Counts:
    """Read the counts of the chosen cores and of their packages."""
    counts: dict[str, dict[int, int]] = {name: {} for name in FILES}
    missing: dict[str, str] = {}
    if "places" in choice.missing:
        missing = dict.fromkeys(FILES, choice.missing["places"])
    groups = {"core": _cores(choice), "package": _packages(choice, system)}
    for name, file in FILES.items():
        for cpu in chain.from_iterable(groups[_level(name)]):
            folder = cpu_folder(cpu, system) / "thermal_throttle"
            try:
                counts[name][cpu] = read_count(folder / file)
            except Unknown as error:
                reason = str(error)
                if isinstance(error, Absent) and not exists(folder):
                    reason = NOT_COUNTED
                missing.setdefault(name, reason)
    return Counts(counts=counts, groups=groups, missing=missing)


def heat_between(before: Counts, after: Counts) -> tuple[Heat, dict[str, str]]:
    """What was counted between two readings, and the reason of each value that is not known."""
    missing = {**before.missing, **after.missing}
    heat: dict[str, int] = {}
    for name in FILES:
        old, new = before.counts[name], after.counts[name]
        more = {cpu: new[cpu] - old[cpu] for cpu in old.keys() & new.keys()}
        if min(more.values(), default=0) < 0:
            missing[name] = "a count fell: its CPU was switched off meanwhile"
        # Each CPU of a core counts what its core does, and each of a package what its package does:
        # within a group only the largest growth counts.
        groups = before.groups[_level(name)]
        total = sum(max([0] + [more.get(cpu, 0) for cpu in group]) for group in groups)
        # Events on some CPUs are a finding; no events on some say nothing about the others.
        if total or name not in missing:
            heat[name] = total
    return Heat(**heat), missing


def _level(name: str) -> str:
    """`core` or `package`, for a value of `Heat`."""
    return name.partition("_")[0]


def _cores(choice: Choice) -> list[list[int]]:
    """All CPUs of each chosen core, used or not."""
    return [sorted(core) for core in choice.of_cores()]


def _packages(choice: Choice, system: Path) -> list[list[int]]:
    """All CPUs of each package that has a chosen core, used or not."""
    packages: dict[int, set[int]] = {}
    for cpu in choice.chosen:
        if cpu not in choice.places:
            continue
        package = packages.setdefault(choice.places[cpu].package, set())
        # One list holds the whole package: read it for the first CPU only.
        if not package:
            package |= _package_of(cpu, system)
        package.add(cpu)
    return [sorted(package) for package in packages.values()]


def _package_of(cpu: int, system: Path) -> frozenset[int]:
    """All CPUs of a CPU's package; empty if no file lists them."""
    try:
        return read_cpus(list_file(cpu_folder(cpu, system), PACKAGE_LISTS))
    except Unknown:
        return frozenset()
