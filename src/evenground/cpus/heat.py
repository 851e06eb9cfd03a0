"""How often the processor slowed itself down for heat: the kernel's counts, of Intel's processors only."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from evenground.cpus.choice import Choice
from evenground.cpus.record import Heat
from evenground.cpus.sysfs import (
    SYSTEM,
    Absent,
    Unknown,
    cpu_folder,
    has_folder,
    read_count,
    read_cpus,
)
from evenground.cpus.topology import Core

FILES = {
    "core_events": "core_throttle_count",
    "core_ms": "core_throttle_total_time_ms",
    "package_events": "package_throttle_count",
    "package_ms": "package_throttle_total_time_ms",
}
"""Value of `Heat` -> the file of each CPU that it comes from; the times are there since Linux 5.6."""
NOT_COUNTED = "the kernel counts no heat events here: it does on Intel's processors, outside of VMs"
# Newer kernels, then older ones.
PACKAGE_LISTS = ("package_cpus_list", "core_siblings_list")
Groups = Sequence[Sequence[int]]


@dataclass(frozen=True)
class Counts:
    """Counts since boot: value of `Heat` -> CPU -> count; and why some of a value's are not known."""

    counts: Mapping[str, Mapping[int, int]]
    missing: Mapping[str, str]


def read_heat(choice: Choice, system: Path = SYSTEM) -> Counts:
    """The counts of the cores that were chosen and of their packages."""
    counts: dict[str, dict[int, int]] = {name: {} for name in FILES}
    missing: dict[str, str] = {}
    for name, file in FILES.items():
        for cpu in (cpu for group in _groups(name, choice, system) for cpu in group):
            folder = cpu_folder(cpu, system) / "thermal_throttle"
            try:
                counts[name][cpu] = read_count(folder / file)
            except Unknown as error:
                none = isinstance(error, Absent) and not has_folder(folder)
                missing.setdefault(name, NOT_COUNTED if none else str(error))
    return Counts(counts, missing)


def heat_between(
    choice: Choice, before: Counts, after: Counts, system: Path = SYSTEM
) -> tuple[Heat, dict[str, str]]:
    """What was counted between two readings, and the reason of each value that is not known."""
    missing = {**before.missing, **after.missing}
    values: dict[str, int | None] = {}
    for name in FILES:
        old, new = before.counts[name], after.counts[name]
        more = {cpu: new[cpu] - old[cpu] for cpu in old.keys() & new.keys()}
        if any(count < 0 for count in more.values()):
            missing[name] = "a count fell: its CPU was switched off meanwhile"
            more = {cpu: count for cpu, count in more.items() if count > 0}
        # Each CPU of a core counts what its core does, and each of a package what its package does.
        groups = _groups(name, choice, system)
        found = sum(max((more.get(cpu, 0) for cpu in group), default=0) for group in groups)
        # Seen of some is a finding; not seen of some says nothing of the others.
        values[name] = found if found or name not in missing else None
    return Heat(**values), missing


def _groups(name: str, choice: Choice, system: Path) -> Groups:
    """The CPUs that count the same: those of a core, or of a package."""
    lost = [cpu for cpu in choice.chosen if cpu not in choice.places]
    if name.startswith("core"):
        cores = [sorted({*cpus, *_siblings(core)}) for core, cpus in choice.of_cores().items()]
        return [*cores, *([cpu] for cpu in lost)]
    of_package: dict[int, set[int]] = defaultdict(set)
    for cpu in choice.chosen:
        if cpu in choice.places:
            package = of_package[choice.places[cpu].package]
            package |= {cpu} if package else {cpu, *_beside(cpu, system)}
    # They may be of one package, and its events must not count twice.
    return [*map(sorted, of_package.values()), lost]


def _siblings(core: Core) -> frozenset[int]:
    """All CPUs of a core, used or not; none where the kernel does not list them."""
    return core if isinstance(core, frozenset) else frozenset()


def _beside(cpu: int, system: Path) -> frozenset[int]:
    """All CPUs of a CPU's package, used or not; none where no file lists them."""
    for name in PACKAGE_LISTS:
        try:
            return read_cpus(cpu_folder(cpu, system) / "topology" / name)
        except Unknown:
            continue
    return frozenset()
