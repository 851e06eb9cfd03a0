"""Where each CPU is: its core, package and NUMA node, and the kind of that core."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from evenground.cpus.sysfs import (
    SYSTEM,
    Absent,
    Unknown,
    cpu_folder,
    read_cpus,
    read_number,
    shown,
)

# The node of every CPU where the kernel was built without NUMA.
NO_NODE = -1
# The kernel's names for the kinds of core of one Intel processor, the fastest first.
HYBRID = ("cpu_core", "cpu_atom", "cpu_lowpower")
# Cores of one design differ by a few percent in `cpu_capacity`, for their clocks differ slightly;
# those of different designs are far apart (1024, 870, 250).
SAME_KIND = 0.9
# A core is identified by the set of all its hardware threads.
Core = frozenset[int]


@dataclass(frozen=True)
class Place:
    """Where one CPU is; two CPUs with the same `core` are hardware threads of one core."""

    core: Core
    package: int
    node: int
    kind: int
    """0 for the fastest kind of core in the machine."""


@dataclass(frozen=True)
class Topology:
    """The places of CPUs, and for each CPU whose place is not known the reason."""

    places: Mapping[int, Place]
    lost: Mapping[int, str] = field(default_factory=dict)
    no_kinds: str = ""
    """Why the kinds of core are not known; empty where they are."""


def read_topology(cpus: Collection[int], system: Path = SYSTEM) -> Topology:
    """Read from the kernel's files where `cpus` are."""
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
    return Topology(places=places, lost=lost, no_kinds=no_kinds)


def _core(cpu: int, folder: Path) -> Core:
    """All hardware threads of the core that a CPU belongs to."""
    path = folder / "topology" / "core_cpus_list"
    siblings = read_cpus(path)
    if cpu not in siblings:
        raise Unknown(f"{shown(path)} does not list cpu{cpu} itself")
    return siblings


def _node(folder: Path) -> int:
    """The NUMA node that a CPU's folder links to."""
    nodes = [int(path.name.removeprefix("node")) for path in folder.glob("node[0-9]*")]
    return min(nodes, default=NO_NODE)


def _kinds(cpus: Collection[int], system: Path) -> tuple[dict[int, int], str]:
    """CPU -> its kind of core, 0 for the fastest; empty, with the reason, if not known."""
    try:
        return _hybrid(cpus, system) or _by_capacity(cpus, system), ""
    except Unknown as error:
        return {}, str(error)


def _hybrid(cpus: Collection[int], system: Path) -> dict[int, int]:
    """Kinds by the performance counters of a hybrid Intel processor; empty on other machines."""
    kinds: dict[int, int] = {}
    for kind, name in enumerate(HYBRID):
        try:
            of_kind = read_cpus(system / "sys" / "devices" / name / "cpus")
        except Absent:
            continue
        kinds |= dict.fromkeys(of_kind & set(cpus), kind)
    if not kinds:
        return {}
    # A CPU in none of the lists counts as slower than all that are.
    return {cpu: kinds.get(cpu, len(HYBRID)) for cpu in cpus}


def _by_capacity(cpus: Collection[int], system: Path) -> dict[int, int]:
    """Kinds by the speed that the scheduler assumes, as on ARM; empty where it assumes none."""
    capacities: dict[int, int] = {}
    for cpu in cpus:
        try:
            capacities[cpu] = read_number(cpu_folder(cpu, system) / "cpu_capacity")
        except Absent:
            continue
    # The highest capacity of each kind, in falling order.
    firsts: list[int] = []
    for capacity in sorted(set(capacities.values()), reverse=True):
        if not firsts or capacity < SAME_KIND * firsts[-1]:
            firsts.append(capacity)
    return {
        cpu: sum(capacity <= first for first in firsts[1:]) for cpu, capacity in capacities.items()
    }
