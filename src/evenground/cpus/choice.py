"""Which CPUs a training gets: one thread of each core first, close together, on fast cores."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from evenground.cpus.sysfs import SYSTEM
from evenground.cpus.topology import Core, Place, Topology, read_topology
from evenground.judged import first

Threads = int | Literal["all"]


@dataclass(frozen=True)
class Choice:
    """The CPUs of one training, out of those that this process may use."""

    asked: int | None
    """The configured number of threads; None for `all`."""
    usable: tuple[int, ...]
    chosen: tuple[int, ...]
    """In rising order."""
    places: Mapping[int, Place]
    missing: Mapping[str, str]
    """`places` or `kinds` -> why it is not known for every chosen CPU."""

    @property
    def is_whole(self) -> bool:
        """Whether all usable CPUs are chosen, so that the process need not be bound."""
        return len(self.chosen) == len(self.usable)

    def of_cores(self) -> dict[Core, list[int]]:
        """The chosen CPUs of each core, of those whose places are known."""
        return _of_cores([cpu for cpu in self.chosen if cpu in self.places], self.places)

    def differ_in(self, attribute: str) -> int | None:
        """How many values an attribute of Place has among the chosen CPUs; None if not known."""
        if "places" in self.missing:
            return None
        return len({getattr(self.places[cpu], attribute) for cpu in self.chosen})

    @property
    def n_shared(self) -> int | None:
        """How many chosen CPUs share their core with another chosen one; None if not known."""
        if "places" in self.missing:
            return None
        return sum(len(cpus) for cpus in self.of_cores().values() if len(cpus) > 1)

    @property
    def n_slower(self) -> int | None:
        """How many chosen CPUs are of a slower kind than the fastest of them; None if not known."""
        if self.missing:
            return None
        kinds = [self.places[cpu].kind for cpu in self.chosen]
        return sum(kind > min(kinds) for kind in kinds)


def choose(
    threads: Threads,
    system: Path = SYSTEM,
    allowed: Collection[int] | None = None,
    near: Collection[int] = (),
) -> Choice:
    """Choose the CPUs of a training: one for each of `threads`, or all.

    `allowed`: the CPUs that may be used; None for those of this process. `near`: CPUs near the
    card that it computes on. Fewer are chosen where there are not enough, which the caller has to
    report. The choice depends on nothing but the machine and these arguments.
    """
    if allowed is None:
        allowed = os.sched_getaffinity(0)
    usable = sorted(allowed)
    asked = None
    wanted = len(usable)
    if threads != "all":
        asked = threads
        wanted = min(asked, wanted)
    topology = read_topology(usable, system)
    # CPUs whose place is not known come last; where none is known, the first CPUs are taken.
    order = arranged(topology.places, wanted, near) + sorted(topology.lost)
    chosen = tuple(sorted(order[:wanted]))
    return Choice(
        asked=asked,
        usable=tuple(usable),
        chosen=chosen,
        places=topology.places,
        missing=_missing(topology, chosen),
    )


def _missing(topology: Topology, chosen: Sequence[int]) -> dict[str, str]:
    missing: dict[str, str] = {}
    lost = [topology.lost[cpu] for cpu in chosen if cpu in topology.lost]
    if lost:
        missing["places"] = first(lost)
    if topology.no_kinds:
        missing["kinds"] = topology.no_kinds
    return missing


def arranged(places: Mapping[int, Place], wanted: int, near: Collection[int] = ()) -> list[int]:
    """All CPUs of `places`, the best for `wanted` threads first.

    First one CPU of each core, then a second of each, and so on: two threads of one core are slower
    than two threads of two cores. Within a turn the fastest kind of core comes first, then the CPUs
    `near` the card if they are enough, then as few packages and NUMA nodes as possible.
    """
    levels = {
        cpu: (int(cpu not in near), place.package, place.node) for cpu, place in places.items()
    }
    cores = list(_of_cores(sorted(places), places).values())
    order: list[int] = []
    for turn in range(max(map(len, cores), default=0)):
        of_turn = [cpus[turn] for cpus in cores if turn < len(cpus)]
        for kind in sorted({places[cpu].kind for cpu in of_turn}):
            of_kind = [cpu for cpu in of_turn if places[cpu].kind == kind]
            order += _close(of_kind, wanted - len(order), levels)
    return order


def _of_cores(cpus: Iterable[int], places: Mapping[int, Place]) -> dict[Core, list[int]]:
    cores: dict[Core, list[int]] = defaultdict(list)
    for cpu in cpus:
        cores[places[cpu].core].append(cpu)
    return cores


def _close(cpus: Sequence[int], wanted: int, levels: Mapping[int, tuple[int, ...]]) -> list[int]:
    """`cpus` in an order whose first `wanted` are in as few groups of each level as possible.

    `levels`: CPU -> its group on each level, from the outermost to the innermost.
    """
    if not levels[cpus[0]]:
        return sorted(cpus)
    groups: dict[int, list[int]] = defaultdict(list)
    for cpu in cpus:
        groups[levels[cpu][0]].append(cpu)
    inner = {cpu: levels[cpu][1:] for cpu in cpus}
    order: list[int] = []
    while groups:
        group = groups.pop(_best(groups, wanted - len(order)))
        order += _close(group, wanted - len(order), inner)
    return order


def _best(groups: Mapping[int, Sequence[int]], wanted: int) -> int:
    """The first group that holds all wanted CPUs, else the largest one."""
    holding = [number for number, cpus in groups.items() if len(cpus) >= wanted]
    if holding:
        return min(holding)
    return max(groups, key=lambda number: (len(groups[number]), -number))
