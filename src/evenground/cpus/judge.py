"""What of a training's CPUs speaks against its times: a size and words for each fault."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from evenground.cpus.frequency import NEEDED, changed, held_down
from evenground.cpus.record import CpuRecord
from evenground.judged import Judged, unless_missing

FREQUENCY = ("frequency", *NEEDED)


def lacking_cores(record: CpuRecord) -> Judged:
    """CPUs fewer than threads: those that are not allowed, or that a cgroup gives no time for."""
    usable = record.n_usable
    if usable is None:
        return Judged(None)
    threads = usable if record.threads_asked is None else record.threads_asked
    quota = record.quota
    size = max(0.0, threads - (usable if quota is None else min(usable, quota)))
    limit = "" if quota is None else f", a cgroup's limit of {quota:.4g}"
    words = f"{threads} threads, {usable} CPUs allowed{limit}"
    return unless_missing(record, ("quota",), size, words)


def shared_cores(record: CpuRecord) -> Judged:
    """CPUs that are hardware threads of one core."""
    return Judged(record.shared, f"{record.n_chosen} CPUs of {record.cores} cores")


def unlike_cores(record: CpuRecord) -> Judged:
    """CPUs of slower cores beside CPUs of faster ones."""
    return Judged(record.slower, f"{record.n_chosen} CPUs of {record.kinds} kinds of core")


def heat_events(record: CpuRecord) -> Judged:
    """How often cores or packages of the training were slowed down for heat."""
    heat = record.heat
    size = (heat.core_events or 0) + (heat.package_events or 0)
    parts = {
        "cores": (heat.core_events, heat.core_ms),
        "packages": (heat.package_events, heat.package_ms),
    }
    words = [
        f"{events} of {name}" + (f" in {time_ms} ms" if time_ms else "")
        for name, (events, time_ms) in parts.items()
        if events
    ]
    return unless_missing(record, ("core_events", "package_events"), size, ", ".join(words))


def waited_periods(record: CpuRecord) -> Judged:
    """How often a cgroup's limit made the training wait for CPU."""
    if record.waited_periods is None:
        return Judged(None)
    limit = "" if record.quota is None else f", with a limit of {record.quota:.4g} CPUs"
    return Judged(
        record.waited_periods, f"{record.waited_s or 0:.2f} s of all CPUs together{limit}"
    )


def clock_limits(record: CpuRecord) -> Judged:
    """Settings that hold the clock of a CPU down, and those that changed meanwhile."""
    limits = dict.fromkeys([*held_down(record.settings_before), *held_down(record.settings_after)])
    words = [*limits, *changed(record.settings_before, record.settings_after)]
    return unless_missing(record, FREQUENCY, len(words), "; ".join(words))


FAULTS: Mapping[str, Callable[[CpuRecord], Judged]] = {
    judge.__name__: judge
    for judge in (
        lacking_cores,
        shared_cores,
        unlike_cores,
        heat_events,
        waited_periods,
        clock_limits,
    )
}
"""Name of a fault -> what judges it."""
