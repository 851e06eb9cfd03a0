"""Where each CPU is: which core it belongs to, in which package and NUMA node, of which kind of core."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from evenground.cpus.sysfs import (
    SYSTEM,
    Absent,
    Unknown,
    cpu_folder,
    read_count,
    read_cpus,
    read_number,
    read_text,
    shown,
)

NO_NODE = -1
# The kernel's names for the kinds of core of one Intel processor, the fastest first.
HYBRID = ("cpu_core", "cpu_atom", "cpu_lowpower")
# Cores of one design may have slightly other clocks; those of another one are far apart (1024, 870, 250).
SAME_KIND = 0.9
# Newer kernels, then older ones.
SIBLINGS = ("core_cpus_list", "thread_siblings_list")
Core = frozenset[int] | tuple[int, ...]


@dataclass(frozen=True)
class Place:
    """Where one CPU is; two with the same `core` are hardware threads of one core."""

    core: Core
    package: int
    node: int = NO_NODE
    kind: int = 0
    """0 for the fastest kind of core that the machine has."""


@dataclass(frozen=True)
class Topology:
    """The places of CPUs, and the reason of each one whose place is not known."""

    places: Mapping[int, Place]
    lost: Mapping[int, str] = field(default_factory=dict)
    no_kinds: str = ""
    """Why the kinds of core cannot be told; empty where they can."""


def read_topology(cpus: Collection[int], system: Path = SYSTEM) -> Topology:
    """Ask the kernel where `cpus` are."""
    kinds, no_kinds = _kinds(cpus, system)
    places: dict[int, Place] = {}
    lost: dict[int, str] = {}
    for cpu in sorted(cpus):
        folder = cpu_folder(cpu, system)
        try:
            places[cpu] = Place(
                core=_core(cpu, folder),
                package=read_number(folder / "topology" / "physical_package_id"),
                node=_node(folder),
                kind=kinds.get(cpu, 0),
            )
        except Unknown as error:
            lost[cpu] = str(error)
    return Topology(places, lost, no_kinds)


def is_online(cpu: int, system: Path = SYSTEM) -> bool:
    """Whether a CPU is switched on; one whose file cannot be read is taken to be, as it may be used."""
    try:
        return read_text(cpu_folder(cpu, system) / "online") != "0"
    except Unknown:
        return True


def _core(cpu: int, folder: Path) -> Core:
    """The core a CPU belongs to: all its hardware threads, or where no file lists them its numbers."""
    for name in SIBLINGS:
        path = folder / "topology" / name
        try:
            siblings = read_cpus(path)
        except Absent:
            continue
        if cpu not in siblings:
            raise Unknown(f"{shown(path)} does not list cpu{cpu} itself")
        return siblings
    topology = folder / "topology"
    # A core's number is one of its die's only.
    try:
        die = read_number(topology / "die_id")
    except Absent:
        die = 0
    return read_number(topology / "physical_package_id"), die, read_number(topology / "core_id")


def _node(folder: Path) -> int:
    """The NUMA node that a CPU's folder links to; NO_NODE of a kernel that has none."""
    try:
        names = [path.name for path in folder.iterdir()]
    except OSError as error:
        raise Unknown(f"{shown(folder)} cannot be read: {error.strerror or error}") from None
    nodes = [int(name[4:]) for name in names if re.fullmatch(r"node[0-9]{1,5}", name)]
    return min(nodes, default=NO_NODE)


def _kinds(cpus: Collection[int], system: Path) -> tuple[dict[int, int], str]:
    """CPU -> its kind of core, 0 for the fastest; nothing and the reason where that cannot be told."""
    try:
        hybrid = _hybrid(cpus, system)
        return (hybrid, "") if hybrid else (_by_capacity(cpus, system), "")
    except Unknown as error:
        return {}, str(error)


def _hybrid(cpus: Collection[int], system: Path) -> dict[int, int]:
    """Kinds as the performance counters of a hybrid Intel processor have them; none elsewhere."""
    kinds: dict[int, int] = {}
    for kind, name in enumerate(HYBRID):
        try:
            own = read_cpus(system / "sys" / "devices" / name / "cpus")
        except Absent:
            continue
        kinds |= dict.fromkeys(own & set(cpus), kind)
    return kinds and {cpu: kinds.get(cpu, len(HYBRID)) for cpu in cpus}


def _by_capacity(cpus: Collection[int], system: Path) -> dict[int, int]:
    """Kinds by the speed that the scheduler counts with, as on ARM; none where it counts with none."""
    capacities: dict[int, int] = {}
    for cpu in cpus:
        try:
            capacities[cpu] = read_count(cpu_folder(cpu, system) / "cpu_capacity")
        except Absent:
            continue
    firsts: list[int] = []
    for capacity in sorted(set(capacities.values()), reverse=True):
        if not firsts or capacity < SAME_KIND * firsts[-1]:
            firsts.append(capacity)
    return {
        cpu: sum(capacity <= first for first in firsts[1:]) for cpu, capacity in capacities.items()
    }
