"""What the processor's clock is set to, and which of these settings hold it down."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

from evenground.cpus.record import Settings
from evenground.cpus.sysfs import (
    CPUS,
    SYSTEM,
    Absent,
    Unknown,
    cpu_folder,
    has_folder,
    list_text,
    plain,
    read_count,
    read_text,
)

WORDS = ("scaling_driver", "scaling_governor", "energy_performance_preference")
NUMBERS = ("scaling_min_freq", "scaling_max_freq", "cpuinfo_max_freq", "base_frequency", "boost")
"""Of one CPU; frequencies in kHz. Not every driver has each."""
OF_THE_MACHINE = {
    "no_turbo": "intel_pstate/no_turbo",
    "max_perf_pct": "intel_pstate/max_perf_pct",
    "boost": "cpufreq/boost",
}
LISTED = "highest_listed_freq"
NEEDED = ("scaling_driver", "scaling_governor", "scaling_max_freq", "cpuinfo_max_freq")
NO_CPUFREQ = "the kernel says nothing of this processor's clock (as in most virtual machines)"
# Drivers that choose the clock themselves: `powersave` is their usual governor and holds nothing down.
CHOOSE_THEMSELVES = ("intel_pstate", "amd-pstate-epp")
# 0 is for speed, 255 for saving; the kernel's `balance_power` is 192, its `power` 255.
MAX_SAVING = 192
# What drivers round frequencies by.
ALIKE = 0.99


def read_settings(
    cpus: Sequence[int], system: Path = SYSTEM
) -> tuple[list[Settings], dict[str, str]]:
    """The settings of `cpus`, and setting -> why it is not known; what a driver lacks is in neither."""
    missing: dict[str, str] = {}
    of_all = _read(OF_THE_MACHINE, system / CPUS, missing)
    alike: dict[tuple[tuple[str, str], ...], list[int]] = defaultdict(list)
    for cpu in cpus:
        folder = cpu_folder(cpu, system) / "cpufreq"
        own = _read({name: name for name in (*WORDS, *NUMBERS)}, folder, missing)
        if not own and not has_folder(folder):
            missing.setdefault("frequency", NO_CPUFREQ)
            continue
        own = {**of_all, **own}
        _add_listed(own, folder, missing)
        if own.get("scaling_governor") == "userspace":
            own |= _read({"scaling_setspeed": "scaling_setspeed"}, folder, missing)
        for name in NEEDED:
            if name not in own:
                missing.setdefault(name, f"cpu{cpu} has none")
        alike[tuple(sorted(own.items()))].append(cpu)
    return [Settings(list_text(group), dict(values)) for values, group in alike.items()], missing


def _read(files: Mapping[str, str], folder: Path, missing: dict[str, str]) -> dict[str, str]:
    """Setting -> text of its file; why one cannot be read goes into `missing`."""
    found: dict[str, str] = {}
    for name, file in files.items():
        try:
            found[name] = _word(folder / file) if name in WORDS else str(read_count(folder / file))
        except Absent:
            continue
        except Unknown as error:
            missing.setdefault(name, str(error))
    return found


def _add_listed(own: dict[str, str], folder: Path, missing: dict[str, str]) -> None:
    """Add the highest of the frequencies that a driver lists; most do not list any.

    acpi-cpufreq's `cpuinfo_max_freq` is that of boost, which the processor reaches by itself from the highest
    one listed: `scaling_max_freq` is never above that.
    """
    try:
        listed = read_text(folder / "scaling_available_frequencies").split()
    except Absent:
        return
    except Unknown as error:
        missing.setdefault(LISTED, str(error))
        return
    numbers = [int(text) for text in listed if re.fullmatch(r"[0-9]{1,12}", text)]
    if numbers:
        own[LISTED] = str(max(numbers))


def _word(path: Path) -> str:
    text = read_text(path)
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,40}", text):
        raise Unknown(f"{path.name} is no word: {plain(text)!r}")
    return text


def held_down(settings: Sequence[Settings]) -> list[str]:
    """Which settings keep a CPU below what its processor can do, in words."""
    return [
        f"{words} (cpu {group.cpus})" for group in settings for words in _held_down(group.values)
    ]


def _held_down(values: Mapping[str, str]) -> list[str]:
    """What holds CPUs with these settings down. That turbo is switched off is none: many do it to measure."""
    found: list[str] = []
    turbo_off = values.get("no_turbo") == "1" or values.get("boost") == "0"
    top = _number(values, LISTED) or _number(values, "cpuinfo_max_freq")
    if turbo_off:
        top = _number(values, "base_frequency") or top
    name, allowed = _allowed(values)
    if allowed is not None and top is not None and allowed < ALIKE * top:
        found.append(f"{name} allows {_ghz(allowed)} of {_ghz(top)} GHz")
    percent = _number(values, "max_perf_pct")
    if percent is not None and percent < 100:
        found.append(f"max_perf_pct allows {percent:.0f} % of the clock")
    if _saves(values):
        found.append(f"energy_performance_preference is {values['energy_performance_preference']}")
    return found


def _allowed(values: Mapping[str, str]) -> tuple[str, float | None]:
    """The setting that decides the highest clock, and that clock in kHz; None where it is not known."""
    governor, driver = values.get("scaling_governor"), values.get("scaling_driver")
    if governor == "userspace":
        return "governor userspace", _number(values, "scaling_setspeed")
    if governor == "powersave" and driver is not None and driver not in CHOOSE_THEMSELVES:
        return "governor powersave", _number(values, "scaling_min_freq")
    return "scaling_max_freq", _number(values, "scaling_max_freq")


def _saves(values: Mapping[str, str]) -> bool:
    """Whether a driver that chooses the clock itself is told to save above all; less than that is usual."""
    if values.get("scaling_driver") not in CHOOSE_THEMSELVES:
        return False
    if values.get("scaling_governor") == "performance":
        return False
    number = _number(values, "energy_performance_preference")
    told = values.get("energy_performance_preference") == "power"
    return told or (number is not None and number > MAX_SAVING)


def _number(values: Mapping[str, str], name: str) -> float | None:
    text = values.get(name, "")
    return float(text) if re.fullmatch(r"[0-9]{1,12}", text) else None


def _ghz(khz: float) -> str:
    return f"{khz / 1e6:.2f}"


def changed(before: Sequence[Settings], after: Sequence[Settings]) -> list[str]:
    """Which settings are others than before, in words."""
    names = sorted({name for group in (*before, *after) for name in group.values})
    found: list[str] = []
    for name in names:
        was, now = _of_all(name, before), _of_all(name, after)
        if was != now:
            found.append(f"{name} was {was or 'none'} and is {now or 'none'}")
    return found


def _of_all(name: str, settings: Sequence[Settings]) -> str:
    """One setting of all CPUs in words: its text where it is the same everywhere."""
    texts: dict[str, list[str]] = defaultdict(list)
    for group in settings:
        if name in group.values:
            texts[group.values[name]].append(group.cpus)
    if len(texts) == 1:
        return next(iter(texts))
    return ", ".join(f"{text} (cpu {','.join(cpus)})" for text, cpus in sorted(texts.items()))
