"""Which CPUs a training gets: one hardware thread of each core first, close together, the fastest cores."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from evenground.cpus.sysfs import SYSTEM
from evenground.cpus.topology import Core, Place, Topology, is_online, read_topology

Threads = int | Literal["all"]


@dataclass(frozen=True)
class Choice:
    """The CPUs of one training, out of those that this process may use."""

    asked: int | None
    """Threads that were asked for; None for `all`."""
    usable: tuple[int, ...]
    chosen: tuple[int, ...]
    """In rising order."""
    places: Mapping[int, Place]
    missing: Mapping[str, str]
    """`places` or `kinds` -> why it is not known of every CPU that was chosen."""

    @property
    def is_whole(self) -> bool:
        """Whether it is all that may be used, and nothing needs to be bound."""
        return len(self.chosen) == len(self.usable)

    def of_cores(self) -> dict[Core, list[int]]:
        """The chosen CPUs of each core, where their places are known."""
        found: dict[Core, list[int]] = defaultdict(list)
        for cpu in self.chosen:
            if cpu in self.places:
                found[self.places[cpu].core].append(cpu)
        return found

    def differ_in(self, key: Callable[[Place], Hashable]) -> int | None:
        """How many values `key` has among the chosen CPUs; None where a place is not known."""
        if any(cpu not in self.places for cpu in self.chosen):
            return None
        return len({key(self.places[cpu]) for cpu in self.chosen})

    @property
    def n_shared(self) -> int | None:
        """Chosen CPUs that share their core with another chosen one; None where it is not known."""
        if self.differ_in(lambda place: place.core) is None:
            return None
        return sum(len(cpus) for cpus in self.of_cores().values() if len(cpus) > 1)

    @property
    def n_slower(self) -> int | None:
        """Chosen CPUs of a slower kind than the fastest chosen one; None where it is not known."""
        if self.differ_in(lambda place: place.kind) is None or "kinds" in self.missing:
            return None
        kinds = [self.places[cpu].kind for cpu in self.chosen]
        return sum(kind > min(kinds) for kind in kinds)


def choose(
    threads: Threads,
    system: Path = SYSTEM,
    allowed: Collection[int] | None = None,
    near: Collection[int] = (),
) -> Choice:
    """The CPUs for a training with so many threads, or one on every CPU.

    `allowed`: the CPUs that may be used; None for those of this process. `near`: those near the card that it
    computes on, if any. Fewer are chosen where there are not enough; it is for the caller to say so. The same
    machine gives the same choice each time.
    """
    allowed = os.sched_getaffinity(0) if allowed is None else allowed
    usable = sorted(cpu for cpu in allowed if is_online(cpu, system)) or sorted(allowed)
    asked = None if threads == "all" else threads
    wanted = len(usable) if asked is None else min(asked, len(usable))
    topology = read_topology(usable, system)
    # Those whose place is not known come last; where none is known, these are the first ones.
    order = [*arranged(topology.places, wanted, near), *sorted(topology.lost)]
    chosen = tuple(sorted(order[:wanted]))
    return Choice(asked, tuple(usable), chosen, topology.places, _missing(topology, chosen))


def _missing(topology: Topology, chosen: Sequence[int]) -> dict[str, str]:
    missing: dict[str, str] = {}
    lost = [topology.lost[cpu] for cpu in chosen if cpu in topology.lost]
    if lost:
        more = f", and so for {len(lost) - 1} more" if len(lost) > 1 else ""
        missing["places"] = lost[0] + more
    if topology.no_kinds:
        missing["kinds"] = topology.no_kinds
    return missing


def arranged(places: Mapping[int, Place], wanted: int, near: Collection[int] = ()) -> list[int]:
    """All CPUs of `places`, the best for `wanted` threads first.

    First one CPU of each core, then a second of each, and so on: two threads of one core are slower than two
    of two. Within a turn the fastest kind of core, then those `near` the card if they are enough, then as few
    packages and NUMA nodes as can be.
    """
    levels = (_is_far(frozenset(near)), _package(places), _node(places))
    of_cores: dict[Core, list[int]] = defaultdict(list)
    for cpu in sorted(places):
        of_cores[places[cpu].core].append(cpu)
    order: list[int] = []
    for turn in range(max(map(len, of_cores.values()), default=0)):
        ones = [cpus[turn] for cpus in of_cores.values() if turn < len(cpus)]
        for kind in sorted({places[cpu].kind for cpu in ones}):
            alike = [cpu for cpu in ones if places[cpu].kind == kind]
            order += _close(alike, wanted - len(order), levels)
    return order


def _is_far(near: Collection[int]) -> Callable[[int], int]:
    """All CPUs are one group where none is near."""
    return lambda cpu: int(cpu not in near)


def _package(places: Mapping[int, Place]) -> Callable[[int], int]:
    return lambda cpu: places[cpu].package


def _node(places: Mapping[int, Place]) -> Callable[[int], int]:
    return lambda cpu: places[cpu].node


def _close(cpus: Sequence[int], wanted: int, levels: Sequence[Callable[[int], int]]) -> list[int]:
    """`cpus` so arranged that the first `wanted` are in as few groups of each level as can be."""
    if not levels:
        return sorted(cpus)
    groups: dict[int, list[int]] = defaultdict(list)
    for cpu in cpus:
        groups[levels[0](cpu)].append(cpu)
    order: list[int] = []
    while groups:
        number = _best(groups, wanted - len(order))
        order += _close(groups.pop(number), wanted - len(order), levels[1:])
    return order


def _best(groups: Mapping[int, Sequence[int]], wanted: int) -> int:
    """The first group that holds all that is wanted, else the largest one."""
    holding = [number for number, cpus in groups.items() if len(cpus) >= wanted]
    if holding:
        return min(holding)
    return max(groups, key=lambda number: (len(groups[number]), -number))
