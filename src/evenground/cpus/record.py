"""`cpus` in a run's `environment.json`: which it was given, their limits, and what slowed them down."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from pydantic import Field

# A record may come from anybody: numbers that cannot be are refused when it is read.
Count = Annotated[int, Field(ge=0, lt=2**63)]
Amount = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Short = Annotated[str, Field(max_length=64)]


@dataclass(frozen=True)
class Heat:
    """How often cores of a training and their packages were slowed down in it, and for how long."""

    core_events: Count | None = None
    core_ms: Count | None = None
    package_events: Count | None = None
    package_ms: Count | None = None


@dataclass(frozen=True)
class Settings:
    """CPUs whose clocks are set alike: their list, and setting -> its text as the kernel has it."""

    cpus: Annotated[str, Field(max_length=2**16)]
    values: dict[Short, Short] = field(default_factory=dict)


@dataclass(frozen=True)
class CpuRecord:
    """The CPUs of one training, which are hardware threads; lists of them are as the kernel's, `0-3,8`.

    What is None is not known, except that a `quota` without a reason is none. `missing` has the reasons: of
    `places` (all counts of the choice), `kinds` (with `slower`), `quota`, `waited` (both), each value of
    `heat`, `frequency` (all settings) and of single settings.
    """

    threads_asked: Count | None = None
    """None for one on every CPU (`threads: all`)."""
    n_usable: Count | None = None
    """CPUs that this process was allowed and that were switched on."""
    chosen: Annotated[str, Field(max_length=2**16)] = ""
    n_chosen: Count | None = None
    cores: Count | None = None
    """Cores, packages, NUMA nodes and kinds of core that the chosen CPUs are of."""
    packages: Count | None = None
    nodes: Count | None = None
    kinds: Count | None = None
    shared: Count | None = None
    """Chosen CPUs that share their core with another chosen one."""
    slower: Count | None = None
    """Chosen CPUs of a slower kind than the fastest chosen one."""
    quota: Amount | None = None
    """CPUs that the strictest cgroup allows at once."""
    heat: Heat = field(default_factory=Heat)
    waited_periods: Count | None = None
    """Periods in which a cgroup's limit made it wait, and seconds, of all its CPUs together."""
    waited_s: Amount | None = None
    settings_before: list[Settings] = field(default_factory=list)
    settings_after: list[Settings] = field(default_factory=list)
    missing: dict[str, Annotated[str, Field(max_length=1000)]] = field(default_factory=dict)
