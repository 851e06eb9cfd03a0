"""What a training's CPU record says against its times: the size and a description of each fault."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

from evenground.judged import Judged, unless_missing
from evenground.records.cpus import LISTED, NEEDED, CpuRecord, Settings

# Values that must not be missing for the limits of the clock to be known.
FREQUENCY = ("frequency", *NEEDED)
PREFERENCE = "energy_performance_preference"
# Drivers that choose the clock themselves: `powersave` is their usual governor and limits nothing.
CHOOSE_THEMSELVES = ("intel_pstate", "amd-pstate-epp")
# A preference of 0 is for speed, 255 for saving; the kernel's `balance_power` is 192, `power` 255.
MAX_SAVING = 192
# Drivers round frequencies by up to a percent.
SAME_FREQUENCY = 0.99


def lacking_cores(record: CpuRecord) -> Judged:
    """By how much there are fewer CPUs than threads, as allowed or within a cgroup's limit."""
    usable = record.n_usable
    if usable is None:
        return Judged(None)
    threads = record.threads_asked
    if threads is None:
        threads = usable
    available: float = usable
    limit = ""
    if record.quota is not None:
        available = min(usable, record.quota)
        limit = f", a cgroup's limit of {record.quota:.4g}"
    text = f"{threads} threads, {usable} CPUs allowed{limit}"
    return unless_missing(record, ("quota",), max(0.0, threads - available), text)


def shared_cores(record: CpuRecord) -> Judged:
    """How many of the CPUs are hardware threads of one core."""
    return Judged(record.shared, f"{record.n_chosen} CPUs of {record.cores} cores")


def unlike_cores(record: CpuRecord) -> Judged:
    """How many of the CPUs are of slower cores than others."""
    return Judged(record.slower, f"{record.n_chosen} CPUs of {record.kinds} kinds of core")


def heat_events(record: CpuRecord) -> Judged:
    """How often the training's cores or packages were slowed down for heat."""
    heat = record.heat
    parts = (
        ("cores", heat.core_events or 0, heat.core_ms),
        ("packages", heat.package_events or 0, heat.package_ms),
    )
    texts: list[str] = []
    for name, events, time_ms in parts:
        if events and time_ms:
            texts.append(f"{events} of {name} in {time_ms} ms")
        elif events:
            texts.append(f"{events} of {name}")
    size = sum(events for _, events, _ in parts)
    return unless_missing(record, ("core_events", "package_events"), size, ", ".join(texts))


def waited_periods(record: CpuRecord) -> Judged:
    """How often a cgroup's limit made the training wait for CPU."""
    if record.waited_periods is None:
        return Judged(None)
    text = f"{record.waited_s or 0:.2f} s of all CPUs together"
    if record.quota is not None:
        text += f", with a limit of {record.quota:.4g} CPUs"
    return Judged(record.waited_periods, text)


def clock_limits(record: CpuRecord) -> Judged:
    """How many settings limit the clock of a CPU, or changed during the training."""
    before, after = record.settings_before, record.settings_after
    texts = list(dict.fromkeys(_limits(before) + _limits(after))) + _changes(before, after)
    return unless_missing(record, FREQUENCY, len(texts), "; ".join(texts))


# Name of a fault -> the function that judges it.
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


def _limits(settings: Sequence[Settings]) -> list[str]:
    """Describe the settings that keep a CPU below what its processor can do."""
    limits: list[str] = []
    for group in settings:
        limits += [f"{text} (cpu {group.cpus})" for text in _limits_in(group.values)]
    return limits


def _limits_in(values: Mapping[str, str]) -> list[str]:
    """Describe which of a CPU's settings limit it.

    That turbo is switched off is no such limit: many do so on purpose, to measure.
    """
    limits: list[str] = []
    top_khz = _number(values, LISTED) or _number(values, "cpuinfo_max_freq")
    if values.get("no_turbo") == "1" or values.get("boost") == "0":
        top_khz = _number(values, "base_frequency") or top_khz
    name, allowed_khz = _allowed(values)
    if allowed_khz is not None and top_khz is not None and allowed_khz < SAME_FREQUENCY * top_khz:
        limits.append(f"{name} allows {allowed_khz / 1e6:.2f} of {top_khz / 1e6:.2f} GHz")
    percent = _number(values, "max_perf_pct")
    if percent is not None and percent < 100:
        limits.append(f"max_perf_pct allows {percent:.0f} % of the clock")
    if _saves(values):
        limits.append(f"{PREFERENCE} is {values[PREFERENCE]}")
    return limits


def _allowed(values: Mapping[str, str]) -> tuple[str, float | None]:
    """The setting that decides the highest clock, and that clock in kHz; None if not known."""
    governor, driver = values.get("scaling_governor"), values.get("scaling_driver")
    if governor == "userspace":
        return "governor userspace", _number(values, "scaling_setspeed")
    if governor == "powersave" and driver is not None and driver not in CHOOSE_THEMSELVES:
        return "governor powersave", _number(values, "scaling_min_freq")
    return "scaling_max_freq", _number(values, "scaling_max_freq")


def _saves(values: Mapping[str, str]) -> bool:
    """Whether a driver that chooses the clock itself is set to save power at the cost of speed."""
    if values.get("scaling_driver") not in CHOOSE_THEMSELVES:
        return False
    # This governor overrides the preference.
    if values.get("scaling_governor") == "performance":
        return False
    number = _number(values, PREFERENCE)
    return values.get(PREFERENCE) == "power" or (number is not None and number > MAX_SAVING)


def _number(values: Mapping[str, str], name: str) -> float | None:
    text = values.get(name, "")
    if re.fullmatch(r"[0-9]{1,12}", text):
        return float(text)
    return None


def _changes(before: Sequence[Settings], after: Sequence[Settings]) -> list[str]:
    """Describe the settings that are not the same before and after."""
    names: set[str] = set()
    for group in [*before, *after]:
        names |= group.values.keys()
    return [
        f"{name} changed" for name in sorted(names) if _texts(name, before) != _texts(name, after)
    ]


def _texts(name: str, settings: Sequence[Settings]) -> set[str | None]:
    """The texts that one setting has on any CPU; None for a CPU without it."""
    return {group.values.get(name) for group in settings}
