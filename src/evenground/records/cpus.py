"""`cpus` in a run's `environment.json`: its CPUs, their limits, and what slowed them down."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from pydantic import Field

from evenground.judged import Count, Reason

Amount = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Short = Annotated[str, Field(max_length=64)]
CpuList = Annotated[str, Field(max_length=2**16)]
# The highest of the frequencies that a driver lists.
LISTED = "highest_listed_freq"
# Settings without which it is not known whether one limits the clock.
NEEDED = ("scaling_driver", "scaling_governor", "scaling_max_freq", "cpuinfo_max_freq")


@dataclass(frozen=True)
class Heat:
    """How often and how long heat slowed down a training's cores and their packages; null: not known."""

    core_events: Count | None = None
    """How often, added up over the cores."""
    core_ms: Count | None = None
    """How long, added up over the cores, in milliseconds."""
    package_events: Count | None = None
    """How often, added up over the packages."""
    package_ms: Count | None = None
    """How long, added up over the packages, in milliseconds."""


@dataclass(frozen=True)
class Settings:
    """CPUs with the same clock settings."""

    cpus: CpuList
    """Which CPUs."""
    values: dict[Short, Short] = field(default_factory=dict)
    """Setting -> text of its file; frequencies are in kHz."""


@dataclass(frozen=True)
class CpuRecord:
    """The CPUs of one training. A CPU is a hardware thread; lists are the kernel's, `0-3,8`.

    Null: not known, except that a `quota` of null without a reason is no limit. `missing` has
    the reasons: of `places` (all counts of the choice), `kinds` (with `slower`), `quota`, `waited`
    (both values), each value of `heat`, `frequency` (all settings) and of single settings.
    """

    threads_asked: Count | None = None
    """The configured number of threads; null also for `threads: all`."""
    n_usable: Count | None = None
    """CPUs that this process was allowed to use and that were switched on."""
    chosen: CpuList = ""
    """The CPUs that the training got."""
    n_chosen: Count | None = None
    """How many these are."""
    cores: Count | None = None
    """Number of different cores among the chosen CPUs."""
    packages: Count | None = None
    """Number of their packages."""
    nodes: Count | None = None
    """Number of their NUMA nodes."""
    kinds: Count | None = None
    """Number of their kinds of core."""
    shared: Count | None = None
    """Chosen CPUs that share their core with another chosen one."""
    slower: Count | None = None
    """Chosen CPUs of a slower kind than the fastest chosen one."""
    quota: Amount | None = None
    """CPUs that the strictest cgroup allows at once."""
    heat: Heat = field(default_factory=Heat)
    """How often heat slowed down the cores of these CPUs."""
    waited_periods: Count | None = None
    """Periods in which a cgroup's limit made the training wait."""
    waited_s: Amount | None = None
    """Seconds of waiting, summed over all CPUs of that cgroup."""
    settings_before: list[Settings] = field(default_factory=list)
    """Clock settings of the chosen CPUs before the training."""
    settings_after: list[Settings] = field(default_factory=list)
    """The same after it."""
    missing: dict[str, Reason] = field(default_factory=dict)
    """Name in the text above -> why that is not known."""
