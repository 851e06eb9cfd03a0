"""The settings that decide the processor's clock, as the kernel's cpufreq shows them."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

from evenground.cpus.sysfs import (
    CPUS,
    MAX_SHOWN,
    SYSTEM,
    Absent,
    Unknown,
    cpu_folder,
    exists,
    read_text,
)
from evenground.records.cpus import LISTED, NEEDED, Settings
from evenground.sidecar.cpus import list_text

# Settings of one CPU; no driver has all of them.
OF_A_CPU = (
    "scaling_driver",
    "scaling_governor",
    "energy_performance_preference",
    "scaling_min_freq",
    "scaling_max_freq",
    "cpuinfo_max_freq",
    "base_frequency",
    "boost",
)
OF_THE_MACHINE = ("intel_pstate/no_turbo", "intel_pstate/max_perf_pct", "cpufreq/boost")
NO_CPUFREQ = "the kernel says nothing of this processor's clock (as in most virtual machines)"


def read_settings(
    cpus: Sequence[int], system: Path = SYSTEM
) -> tuple[list[Settings], dict[str, str]]:
    """The settings of `cpus`, and for each setting that is not known the reason.

    A setting that a driver does not have is in neither.
    """
    missing: dict[str, str] = {}
    of_machine = _read(OF_THE_MACHINE, system / CPUS, missing)
    groups: dict[tuple[tuple[str, str], ...], list[int]] = defaultdict(list)
    for cpu in cpus:
        folder = cpu_folder(cpu, system) / "cpufreq"
        of_cpu = _read(OF_A_CPU, folder, missing)
        if not of_cpu and not exists(folder):
            missing.setdefault("frequency", NO_CPUFREQ)
            continue
        values = {**of_machine, **of_cpu}
        _add_listed(values, folder, missing)
        # Other governors show `<unsupported>` there.
        if values.get("scaling_governor") == "userspace":
            values |= _read(["scaling_setspeed"], folder, missing)
        for name in NEEDED:
            if name not in values:
                missing.setdefault(name, f"cpu{cpu} has none")
        groups[tuple(sorted(values.items()))].append(cpu)
    settings = [
        Settings(cpus=list_text(group), values=dict(items)) for items, group in groups.items()
    ]
    return settings, missing


def _read(files: Iterable[str], folder: Path, missing: dict[str, str]) -> dict[str, str]:
    """Setting -> text of its file; adds the reason to `missing` where one cannot be read."""
    values: dict[str, str] = {}
    for file in files:
        path = folder / file
        try:
            text = read_text(path)
        except Absent:
            continue
        except Unknown as error:
            missing.setdefault(path.name, str(error))
            continue
        if text:
            values[path.name] = text[:MAX_SHOWN]
    return values


def _add_listed(values: dict[str, str], folder: Path, missing: dict[str, str]) -> None:
    """Add the highest of the frequencies that a driver lists; most drivers list none.

    acpi-cpufreq's `cpuinfo_max_freq` is the boost frequency, which the processor reaches by itself
    from the highest listed one: its `scaling_max_freq` is never above the listed ones.
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
        values[LISTED] = str(max(numbers))
